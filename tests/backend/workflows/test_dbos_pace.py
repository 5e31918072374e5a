"""At rest DBOS's threads look for work a fifteenth as often, and at their own pace when something happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from dbos._dbos import _get_dbos_instance

from app.workflows import dbos_pace
from app.workflows.dbos_pace import PacedEvent, PacedJobsEvent
from tests.support.in_process_studio import NewSettings, RecordedEvents, running_studio


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbos_pace, "_executing", 0)
    monkeypatch.setattr(dbos_pace, "_active_until", 0.0)


@pytest.fixture
def waiting() -> Iterator[Callable[[PacedEvent, float], threading.Thread]]:
    """Return a function that has a thread wait by an event."""
    threads: list[threading.Thread] = []

    def start(event: PacedEvent, timeout: float) -> threading.Thread:
        thread = threading.Thread(target=event.wait, args=(timeout,), daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.usefixtures("at_rest")
def test_at_rest_a_wait_takes_fifteen_times_as_long() -> None:
    began = monotonic()
    assert not PacedEvent().wait(0.02)
    assert monotonic() - began >= 0.3


@pytest.mark.usefixtures("at_rest")
def test_the_jobs_wait_is_shorter_than_their_transaction_may_idle() -> None:
    assert PacedJobsEvent.max_wait < 5.0
    began = monotonic()
    event = PacedJobsEvent()
    event.max_wait = 0.1
    assert not event.wait(0.05)
    assert monotonic() - began >= 0.1


@pytest.mark.usefixtures("at_rest")
def test_something_that_happens_ends_the_longer_wait(
    waiting: Callable[[PacedEvent, float], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbos_pace, "ACTIVE_TIME", 3600.0)
    monkeypatch.setattr(dbos_pace, "REST_FACTOR", 1e6)
    waiting(PacedEvent(), 0.01)  # for hours, at rest
    dbos_pace.look_now()


@pytest.mark.usefixtures("at_rest")
def test_an_event_that_is_set_ends_the_wait(waiting: Callable[[PacedEvent, float], threading.Thread]) -> None:
    event = PacedEvent()
    waiting(event, 3600.0)
    event.set()
    assert event.wait(3600.0)
    assert event.wait()


@pytest.mark.usefixtures("at_rest")
def test_while_a_workflow_is_executed_the_pace_is_dbos_own() -> None:
    with dbos_pace.executing():
        assert dbos_pace._is_active()
    assert dbos_pace._is_active()  # the next one may be waiting for its place


@pytest.mark.slow
async def test_all_threads_of_dbos_wait_so(recorded: RecordedEvents, new_settings: NewSettings) -> None:
    """Its next version may have others: then they keep their pace, and this test says so."""
    async with running_studio(new_settings()):
        dbos = _get_dbos_instance()
        # Of the queues, of the schedules, and of the recovery at the start, if it is under way.
        assert {type(event) for event in dbos.background_thread_stop_events} == {PacedEvent}
        assert len(dbos.background_thread_stop_events) >= 2
        assert type(dbos._background_jobs_stop_event) is PacedJobsEvent
