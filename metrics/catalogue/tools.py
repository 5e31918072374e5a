"""Uses of tools by agents."""

from __future__ import annotations

from events import tool_called

from .. import buckets
from ..rows import counter, histogram

LABEL_LIMITS = {
    "mcp_server": 8,
    "tool_name": 16,
}
"""How many values an open label takes, by its name."""

# fmt: off
TOOLS = (
    counter("tool_calls_total", "Uses of tools that ended; the mcp_server of one without is none.",
        tool_called, labels=("mcp_server", "tool_name", "status"), nested_in={"tool_name": "mcp_server"},
        default={"mcp_server": "none"}),
    histogram("tool_call_duration_seconds", "Time a tool's use took, however it ended.",
        tool_called, value="duration", labels=("tool_name",), buckets=buckets.TOOL),
)
# fmt: on
