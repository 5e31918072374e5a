"""How often DBOS's threads look for work: at rest seldom, and at once when there may be some.

Each of them asks the database several times a second, which takes 4 % of a core while nothing happens. They wait by the
events that stop them, so these wait longer (`PacedEvent`). Two more threads look for notifications, which the studio
does not use: these are ended. All of it is DBOS's own business: where a version has other events, its threads go on at
the pace that they have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any, cast

from dbos import DBOS

POLLING_INTERVAL = 0.2
"""Seconds between two looks at the queue of runs while something happens."""

QUEUE_REST = 3.0
"""Seconds between two looks at that queue at rest: other processes may add to it."""

REST = 60.0
"""Seconds between two looks of DBOS itself at rest: at the queue of runs, which is asked for in its place, and for its
jobs, which end delays and deadlines that no run has."""

REST_FACTOR = 60
"""How many times longer all other waits are at rest: the studio makes nothing that those threads look for."""

ACTIVE_TIME = 5.0
"""Seconds that the threads keep their own pace after something has happened."""

_changed = threading.Condition()
_executing = 0
_active_until = 0.0


class PacedEvent(threading.Event):
    """An event with whose `wait` a thread of DBOS waits for its next look.

    Attributes:
        is_any_queued: Returns whether there are runs in the queue. It is asked at rest in DBOS's place, whose look
            takes five times as much.
    """

    is_any_queued: Callable[[], bool] = staticmethod(lambda: True)

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether the event is set: when it is, or after ``timeout`` seconds, at rest many more."""
        if timeout is None:
            return super().wait()
        if timeout > 2 * POLLING_INTERVAL:
            return self.wait_at_rest(timeout, timeout * REST_FACTOR)
        end = monotonic() + REST
        while not self.wait_at_rest(timeout, max(timeout, QUEUE_REST)):
            if _is_active() or monotonic() >= end or self.is_any_queued():
                return self.is_set()
        return True

    def wait_at_rest(self, timeout: float, rest: float) -> bool:
        """Return whether the event is set: when it is, or after ``timeout`` seconds, at rest after ``rest`` seconds."""
        started = monotonic()
        with _changed:
            while not self.is_set():
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
    """The same for the thread that does DBOS's background jobs.

    On PostgreSQL it waits in a transaction, by which one process at a time does them, and which DBOS has ended after
    five seconds. So it rests before it takes that lock (`resting_before`), and each wait is as long as DBOS has it.
    """

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether the event is set: when it is, or after ``timeout`` seconds."""
        return threading.Event.wait(self, timeout)


JobLock = Callable[[str], AbstractContextManager[bool]]


def resting_before(lock: JobLock, stop: PacedJobsEvent) -> JobLock:
    """Return a lock of jobs that rests before it is taken, and is not taken once DBOS stops."""

    @contextmanager
    def rested(name: str) -> Generator[bool]:
        if stop.wait_at_rest(0.0, REST):
            yield False
        else:
            with lock(name) as acquired:
                yield acquired

    return rested


def slow_down(dbos: DBOS, is_any_queued: Callable[[], bool]) -> None:
    """Have the threads of DBOS that look for work wait longer at rest, once it is launched.

    Args:
        dbos: The launched DBOS.
        is_any_queued: Returns whether there are runs in the queue.
    """
    for event in getattr(dbos, "background_thread_stop_events", ()):
        if type(event) is threading.Event:
            event.__class__ = PacedEvent  # the threads have it already
            cast("PacedEvent", event).is_any_queued = is_any_queued
    database: Any = getattr(dbos, "_sys_db_field", None)
    jobs, lock = getattr(dbos, "_background_jobs_stop_event", None), getattr(database, "background_job_lock", None)
    if type(jobs) is threading.Event and lock is not None:
        jobs.__class__ = PacedJobsEvent
        database.background_job_lock = resting_before(lock, cast("PacedJobsEvent", jobs))
    _end_listeners(database)


def _end_listeners(database: Any) -> None:
    """End the threads that look for notifications, and for some to send, as DBOS does when it stops."""
    if hasattr(database, "_run_background_processes") and hasattr(database, "_cleanup_connections"):
        database._run_background_processes = False  # noqa: SLF001 - there is no public way to do without them
        database._cleanup_connections()  # noqa: SLF001 - the same


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
