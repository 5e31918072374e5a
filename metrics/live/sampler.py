"""A thread that calls a function again and again at a bounded cost, faster while somebody watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Condition, Thread
from time import thread_time
from types import TracebackType
from typing import Self

from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle

log = logging.getLogger("metrics")
_throttle = LogThrottle()

RESTING, WATCHED = 15.0, 1.0
"""Seconds between two calls: while nobody watches, and while somebody does."""

RESTING_SHARE, WATCHED_SHARE = 0.003, 0.02
"""The most of a core that the calls may take: where one takes more, the next comes later."""


class Sampler:
    """Calls ``sample()`` in a thread of its own while it is entered, at once and then at its pace.

    What it raises is logged, at most once a minute, and stops nothing.

    Args:
        sample: The function.
        resting: Seconds between two calls while nobody watches.
        watched: Seconds between two calls inside of `watch`.
    """

    def __init__(self, sample: Callable[[], object], *, resting: float = RESTING, watched: float = WATCHED) -> None:
        self._sample = sample
        self._resting = resting
        self._watched = watched
        self._watchers = 0
        self._ended = False
        self._changed = Condition()
        self._thread: Thread | None = None

    @contextmanager
    def watch(self) -> Generator[None]:
        """Call the function at the faster pace while the block runs."""
        with self._changed:
            self._watchers += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._watchers -= 1

    def pause_after(self, spent: float) -> float:
        """Return the seconds from one call to the next, after one that took so much processor time."""
        if self._watchers:
            return max(self._watched, spent / WATCHED_SHARE)
        return max(self._resting, spent / RESTING_SHARE)

    def __enter__(self) -> Self:
        self._ended = False
        self._thread = Thread(target=self._run, name="live numbers", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended:
            began = thread_time()
            try:
                self._sample()
            except Exception as error:
                location = error_location(error)
                if _throttle.is_due(location):
                    log.warning("live numbers cannot be read: %s at %s", type(error).__name__, location)
            spent = thread_time() - began
            with self._changed:
                watchers = self._watchers
                # Whoever begins to watch has the next numbers at once.
                self._changed.wait_for(lambda: self._ended or self._watchers > watchers, self.pause_after(spent))  # noqa: B023  # it returns in the loop
