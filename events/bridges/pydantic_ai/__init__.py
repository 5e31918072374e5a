"""Every request to a language model through pydantic-ai told as `llm_called`, its attempts as `llm_attempted`.

>>> from events.bridges.pydantic_ai import instrument
>>> agent = Agent(instrument(infer_model("openai:gpt-4o-mini")))  # doctest: +SKIP

`wrapper` puts itself around a model and `requests` follows what is asked of it; `telling` tells it, with what
`answers`, `bills` and `errors` read. What is told are names, numbers and the class of an error; never a prompt, an
output or an error's message.
"""

from .calls import record_response_headers
from .error_types import error_type_of
from .wrapper import InstrumentedModel, instrument

__all__ = ["InstrumentedModel", "error_type_of", "instrument", "record_response_headers"]
