"""The calls of tools that a server serves, by a middleware of it, which is public."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from ..model_calls.tool_use import ToolUse, is_idle
from .tool_results import finish_with_error, finish_with_result


class InstrumentedServer:
    """A server that emits events, until `undo`; as a context manager, until the end of the block."""

    def __init__(self, server: Any, name: str | None) -> None:
        self.server = server
        self.name = name or server.name
        server.middleware.append(self._serve)  # the innermost: it sees what other middleware lets through

    def undo(self) -> None:
        """Emit nothing more; calling it again does nothing."""
        if self._serve in self.server.middleware:
            self.server.middleware.remove(self._serve)

    async def _serve(self, context: Any, call_next: Any) -> Any:
        """Serve a message, and emit `tool_called` if it is a call of a tool."""
        if context.method != "tools/call" or is_idle():
            return await call_next(context)
        use = ToolUse("mcp_server", (context.params or {}).get("name"), mcp_server=self.name, is_served=True)
        try:
            with use.in_effect():
                result = await call_next(context)
        except BaseException as error:
            finish_with_error(use, error)
            raise
        finish_with_result(use, result)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def instrument_server(server: Any, *, name: str | None = None) -> InstrumentedServer:
    """Have a server emit `tool_called` for each call that it serves, beside what its clients emit in their processes.

    A call that a client in memory sends is told once, by the client if that is instrumented too.

    Args:
        server: An ``MCPServer`` (``FastMCP`` of older releases), or a low-level ``Server``.
        name: The ``mcp_server`` of its events; by default what the server calls itself.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        TypeError: It is no server, or one of an older release, which has no middleware.
    """
    middleware = getattr(server, "middleware", None)
    if not isinstance(middleware, list) or not isinstance(getattr(server, "name", None), str):
        raise TypeError(f"instrument_server() takes an MCPServer or a Server of mcp 2, not {server!r}")
    for each in middleware:
        owner = getattr(each, "__self__", None)
        if isinstance(owner, InstrumentedServer):
            return owner
    return InstrumentedServer(server, name)
