"""The state that a forked process begins without: held locks, and what is under way in the process before it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from weakref import WeakSet


class Clearable(Protocol):
    """An object that can be emptied."""

    def clear(self) -> None:
        """Forget everything."""


L = TypeVar("L")
C = TypeVar("C", bound=Clearable)

_locks: WeakSet[Any] = WeakSet()
_cleared: WeakSet[Any] = WeakSet()


def call_after_fork(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that every process that is forked from now on calls as it begins; none is on Windows."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
    return function


def free_after_fork(lock: L) -> L:
    """Return a lock of `threading`, which a process that is forked from now on begins with as a free one.

    The thread that held it is not in the new process, so the lock would be held for good.
    """
    _locks.add(lock)
    return lock


def clear_after_fork(thing: C) -> C:
    """Return an object that a process that is forked from now on begins with as an empty one."""
    _cleared.add(thing)
    return thing


@call_after_fork
def _begin() -> None:
    for lock in tuple(_locks):
        lock._at_fork_reinit()  # noqa: SLF001 - as threading does itself
    for thing in tuple(_cleared):
        thing.clear()
