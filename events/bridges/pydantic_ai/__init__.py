"""pydantic-ai bridge: emits `llm_called` for every request to a language model, `llm_attempted` for each attempt.

It emits `tool_called` for every use of a tool by an agent that asks such a model.

Wrap a model, and use it as before::

    from events.bridges.pydantic_ai import instrument

    agent = Agent(instrument(infer_model("openai:gpt-4o-mini")))

`instrument_in_place` does so with a model that agents have already, until its handle is undone.

Events hold names, numbers and the class of an error; never a prompt, an output or an error's message.

- `instrument_model`: the entry point, `instrument`
- `wrapper`: the model that it returns
- `instrument_in_place`: the same for a model that is in use
- `batches`, `suspended`: the requests of batch APIs, and answers that are polled for
- `calls`: follows one request to a model until its end
- `current_request`: which request the running code is inside
- `stream_ends`: ends one that is streamed
- `usual_end`: emits the end of a usual one
- `request_attempts`: emits the attempts of any other
- `members`: which models stand behind it
- `http_client`: observes what the provider's SDK sends
- `botocore_events`: the same of Bedrock's SDK
- `error_bodies`: what the body of an error says and its status does not
- `http_attempts`: which of that are attempts, and how they ended
- `call_state`: what is known of a call so far
- `emit`: builds the events
- `answers`: the answers of its attempts, and what they were billed
- `response`: why a response ends
- `usage`: its tokens
- `usage_corrections`, `reported`: what pydantic-ai's adapters leave out of it
- `billing`: what it is billed
- `interruptions`: of a program's functions that are asked meanwhile
- `seller_cost`, `price_list`: by the seller itself, or by its price list
- `stream_tokens`: which events of a stream are tokens
- `tool_calls`: the uses of tools by the agents that ask

What it shares with the bridges to other libraries is in `events.bridges.model_calls`.
"""

from ..model_calls.cost import Cost
from ..model_calls.error_types import error_type_of
from .billing import PriceFunction
from .current_request import record_response_headers
from .http_client import observe_http_client
from .instrument_in_place import InstrumentedInPlace, instrument_in_place, is_instrumented
from .instrument_model import instrument
from .price_list import list_price, own_server
from .wrapper import InstrumentedModel

__all__ = [
    "Cost",
    "InstrumentedInPlace",
    "InstrumentedModel",
    "PriceFunction",
    "error_type_of",
    "instrument",
    "instrument_in_place",
    "is_instrumented",
    "list_price",
    "observe_http_client",
    "own_server",
    "record_response_headers",
]
