"""A run that this process is executing, and what ends that: a cancellation, or a lease that has lapsed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

READ_TIME = 0.2
"""Seconds in which an answer is read that has come already, before its call is broken off: it is paid.

A process that was suspended finds it beside what stops the call.
"""
_TURNS = 5
"""Times that the event loop turns meanwhile, at least.

Several go by from the socket to the usage, and one that is late calls whatever has become due at once.
"""


@dataclass(slots=True, eq=False)
class ActiveRun:
    """A run that this process is executing.

    Attributes:
        task: The task that executes it.
        check_lease: Raises CancelledError once the lease has lapsed since the execution began.
        cancelled: Through which process it was cancelled; None if it was not.
        ending: Whether this process has begun to end it, because another has cancelled it or has taken it over.
        released: Is set when this process no longer executes it.
    """

    task: asyncio.Task[Any]
    check_lease: Callable[[], None]
    cancelled: Literal["here", "elsewhere"] | None = None
    ending: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def check(self) -> None:
        """Raise CancelledError once nothing more may be done for it here."""
        if self.cancelled is not None:
            raise asyncio.CancelledError
        self.check_lease()

    def stop_in(self, seconds: float) -> None:
        """Cancel its task after some time, unless that is ending it; what has come already is read before."""
        self._turn(seconds / _TURNS, _TURNS)

    def _turn(self, pause: float, left: int) -> None:
        if left:
            asyncio.get_running_loop().call_later(pause, self._turn, pause, left - 1)
        elif not self.ending and not self.released.is_set():
            self.task.cancel()
