"""How often DBOS's threads look for work: at rest a fifteenth as often, and at once when there may be some.

Each of them asks the database several times a second, which takes 4 % of a core while nothing happens. They wait by the
events that stop them, so these wait longer (`PacedEvent`). The waits are DBOS's own business: where a version has other
events, its threads go on at the pace that they have.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from dbos import DBOS

REST_FACTOR = 15
"""How many times longer a thread waits at rest: for the queue three seconds, in which other processes may add to it."""

ACTIVE_TIME = 5.0
"""Seconds that the threads keep their own pace after something has happened."""

MAX_JOBS_WAIT = 4.0
"""Seconds: on PostgreSQL the jobs' thread holds a transaction as it waits, which DBOS has ended after five."""

_changed = threading.Condition()
_executing = 0
_active_until = 0.0


class PacedEvent(threading.Event):
    """An event with whose `wait` a thread of DBOS waits for its next look."""

    max_wait = float("inf")

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether the event is set: when it is, or after ``timeout`` seconds, at rest fifteen times as many."""
        if timeout is None:
            return super().wait()
        started = monotonic()
        with _changed:
            while not self.is_set():
                rest = max(timeout, min(timeout * REST_FACTOR, self.max_wait))
                left = (timeout if _is_active() else rest) - (monotonic() - started)
                if left <= 0:
                    break
                _changed.wait(left)
        return self.is_set()

    def set(self) -> None:
        """Set the event, and end all waits."""
        super().set()
        with _changed:
            _changed.notify_all()


class PacedJobsEvent(PacedEvent):
    """The same for the thread that does DBOS's background jobs."""

    max_wait = MAX_JOBS_WAIT


def slow_down(dbos: DBOS) -> None:
    """Have the threads of DBOS that look for work wait longer at rest, once it is launched."""
    jobs = getattr(dbos, "_background_jobs_stop_event", None)
    for event in (jobs, *getattr(dbos, "background_thread_stop_events", ())):
        if type(event) is threading.Event:
            event.__class__ = PacedJobsEvent if event is jobs else PacedEvent  # the threads have it already


def look_now() -> None:
    """Have the threads look for work at once, and often for some seconds: there may be some."""
    global _active_until  # noqa: PLW0603 - there is one DBOS a process
    with _changed:
        _active_until = monotonic() + ACTIVE_TIME
        _changed.notify_all()


@contextmanager
def executing() -> Iterator[None]:
    """Have the threads keep their own pace while the block, which executes a workflow, runs."""
    global _executing  # noqa: PLW0603 - the same
    with _changed:
        _executing += 1
    try:
        yield
    finally:
        with _changed:
            _executing -= 1
        look_now()


def _is_active() -> bool:
    return _executing > 0 or monotonic() < _active_until
