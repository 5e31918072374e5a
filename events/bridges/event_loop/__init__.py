"""The lag of an asyncio event loop, told as events.

``instrument()`` schedules a callback again and again, and emits `event_loop_probed` each time with how late it came. A
loop that something blocks is late for everything: requests, timeouts, other tasks.
"""

from __future__ import annotations

import asyncio

from ...process import event_loop_probed

__all__ = ["PROBE_INTERVAL", "Instrumentation", "instrument"]

PROBE_INTERVAL = 0.5
"""Seconds between two callbacks: a stall of that length is always seen, a shorter one with the chance of its share."""


class Instrumentation:
    """The callbacks of one event loop; `close` ends them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._loop = loop
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._schedule()

    def close(self) -> None:
        """Schedule no further callback; a second call does nothing. It is called in the loop's thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = self._loop.call_at(self._loop.time() + self._interval, self._probe)

    def _probe(self) -> None:
        timer = self._timer
        if timer is None:  # closed by what ran just before, when this was ready to run already
            return
        # By the loop's own monotonic clock. It may run what is due within the clock's resolution, a little early.
        event_loop_probed.emit(lag=max(0.0, self._loop.time() - timer.when()))
        self._schedule()


def instrument(*, loop: asyncio.AbstractEventLoop | None = None, interval: float = PROBE_INTERVAL) -> Instrumentation:
    """Emit `event_loop_probed` every ``interval`` seconds, and return a handle whose ``close()`` ends it.

    Args:
        loop: The event loop, of the current thread; the running one where None.
        interval: Seconds above 0.

    Raises:
        RuntimeError: No event loop runs in this thread, and none is given.
        ValueError: The interval is not above 0.
    """
    if not interval > 0:
        raise ValueError(f"interval is a number of seconds above 0, got {interval!r}")
    return Instrumentation(loop or asyncio.get_running_loop(), interval)
