"""Events of the context that an agent sends to a model: its size, and what was cut from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.fields import Bytes, Label, Tokens, inherited
from .bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextBuilt:
    """An agent's context was built and sent to a model.

    ``size`` is its length in UTF-8 as sent, after any trimming. ``tokens`` is the number that the model counted, or an
    estimate where the model reported none or fewer than were sent. ``window`` is how many tokens the model accepts, and
    ``utilization`` the share of it that the context needed before any trimming.
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

    ``reason`` says how: trimmed by the application (``app_trim``), replaced by a summary (``summarized``), left out by
    the provider without an error (``provider_silent``), or refused as a whole (``rejected``). ``dropped`` is how much,
    where that is known.
    """

    agent_name: Label = inherited()
    reason: Literal["app_trim", "summarized", "provider_silent", "rejected"]
    dropped: Bytes | None = None
    workflow_type: Label = inherited()
    run_id: str = inherited("")


context_built = Signal(ContextBuilt)
context_truncated = Signal(ContextTruncated)
