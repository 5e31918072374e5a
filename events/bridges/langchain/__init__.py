"""The bridge to LangChain and LangGraph: emits `llm_called`, `tool_called` and the runs of agents, by their callbacks.

Instrument the process once, and use the libraries as before::

    from events.bridges.langchain import instrument

    instrument()

Events hold names, numbers and the class of an error; never a prompt, an output or an error's message.

- `instrument_langchain`: the entry point, `instrument`
- `callback_handler`: what LangChain calls
- `run_tracker`: what becomes of that: `model_runs`, `tool_runs`, and agents; `runs` has those that are under way
- `agent_names`: which runs are agents
- `run_scope`: the scope that an agent's code is in; `generator_frames`: whether the reader of a stream has the word
- `model_names`, `model_answer`, `chunk_sizes`: what is said of a call to a model
"""

from ..model_calls.cost import Cost, UsagePriceFunction
from ..model_calls.token_prices import list_price
from .instrument_langchain import Instrumentation, instrument

__all__ = ["Cost", "Instrumentation", "UsagePriceFunction", "instrument", "list_price"]
