"""The one lock under which every metric value is updated."""

from __future__ import annotations

from contextlib import suppress
from threading import RLock

from events.bus.after_fork import free_after_fork

LOCK = free_after_fork(RLock())
"""Held while a value changes. Reentrant: the garbage collector may emit an event in the middle of another's update."""


def release_if_held() -> None:
    """Release the lock if this thread holds it."""
    with suppress(RuntimeError):
        LOCK.release()
