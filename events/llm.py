"""What language models are asked."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import Dollars, Label, Seconds, Status, Tokens, inherited
from .signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCalled:
    """A call to a language model ended, well or badly.

    ``model`` is the one that answered, ``requested_model`` the one that was asked. Prompt tokens include cached ones,
    completion tokens include reasoning; ``None`` means that the provider did not say. ``duration`` is that of the
    logical call, retries of the provider's SDK inside; a stream lasts until it is exhausted, closed or dropped.
    """

    model: Label
    requested_model: Label = "unknown"
    provider: Label = "unknown"
    status: Status
    duration: Seconds
    error: str = ""
    backoff: Seconds | None = None
    streamed: bool = False
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    cost: Dollars | None = None
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


llm_called = Signal(LLMCalled)
