"""The one lock under which every metric value is updated."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import RLock

LOCK = RLock()
"""Held while a value changes. Reentrant: the garbage collector may emit an event in the middle of another's update."""

if hasattr(os, "register_at_fork"):  # not on Windows
    # The thread that held it is not in the child. Acquiring it before the fork, beside other locks, might deadlock.
    os.register_at_fork(after_in_child=LOCK._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001 - as threading does itself


def release_if_held() -> None:
    """Release the lock if this thread holds it."""
    with suppress(RuntimeError):
        LOCK.release()
