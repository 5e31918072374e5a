"""Ctrl-C and SIGTERM as `KeyboardInterrupt`, but never in the middle of what is to be done as a whole."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


class StopSignals:
    """The signals that stop a command; made by `stop_signals`."""

    def __init__(self) -> None:
        self._is_whole = False
        self._is_pending = False

    @contextmanager
    def deferred(self) -> Generator[None]:
        """Have a signal raise at the end of the block instead of in it."""
        self._is_whole = True
        try:
            yield
        finally:
            self._is_whole = False
        if self._is_pending:
            raise KeyboardInterrupt

    def receive(self, _number: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, now or at the end of a block."""
        if self._is_whole:
            self._is_pending = True
        else:
            raise KeyboardInterrupt


@contextmanager
def stop_signals(after: float | None = None) -> Iterator[StopSignals]:
    """Raise `KeyboardInterrupt` for Ctrl-C and SIGTERM while the block runs, and after so many seconds, if given."""
    signals = StopSignals()
    before: dict[signal.Signals, Any] = {number: signal.signal(number, signals.receive) for number in STOP_SIGNALS}
    if after is not None:
        signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield signals
    finally:
        if after is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
