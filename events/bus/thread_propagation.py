"""Carries the current scope to where Python does not: into threads and executors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self, TypeVar

from .scope import get_effective_scope, use_scope
from .span_decorator import wrap_calls

F = TypeVar("F", bound=Callable[..., Any])


def propagate_scope(function: F) -> F:
    """Return the function so that each call of it runs in the scope that is current now, in whatever thread.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from events import agent_finished, agent_run, propagate_scope, tool_called
    >>> def search(text):
    ...     tool_called.emit(tool_name="search", status="success", duration=0.1)
    >>> with agent_finished.captured() as finished, ThreadPoolExecutor() as pool, agent_run(agent_name="writer"):
    ...     done = list(pool.map(propagate_scope(search), ["earbuds", "phones"]))
    >>> finished[0].tool_calls
    2

    For ``Executor.submit`` and ``map``, ``loop.run_in_executor``, ``threading.Thread`` and callbacks. Tasks,
    ``asyncio.to_thread`` and anyio's threads need none: Python gives them a copy of the context. Another process has
    scopes of its own. The function may be of any of the four kinds that `Span.wrap` takes.
    """
    scope = get_effective_scope()
    return wrap_calls(lambda: _Propagated(scope))(function)


class _Propagated(AbstractContextManager["_Propagated"]):
    """Enters a scope that is already there, as a span enters its own."""

    def __init__(self, scope: Any) -> None:
        self._scope = scope

    def start(self) -> None:
        """Do nothing: the scope began elsewhere."""

    def step(self) -> AbstractContextManager[None]:
        """Return a ``with`` block inside the scope."""
        return use_scope(self._scope) if self._scope is not None else nullcontext()

    def end(self, error: BaseException | None) -> None:
        """Do nothing: the scope ends elsewhere."""

    def __enter__(self) -> Self:
        self._step = self.step()
        self._step.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._step.__exit__(kind, error, trace)
