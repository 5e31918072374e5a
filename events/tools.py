"""Events of the tools that agents call."""

from __future__ import annotations

from dataclasses import dataclass

from .bus.fields import Label, Seconds, Status, inherited
from .bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalled:
    """An agent's call of a tool ended, successfully or not."""

    tool_name: Label
    status: Status
    duration: Seconds
    error: str = ""
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


tool_called = Signal(ToolCalled)
