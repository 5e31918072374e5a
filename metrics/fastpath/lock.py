"""The one lock of all numbers."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import RLock

LOCK = RLock()
"""Held to move a number. Reentrant: the garbage collector may tell an event in the middle of another."""

if hasattr(os, "register_at_fork"):  # not on Windows
    # Whoever held it is not there any more. To hold it across the fork, beside other locks, might wait for ever.
    os.register_at_fork(after_in_child=LOCK._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001 - as threading does itself


def let_go() -> None:
    """Release the lock, if it was taken at all."""
    with suppress(RuntimeError):
        LOCK.release()
