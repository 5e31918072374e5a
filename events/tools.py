"""Events of the tools that agents call."""

from __future__ import annotations

from dataclasses import dataclass

from .bus.fields import Label, Seconds, Status, inherited
from .bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalled:
    """An agent's call of a tool ended, successfully or not.

    ``mcp_server`` is the name of the MCP server that the tool is on, None where it is on none.
    """

    tool_name: Label
    status: Status
    duration: Seconds
    error: str = ""
    mcp_server: Label | None = None
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


tool_called = Signal(ToolCalled)
