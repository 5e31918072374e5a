"""The bridge to the OpenAI Agents SDK: emits its agents, the uses of their tools, and their calls to models.

Instrument the SDK once, as the program starts::

    from events.bridges.openai_agents import instrument

    instrument()

It is a processor of the SDK's traces, so runs without a trace emit nothing. Each agent is an `agent_started` and an
`agent_finished`, with the tokens and costs of its models and of the agents that it asks; each tool is a `tool_called`,
each check of a guardrail a `guardrail_checked`.
A call to a model is an `llm_called` as the trace has it; where the bridge to the SDK that sends it is in use too, such
as `events.bridges.openai`, that one emits it, exactly. Events hold names, numbers and the class of an error; never a
prompt, an output or an error's message.

- `instrument_traces`: the entry point, `instrument`
- `processor`: takes the spans of the SDK
- `agent_spans`, `tool_spans`, `model_spans`, `guardrail_spans`: what each kind of span is while it is open
- `span_errors`: the error that ends a span
- `sdk_internals`: the private parts of the SDK that are looked at
"""

from ..model_calls.cost import Cost, UsagePriceFunction
from ..model_calls.token_prices import list_price
from .instrument_traces import InstrumentedTraces, instrument

__all__ = ["Cost", "InstrumentedTraces", "UsagePriceFunction", "instrument", "list_price"]
