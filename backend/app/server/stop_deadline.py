"""A deadline for the stop: what waits for a database that hangs, or for a lock, does not keep the process."""

from __future__ import annotations

import logging
import os
import sys
from threading import Timer

STOP_SECONDS = 9.0
"""How long a stop may take beside the drain: Docker kills after ten seconds."""

UNFINISHED = 1
"""The exit code of a process that its deadline ended."""

log = logging.getLogger("app")


class StopDeadline:
    """Ends the process where it has not ended by itself some seconds after it was told to.

    What it leaves is what a kill leaves, and the next start goes on with it. It is for whoever owns the process.

    Args:
        drain_seconds: How long the first stop goes on serving.
        stop_seconds: How long the rest may take.
    """

    def __init__(self, drain_seconds: float, stop_seconds: float = STOP_SECONDS) -> None:
        self._drain_seconds = drain_seconds
        self._stop_seconds = stop_seconds
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Begin the time; at the second call, which ends the drain, without that."""
        if self._timer is None:
            self._start(self._drain_seconds + self._stop_seconds)
        elif self._drain_seconds:
            self._timer.cancel()
            self._drain_seconds = 0.0
            self._start(self._stop_seconds)

    def _start(self, seconds: float) -> None:
        self._timer = Timer(seconds, self._end)
        self._timer.daemon = True  # the process does not wait for it
        self._timer.start()

    def _end(self) -> None:
        try:
            log.warning(
                "not stopped within %g s, as where a database hangs: the process ends as if it were killed, and the"
                " next start goes on with its runs",
                self._stop_seconds,
            )
            sys.stdout.flush()
        finally:  # whoever read the output may be gone
            os._exit(UNFINISHED)
