"""Which time of a stream is its reader's and which the model's.

An event that a reader finds waiting for it arrived while the reader did something else, nobody knows when. One that the
reader has to wait for arrives when it is seen; the model was at work until then, also while the reader paused. To wait
is to be idle: the time that this thread computes, to parse an event or for other tasks, is no waiting for the model.
"""

from __future__ import annotations

from time import perf_counter, thread_time

AT_ONCE = 0.001
"""Seconds; a reader that was idle for less time did not wait for the model."""

WAITED_ONCE, WAITED_IN_ALL = 0.03, 0.1
"""Shares of its pauses; a reader that waited less after them did not wait for the model, but for the processor."""


class ReaderPauses:
    """The pauses of a stream's reader, from the time that the stream was opened."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """How long the reader paused without having waited for the model since."""
        self.sees_arrival = True
        """Whether the last event arrived when it was seen: to a reader that waits for it, or that hardly pauses."""
        self._waited = 0.0
        self._pause = 0.0
        self._paused_at: float | None = perf_counter()
        self._resumed_at = self._computed = 0.0
        self._has_stopped = False

    def begin(self) -> None:
        """Record that the reader has its event, and pauses."""
        self._paused_at = perf_counter()

    def end(self) -> None:
        """Record that the reader asks for the next event, or leaves."""
        self._resumed_at, self._computed = perf_counter(), thread_time()
        if self._paused_at is not None:
            self._pause = self._resumed_at - self._paused_at
            self.seconds += self._pause
            self._paused_at = None

    def arrive(self) -> float:
        """Record that an event, the end or an error arrived, and return when, on a clock without the pauses."""
        now = perf_counter()
        waited = now - self._resumed_at - (thread_time() - self._computed)
        if waited >= AT_ONCE:
            self._waited += waited
            if waited >= WAITED_ONCE * self.seconds or self._waited >= WAITED_IN_ALL * self.seconds:
                self.seconds = self._waited = 0.0
            self.sees_arrival = self.seconds == 0
        elif self._pause >= AT_ONCE:
            self.sees_arrival = False
        return now - self.seconds

    def stop(self) -> float:
        """Record, the first time, that the stream ends here, waited for or in a pause; return the seconds of pauses."""
        if not self._has_stopped:
            self._has_stopped = True
            if self._paused_at is None:
                self.arrive()
            else:
                self.end()
        return self.seconds
