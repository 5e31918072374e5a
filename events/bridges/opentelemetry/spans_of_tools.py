"""Spans of uses of tools: what they emit, and which of them are of one use."""

from __future__ import annotations

from typing import Any

from ...bus.signal import NO_SCOPE
from ..model_calls.names import label_of
from ..model_calls.tool_use import ToolUse, is_same_tool
from .agent_runs import add_to_unknown
from .attribute_names import Said
from .conventions import BRIDGE
from .open_spans import OpenSpan
from .span_outcomes import DROPPED, SpanOutcome
from .span_reading import tool_name


class ToolSpans:
    """The spans of uses of tools.

    Args:
        of_servers: Whether tools count that this process runs for others.
    """

    def __init__(self, *, of_servers: bool) -> None:
        self._of_servers = of_servers

    def start(self, opened: OpenSpan, span: Any, said: Said) -> None:
        """Begin the use of a tool, unless a span around is of the same use."""
        opened.name = name = tool_name(said, opened.name)
        opened.is_repeated = self._is_repeated(opened, span, name)
        if not opened.is_repeated:
            use = opened.tool_use = _tool_use(opened, name)
            use.enter()  # until it ends, wherever that is

    def end(self, opened: OpenSpan, span: Any, said: Said, outcome: SpanOutcome, duration: float) -> None:
        """Emit the use of a tool that ended."""
        name = tool_name(said, span.name)
        if opened.operation is None:
            opened.is_repeated = self._is_repeated(opened, span, name)
        if opened.is_repeated:
            return
        use = opened.tool_use or _tool_use(opened, name)
        use.tool_name = label_of(name)
        use.finish(outcome.status, outcome.error, duration=duration)
        if opened.parent is not None:
            add_to_unknown(opened, {"tool_calls": 1})

    def drop(self, opened: OpenSpan, duration: float) -> None:
        """Emit the use of a tool that nobody ended."""
        if opened.tool_use is not None:
            opened.tool_use.finish(DROPPED.status, duration=duration)

    def _is_repeated(self, opened: OpenSpan, span: Any, name: str) -> bool:
        if opened.parent is not None and is_repeated_tool(opened, name):
            return True
        return not self._of_servers and span.kind.name == "SERVER"


def _tool_use(opened: OpenSpan, name: str) -> ToolUse:
    scope, around = opened.scope or NO_SCOPE, opened.use_around
    return ToolUse(BRIDGE, name, scope=scope, started_at=opened.started_at(), around=around)


def is_repeated_tool(opened: OpenSpan, name: str) -> bool:
    """Return whether a span around this one is of the same use of a tool: a client's, around the server's."""
    for around in opened.around():
        if around.operation == "agent":
            return False
        if around.operation == "tool" and is_same_tool(around.name, name):
            return True
    return False
