"""How often DBOS's threads look for work: when there is any.

Each of them asks the database several times a second, which takes 4 % of a core while nothing happens. They wait by the
events that stop them, so these wait longer (`PacedEvent`): the one that claims runs until there is a run and a place
for it (`QueueWatch`), those that look for what the studio does not make for a minute. Two more threads look for
notifications, which the studio does not use: these are ended. All of it is DBOS's own business: where a version has
other events or other methods, its threads go on at the pace that they have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any, cast

from dbos import DBOS

from .queue_watch import REST, QueueWatch

POLLING_INTERVAL = 0.2
"""Seconds between two looks at the queue of runs at least."""

REST_FACTOR = 60
"""How many times longer all other waits are: the studio makes nothing that those threads look for."""

STARTING_TIME = 5.0
"""Seconds in which those threads keep their own pace once DBOS is launched, or its tables are created again."""

queue = QueueWatch()
"""The queue of runs, as this process knows it: there is one DBOS a process."""

_starting_until = 0.0


def _do_nothing() -> None: ...


class PacedEvent(threading.Event):
    """An event with whose `wait` a thread of DBOS waits for its next look.

    Attributes:
        is_any_queued: Returns whether there are runs in the queue. It is asked in DBOS's place, whose look takes six
            times as much.
        offer: Tells other processes of queued runs that this one has no place for.
    """

    is_any_queued: Callable[[], bool] = staticmethod(lambda: True)
    offer: Callable[[], None] = staticmethod(_do_nothing)

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether the event is set: when it is, or when there is something to look for."""
        if timeout is None:
            return super().wait()
        if timeout > 2 * POLLING_INTERVAL:
            return self.wait_at_rest(timeout, timeout * REST_FACTOR)
        queue.wait(self, timeout, self.is_any_queued, self.offer)
        return self.is_set()

    def wait_at_rest(self, timeout: float, rest: float) -> bool:
        """Return whether the event is set: when it is, after ``timeout`` seconds at the start, later after ``rest``."""
        started = monotonic()
        with queue.changed:
            while not self.is_set():
                left = (timeout if monotonic() < _starting_until else rest) - (monotonic() - started)
                if left <= 0:
                    break
                queue.changed.wait(left)
        return self.is_set()

    def set(self) -> None:
        """Set the event, and end all waits."""
        super().set()
        with queue.changed:
            queue.changed.notify_all()


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


def slow_down(
    dbos: DBOS, queue_name: str, is_any_queued: Callable[[], bool], offer: Callable[[], None] = _do_nothing
) -> None:
    """Have the threads of DBOS that look for work wait longer, once it is launched.

    Args:
        dbos: The launched DBOS.
        queue_name: The name of the queue of runs.
        is_any_queued: Returns whether there are runs in it.
        offer: Tells other processes of queued runs that this one has no place for.
    """
    database: Any = getattr(dbos, "_sys_db_field", None)
    claim = getattr(database, "start_queued_workflows", None)
    if claim is None:
        return  # it cannot be known what the looks find
    database.start_queued_workflows = queue.watched(claim, queue_name)
    for event in getattr(dbos, "background_thread_stop_events", ()):
        if type(event) is threading.Event:
            event.__class__ = PacedEvent  # the threads have it already
            paced = cast("PacedEvent", event)
            paced.is_any_queued, paced.offer = is_any_queued, offer
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
    """Have the queue looked at: this process has queued a run."""
    queue.queued()


def wake_all() -> None:
    """Have all threads look for work at once, and at their own pace for some seconds: DBOS, or its tables, are new."""
    global _starting_until  # noqa: PLW0603 - there is one DBOS a process
    with queue.changed:
        _starting_until = monotonic() + STARTING_TIME
    queue.queued()
