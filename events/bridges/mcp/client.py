"""The calls of tools by clients: ``ClientSession.call_tool``, which every client of the SDK calls, is replaced.

It is public, as are the session of an `mcp.Client` and the sessions of a group. A session may run on stdio, on HTTP or
in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import Lock
from types import MethodType, TracebackType
from typing import Any, Self

from ...bus.after_fork import free_after_fork
from ...bus.fields import UNKNOWN
from ..model_calls.tool_use import ToolUse, is_idle
from .tool_results import finish_with_error, finish_with_result

_HANDLE = "_events_instrumented"
_instrumenting = free_after_fork(Lock())


class InstrumentedSessions:
    """The sessions that emit events, until `undo`; as a context manager, until the end of the block."""

    def __init__(self, owner: Any, name: str | None) -> None:
        self.name = name
        self._owner = owner  # the class, or one session
        self._replaced = vars(owner).get("call_tool")  # of a session None: it has that of its class
        if isinstance(owner, type):
            owner.call_tool = _observe(owner.call_tool, self)  # type: ignore[attr-defined]  # it is ClientSession
        else:
            original = type(owner).call_tool
            while hasattr(original, _HANDLE):  # of the class, whose sessions emit already
                original = original.__wrapped__
            owner.call_tool = MethodType(_observe(original, self), owner)

    def undo(self) -> None:
        """Emit nothing more; calling it again does nothing, nor does it where somebody replaced the method since."""
        with _instrumenting:
            if _handle_of(self._owner) is not self:
                return
            if self._replaced is None:
                del self._owner.call_tool
            else:
                self._owner.call_tool = self._replaced

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def instrument(session: Any = None, *, name: str | None = None) -> InstrumentedSessions:
    """Have clients emit `tool_called` for each call of a tool.

    What emits already has one handle, which is returned again.

    Args:
        session: A ``ClientSession``, or an ``mcp.Client`` that is connected; without it, every session there is and
            will be.
        name: The ``mcp_server`` of its events; by default what the server calls itself.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        TypeError: It is no session.
        RuntimeError: It is a client that is not connected.
    """
    from mcp import ClientSession  # an SDK, which is imported where it is used

    if session is None and name is not None:
        raise TypeError(f"name={name!r} is that of one server: instrument(session, name={name!r})")
    owner = ClientSession if session is None else getattr(session, "session", session)
    if owner is not ClientSession and not isinstance(owner, ClientSession):
        raise TypeError(f"instrument() takes a ClientSession or an mcp.Client that is connected, not {session!r}")
    with _instrumenting:
        return _handle_of(owner) or InstrumentedSessions(owner, name)


def _handle_of(owner: Any) -> InstrumentedSessions | None:
    """Return the handle of the class, or of one session by itself."""
    handle: InstrumentedSessions | None = getattr(vars(owner).get("call_tool"), _HANDLE, None)
    return handle


def _observe(call_tool: Callable[..., Any], handle: InstrumentedSessions) -> Callable[..., Any]:
    """Return a method that emits an event for each call."""

    @wraps(call_tool)
    async def call_and_emit(session: Any, *args: Any, **options: Any) -> Any:
        if is_idle():
            return await call_tool(session, *args, **options)
        use = ToolUse("mcp", args[0] if args else options.get("name"), mcp_server=handle.name or server_name(session))
        try:
            with use.in_effect():
                result = await call_tool(session, *args, **options)
        except BaseException as error:
            finish_with_error(use, error)
            raise
        finish_with_result(use, result)
        return result

    setattr(call_and_emit, _HANDLE, handle)
    return call_and_emit


def server_name(session: Any) -> str:
    """Return what the server of a session calls itself."""
    return getattr(getattr(session, "server_info", None), "name", None) or UNKNOWN
