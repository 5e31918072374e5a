"""The use of a tool while it is under way, for bridges: told once, whichever of them see it.

A library of agents runs a tool that is on an MCP server, and the client of MCP sends it; a tracer may see both. So:

- The outermost bridge tells the use: it has the name that the agent knows the tool by, and all of its time.
- What a bridge inside of it sees is the same use where the tool is the same: its name, with or without a prefix, or
  any name where both know it to be on an MCP server. It is not told again, but its server and its failure are, where
  the one around does not know them.
- A tool that another tool asks is a use of its own, as is whatever the same bridge sees inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from time import perf_counter

from ...bus.failures import report_failure, strict_blocks
from ...bus.fields import UNKNOWN, Status
from ...bus.scope import Scope, get_current_scope, get_effective_scope
from ...tools import tool_called
from .event_scope import in_scope
from .names import label_of, truncate_name

SEPARATORS = "_-./:"
"""What stands between a prefix, such as the name of a server, and the name of a tool."""


class ToolUse:
    """A use of a tool that starts here: `events.tool_called` at its end, or what it adds to the use around it.

    Whatever fails in here is reported as a failure of the bridge, and never raised.

    Args:
        bridge: The name of the bridge.
        tool_name: The tool, as the bridge knows it.
        mcp_server: The name of the MCP server that it is on; None where it is on none, or that is not known.
        scope: The scope that the event is of; None for that of the code that makes it.
        is_served: Whether it is run for another process, as by a server: whatever it asks for is a use of its own.
        started_at: The time of `time.perf_counter`; None for now.
        around: The use that was under way around it when it started, where it is only known later to be one.
    """

    def __init__(
        self,
        bridge: str,
        tool_name: object,
        *,
        mcp_server: str | None = None,
        is_served: bool = False,
        scope: Scope | None = None,
        started_at: float | None = None,
        around: ToolUse | None = None,
    ) -> None:
        self.bridge = bridge
        self.tool_name = label_of(tool_name)
        self.mcp_server = truncate_name(mcp_server) or None
        self.is_served = is_served
        self.has_ended = False
        self.started_at = perf_counter() if started_at is None else started_at
        around = around or use_under_way()
        self._around = around if around is not None and around.includes(self) else None
        self._scope = scope or get_effective_scope()
        self._token: Token[ToolUse | None] | None = None
        self._inner: tuple[Status, str] = "success", ""  # how it ended for the bridge inside

    @contextmanager
    def in_effect(self) -> Iterator[None]:
        """Mark the tool that other bridges see inside the block as this use."""
        token = current_tool_use.set(self)
        try:
            yield
        finally:
            current_tool_use.reset(token)

    def enter(self) -> None:
        """Mark the tool that other bridges see as this use until it ends: for callbacks, which are no block."""
        self._token = current_tool_use.set(self)

    def includes(self, inner: ToolUse) -> bool:
        """Return whether what another bridge sees inside is this use."""
        if inner.bridge == self.bridge or self.is_served:
            return False
        return is_same_tool(self.tool_name, inner.tool_name) or None not in (self.mcp_server, inner.mcp_server)

    def finish(self, status: Status = "success", error: str = "", *, duration: float | None = None) -> None:
        """Emit the use, once; ``error`` is the class of what was raised, ``duration`` None for the time until now."""
        if self.has_ended:
            return
        self._leave()
        inner_status, inner_error = self._inner
        if status == "success":
            status, error = inner_status, inner_error
        elif status == inner_status:
            error = error or inner_error
        if self._around is not None:
            self._around.learn(self.mcp_server, status, error)
            return
        try:
            with in_scope(self._scope):
                tool_called.emit(
                    tool_name=self.tool_name,
                    status=status,
                    duration=perf_counter() - self.started_at if duration is None else duration,
                    error=error,
                    mcp_server=self.mcp_server,
                )
        except Exception as failure:
            report_failure(tool_called.name, self.bridge, failure)

    def drop(self) -> None:
        """End the use without an event: the tool was not run, such as one that waits for approval."""
        self._leave()

    def learn(self, mcp_server: str | None, status: Status, error: str) -> None:
        """Record how a bridge inside saw the use; of one that is tried again, the last time counts."""
        if self.mcp_server in (None, UNKNOWN):
            self.mcp_server = mcp_server or self.mcp_server
        self._inner = status, error

    def _leave(self) -> None:
        self.has_ended = True
        if self._token is not None:
            with suppress(ValueError):  # in another context than it was entered in it has no effect
                current_tool_use.reset(self._token)


current_tool_use: ContextVar[ToolUse | None] = ContextVar("events.bridges.tool_use", default=None)


def use_under_way() -> ToolUse | None:
    """Return the use that the running code is inside; None outside of all."""
    around = current_tool_use.get()
    return None if around is None or around.has_ended else around


def is_idle() -> bool:
    """Return whether nobody would get the event of a use: no listener, no span around, and no strict block."""
    return not tool_called.receivers and not strict_blocks and get_current_scope() is None


def is_same_tool(outer: str, inner: str) -> bool:
    """Return whether two bridges name one tool; the outer name may have a prefix.

    >>> is_same_tool("weather_forecast", "forecast"), is_same_tool("research", "search")
    (True, False)
    """
    return outer == inner or (outer.endswith(inner) and outer[-len(inner) - 1] in SEPARATORS)
