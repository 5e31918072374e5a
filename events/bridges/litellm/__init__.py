"""The bridge to LiteLLM: emits `llm_called` for every call of its functions and its Router, with each attempt.

Switch it on once, and use LiteLLM as before::

    from events.bridges.litellm import instrument

    instrument()

``completion``, ``text_completion``, ``responses``, ``embedding`` and ``rerank`` are calls, with their asynchronous
versions and the methods of a ``Router``. Events hold names, numbers and the class of an error; never a prompt, an
output or an error's message.

- `instrument_litellm`: the entry point, `instrument`
- `functions`: the functions that are calls, and which model they ask
- `observed_functions`: the functions that stand in their place
- `sent_requests`: each request that is sent for one
- `litellm_call`: one call while it is under way; `inner_calls`: those that LiteLLM makes for it
- `call_attempts`: the attempts at it
- `tracked_streams`: the stream that its reader gets
- `reported_usage`: the tokens that a provider reported, and what LiteLLM's price table makes of them
- `rerank_answer`: the answer of a reranker

LiteLLM takes seconds to import: it is imported when `instrument` is called, never with this package.
"""

from __future__ import annotations

from .instrument_litellm import InstrumentedLiteLLM, instrument

__all__ = ["InstrumentedLiteLLM", "instrument"]
