"""At rest DBOS's threads look for work seldom, and at their own pace when something happens."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from dbos._dbos import _get_dbos_instance

from app.workflows import dbos_pace, queue_watch
from app.workflows.dbos_pace import PacedEvent, PacedJobsEvent
from app.workflows.dbos_queue import QUEUE
from app.workflows.queue_watch import QueueWatch
from tests.support.in_process_studio import NewSettings, RecordedEvents, running_studio
from tests.support.wait import until


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> QueueWatch:
    """A watch of its own, with nothing known to be in the queue."""
    made = QueueWatch()
    monkeypatch.setattr(dbos_pace, "queue", made)
    monkeypatch.setattr(dbos_pace, "_starting_until", 0.0)
    found_empty(made)
    return made


def found_empty(queue: QueueWatch, slots: int = 2) -> None:
    """Have a watch see a look that finds nothing."""
    settings = SimpleNamespace(name=QUEUE, _worker_concurrency=slots)
    assert queue.watched(lambda *_: ([], None), QUEUE)(settings, "me", "1", None, 0) == ([], None)


@pytest.fixture
def waiting() -> Iterator[Callable[[Callable[[float], object], float], threading.Thread]]:
    """Return a function that has a thread wait."""
    threads: list[threading.Thread] = []

    def start(wait: Callable[[float], object], timeout: float) -> threading.Thread:
        thread = threading.Thread(target=wait, args=(timeout,), daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


Waiting = Callable[[Callable[[float], object], float], threading.Thread]


@pytest.mark.usefixtures("queue")
def test_a_wait_for_what_the_studio_does_not_make_takes_sixty_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbos_pace, "POLLING_INTERVAL", 0.002)
    began = monotonic()
    assert not PacedEvent().wait(0.005)
    assert monotonic() - began >= 0.3


@pytest.mark.usefixtures("queue")
def test_a_start_ends_all_waits(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbos_pace, "STARTING_TIME", 3600.0)
    monkeypatch.setattr(dbos_pace, "REST_FACTOR", 1e6)
    monkeypatch.setattr(dbos_pace, "REST", 1e6)
    jobs = PacedJobsEvent()

    def take_lock(_: float) -> None:
        with dbos_pace.resting_before(lock_of([]), jobs)("jobs") as acquired:
            assert acquired

    waiting(PacedEvent().wait, 0.01)  # for hours, at rest
    waiting(PacedEvent().wait, 0.5)
    waiting(take_lock, 0.0)
    dbos_pace.wake_all()


@pytest.mark.usefixtures("queue")
def test_an_event_that_is_set_ends_the_wait(waiting: Waiting) -> None:
    event = PacedEvent()
    waiting(event.wait, 3600.0)
    waiting(event.wait, 0.1)
    event.set()
    assert event.wait(3600.0)
    assert event.wait(0.1)
    assert event.wait()


def lock_of(taken: list[str]) -> dbos_pace.JobLock:
    """Return a lock of jobs that notes who took it."""

    @contextmanager
    def lock(name: str) -> Generator[bool]:
        taken.append(name)
        yield True

    return lock


@pytest.mark.usefixtures("queue")
def test_the_jobs_rest_before_they_take_their_lock_and_not_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbos_pace, "REST", 0.3)
    event, taken = PacedJobsEvent(), list[str]()
    began = monotonic()
    with dbos_pace.resting_before(lock_of(taken), event)("jobs") as acquired:
        assert acquired
        assert monotonic() - began >= 0.3
        assert not event.wait(0.001)  # its transaction may not idle for longer than DBOS has it
    assert taken == ["jobs"]


@pytest.mark.usefixtures("queue")
def test_the_jobs_take_no_lock_once_dbos_stops() -> None:
    event, taken = PacedJobsEvent(), list[str]()
    event.set()
    with dbos_pace.resting_before(lock_of(taken), event)("jobs") as acquired:
        assert not acquired
    assert taken == []


@pytest.mark.slow
async def test_all_threads_of_dbos_wait_so(recorded: RecordedEvents, new_settings: NewSettings) -> None:
    """Its next version may have others: then they keep their pace, and this test says so."""
    async with running_studio(new_settings()):
        dbos = _get_dbos_instance()
        # Of the queues, of the schedules, and of the recovery at the start, if it is under way.
        assert {type(event) for event in dbos.background_thread_stop_events} == {PacedEvent}
        assert len(dbos.background_thread_stop_events) >= 2
        assert type(dbos._background_jobs_stop_event) is PacedJobsEvent
        assert "resting_before" in dbos._sys_db.background_job_lock.__qualname__
        assert hasattr(dbos._sys_db.start_queued_workflows, "__wrapped__")


@pytest.mark.slow
async def test_no_thread_waits_for_notifications(
    recorded: RecordedEvents, new_settings: NewSettings, database_url: str
) -> None:
    async with running_studio(new_settings(database_url=database_url)):

        def waits(thread: threading.Thread) -> bool:
            return "run_notif" in thread.name  # Python names a thread by the function that it calls

        assert any(waits(thread) for thread in _get_dbos_instance()._background_threads)  # by that name
        await until(lambda: not any(map(waits, threading.enumerate())), within=30)


@pytest.mark.slow
async def test_a_studio_at_rest_asks_for_queued_runs_and_nothing_else(
    recorded: RecordedEvents, new_settings: NewSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own looks would be five statements in the same time."""
    monkeypatch.setattr(dbos_pace, "STARTING_TIME", 0.5)
    monkeypatch.setattr(queue_watch, "ACTIVE_TIME", 0.5)
    monkeypatch.setattr(queue_watch, "LISTENING_REST", 1.0)
    monkeypatch.setattr(queue_watch, "QUEUE_REST", 1.0)
    async with running_studio(new_settings(database_url=database_url)) as studio:
        await asyncio.sleep(3)  # the last looks at its own pace
        statements = list[str]()

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        sa.event.listen(studio.service.dbos_engine, "before_cursor_execute", note)
        if studio.service.dbos_engine.dialect.name == "sqlite":  # it looks at the file, which has not changed
            await asyncio.sleep(3)
            assert statements == []
            with closing(sqlite3.connect(str(studio.service.dbos_engine.url.database))) as other:
                other.execute("PRAGMA user_version = 1")
        await until(lambda: len(statements) >= 3, within=30)
        assert len(set(statements)) == 1
        assert statements[0].startswith("SELECT 1 FROM ")


@pytest.mark.slow
async def test_a_run_that_another_process_queues_is_executed_at_rest_too(
    recorded: RecordedEvents, new_settings: NewSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbos_pace, "STARTING_TIME", 0.5)
    monkeypatch.setattr(queue_watch, "ACTIVE_TIME", 0.5)
    monkeypatch.setattr(queue_watch, "LISTENING_REST", 1.0)
    async with running_studio(new_settings(database_url=database_url, sweep_interval=3600.0)) as studio:
        await asyncio.sleep(3)
        monkeypatch.setattr(dbos_pace, "look_now", lambda: None)  # as if it were queued elsewhere
        run = await studio.wait_for_end(await studio.submit(), within=30)
        assert run.status == "completed", run.error
