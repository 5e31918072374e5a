"""What agents are given to work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.fields import Bytes, Label, Tokens, inherited
from .bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextBuilt:
    """An agent's context was put together and sent; ``size`` is its UTF-8 length as sent, after any trimming.

    ``tokens`` are those that the model counted, or an estimate where it did not say or counted less than was sent.
    ``window`` is how many the model can take, and ``utilization`` what the context wanted of it before any trimming.
    """

    agent_name: Label = inherited()
    size: Bytes
    tokens: Tokens | None = None
    window: Tokens | None = None
    utilization: float | None = None
    workflow_type: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextTruncated:
    """A part of an agent's context did not reach the model.

    It was trimmed here (``app_trim``), replaced by a summary (``summarized``), left out by the provider without a word
    (``provider_silent``), or refused as a whole (``rejected``). ``dropped`` is how much, where that is known.
    """

    agent_name: Label = inherited()
    reason: Literal["app_trim", "summarized", "provider_silent", "rejected"]
    dropped: Bytes | None = None
    workflow_type: Label = inherited()
    run_id: str = inherited("")


context_built = Signal(ContextBuilt)
context_truncated = Signal(ContextTruncated)
