"""What agents are given to work with."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import Bytes, Label, inherited
from .signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextBuilt:
    """An agent's context was put together; ``size`` is its UTF-8 length as sent, after any trimming."""

    agent_name: Label = inherited()
    size: Bytes
    workflow_type: Label = inherited()
    run_id: str = inherited("")


context_built = Signal(ContextBuilt)
