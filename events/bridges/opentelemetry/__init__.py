"""The bridge to OpenTelemetry: emits the spans of GenAI libraries as `llm_called`, `tool_called` and the like.

For what has no bridge of its own here, and for applications that have such spans already::

    from opentelemetry.sdk.trace import TracerProvider
    from events.bridges.opentelemetry import instrument

    instrument(provider := TracerProvider())

Spans are read in three generations of OpenTelemetry's conventions, and in the dialects of OpenInference and
OpenLLMetry. A call that several libraries see is told once, and by an exact bridge where there is one. No message is
read.

- `span_processor`: takes note of each span; `instrumented_provider` adds it to a provider
- `conventions`: what a span is of; `attribute_names`, `span_reading`, `span_outcomes`: what it says, whichever library
  wrote it
- `spans_of_models`, `spans_of_tools`, `spans_of_agents`, `spans_of_retrievals`, `spans_of_guardrails`: what spans of
  each emit
- `open_spans`: the spans that are open; `spans_of_a_call`: which of them are of one `observed_call`, by `call_places`
  too; `call_ends`: how that ended
- `agent_runs`: runs of agents, and the scopes that they are
- `sampling`: what samplers drop
"""

from ..model_calls.cost import Cost, UsagePriceFunction
from ..model_calls.token_prices import list_price
from .instrumented_provider import InstrumentedProvider, instrument
from .sampling import RecordingSampler, sampling_fault
from .span_processor import GenAISpanProcessor

__all__ = [
    "Cost",
    "GenAISpanProcessor",
    "InstrumentedProvider",
    "RecordingSampler",
    "UsagePriceFunction",
    "instrument",
    "list_price",
    "sampling_fault",
]
