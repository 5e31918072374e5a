"""What encloses the code that runs now: the open spans, innermost first."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from threading import RLock
from types import TracebackType
from typing import Any, Protocol

from .numbers import drop_reason

# Reentrant: the garbage collector may close a generator, and so end a span, in the thread that is adding.
_adding = RLock()
if sys.platform != "win32":
    # A fork copies a lock as it stands; held across it, it is free on both sides.
    os.register_at_fork(before=_adding.acquire, after_in_parent=_adding.release, after_in_child=_adding.release)


class ScopeHook(Protocol):
    """What somebody keeps for as long as a scope lasts."""

    def end(self) -> None:
        """Take leave; must not raise."""


class Scope:
    """The fields that everything told inside inherits, and the totals that it adds to.

    ``kind`` says what it is: ``agent``, ``workflow``, ``http_request``. Others may attach what they keep for as long
    as it lasts; each attached thing's ``end`` is called when it ends.
    """

    __slots__ = ("ended", "fields", "hooks", "kind", "parent", "totals", "wanted")

    def __init__(
        self,
        fields: Mapping[str, Any],
        parent: Scope | None,
        wanted: Mapping[str, tuple[tuple[str, str | None], ...]],
        kind: str = "",
    ) -> None:
        self.fields: dict[str, Any] = {**parent.fields, **fields} if parent else dict(fields)
        self.parent = parent
        self.wanted = wanted
        self.totals: dict[str, float] = {}
        self.kind = kind
        self.ended = False
        self.hooks: dict[str, ScopeHook] = {}

    def end(self) -> None:
        """Tell what is attached that the work is over; work left behind in the background attaches nothing any more."""
        self.ended = True
        if self.hooks:
            hooks, self.hooks = self.hooks, {}
            for thing in hooks.values():
                thing.end()

    def wants(self, signal: str) -> bool:
        """Tell whether this scope, or one around it, adds up anything of a signal's events."""
        scope: Scope | None = self
        while scope is not None:
            if signal in scope.wanted:
                return True
            scope = scope.parent
        return False

    def add(self, signal: str, told: Mapping[str, Any]) -> None:
        """Add what an event told to this scope and to every one around it.

        Sibling tasks and threads share their parents, hence the lock.
        """
        scope: Scope | None = self
        while scope is not None:
            sums = scope.wanted.get(signal)
            if sums:
                totals = scope.totals
                with _adding:
                    for name, source in sums:
                        amount = 1 if source is None else told.get(source)
                        if amount is not None and drop_reason(amount) is None:
                            totals[name] = totals.get(name, 0) + amount
            scope = scope.parent


current_scope: ContextVar[Scope | None] = ContextVar("events.bus.context", default=None)
get_current_scope = current_scope.get
"""The scope that the code which runs now is in, if any."""


class use_scope:  # noqa: N801  # called like a function, as contextlib.suppress is
    """Runs one block inside a scope; leaves the caller's context as it was.

    With ``whole`` the block is all there is of the scope, which ends with it.
    """

    __slots__ = ("_before", "_end_on_exit", "_scope")

    def __init__(self, scope: Scope, *, end_on_exit: bool = False) -> None:
        self._scope = scope
        self._end_on_exit = end_on_exit

    def __enter__(self) -> None:
        self._before = current_scope.get()
        current_scope.set(self._scope)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        exit_scope(self._scope, self._before)
        if self._end_on_exit:
            self._scope.end()


def exit_scope(scope: Scope, before: Scope | None) -> None:
    """Make ``before`` current again, unless the code that runs now is not inside ``scope`` at all.

    It is elsewhere when the event loop closes an abandoned generator in a context of its own, and when generators that
    hold spans open are finished in another order than begun. A context variable's token would raise in the first case
    and bring back an ended scope in the second.
    """
    now = current_scope.get()
    while now is not None and now is not scope:
        now = now.parent
    if now is scope:
        current_scope.set(before)
