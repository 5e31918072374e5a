"""Locks that are free in a forked process, whichever thread of the process before it held them."""

from __future__ import annotations

import os
from typing import Any, TypeVar
from weakref import WeakSet

L = TypeVar("L")

_locks: WeakSet[Any] = WeakSet()


def free_after_fork(lock: L) -> L:
    """Return a lock of `threading`, which a process that is forked from now on begins with as a free one.

    That thread is not in the new process, so the lock would be held for good.
    """
    _locks.add(lock)
    return lock


def _free() -> None:
    for lock in tuple(_locks):
        lock._at_fork_reinit()  # noqa: SLF001 - as threading does itself


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_free)
