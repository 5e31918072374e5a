"""Uses of tools by agents."""

from __future__ import annotations

from events import tool_called

from .. import buckets
from ..rows import counter, histogram

LABEL_LIMITS = {
    "tool_name": 8,
}
"""How many values an open label takes, by its name."""

# fmt: off
TOOLS = (
    counter("tool_calls_total", "Uses of tools that ended.",
        tool_called, labels=("tool_name", "status")),
    histogram("tool_call_duration_seconds", "Time a tool's use took, however it ended.",
        tool_called, value="duration", labels=("tool_name",), buckets=buckets.TOOL),
)
# fmt: on
