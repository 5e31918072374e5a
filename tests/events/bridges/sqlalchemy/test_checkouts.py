"""The queue of a pool and the outcome of a checkout, by what is recorded of each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import TimeoutError as PoolTimeout

from events import ConnectionAcquired, connection_acquired, database_failed
from events.bridges.sqlalchemy import peak, pool
from events.bridges.sqlalchemy.pool import (
    SHORTEST_WAIT,
    CheckoutAttempt,
    PoolTracker,
    failed_outcome,
    is_of_driver,
    pool_operation,
)

pytestmark = pytest.mark.usefixtures("usual_thresholds")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that stands still until its only item is changed."""
    moment = [100.0]
    monkeypatch.setattr(pool, "perf_counter", lambda: moment[0])
    monkeypatch.setattr(peak, "scrape_count", lambda: 1)
    return moment


@pytest.fixture
def acquired() -> Iterator[list[ConnectionAcquired]]:
    with connection_acquired.captured() as captured:
        yield captured


def tracker(*, statements: bool = True, own: bool = True) -> PoolTracker:
    return PoolTracker("main", statements=statements, own=own, on_recreate=lambda: None)


POOL = sa.NullPool(lambda: None)  # type: ignore[arg-type]  # it is asked for no connection


def test_an_attempt_waits_from_when_it_enters_the_queue_until_it_leaves_it(now: list[float]) -> None:
    queue, first, second = tracker(), CheckoutAttempt(POOL), CheckoutAttempt(POOL)
    now[0] = 101.0
    queue.start_waiting(first)
    queue.start_waiting(second)
    assert (queue.pending, first.place, second.place) == (2, 1, 2)
    now[0] = 103.0
    queue.stop_waiting(first)
    queue.stop_waiting(first)
    assert (queue.pending, first.waited_seconds, second.waited_seconds) == (1, 2.0, 0.0)
    now[0] = 104.0
    queue.stop_waiting(second)
    assert (queue.pending, second.waited_seconds, queue.peak_pending.highest) == (0, 3.0, 2)


@pytest.mark.parametrize(("waited", "peak_pending"), [(SHORTEST_WAIT / 2, 0), (SHORTEST_WAIT, 1), (1.0, 1)])
def test_who_finds_a_connection_has_not_waited(waited: float, peak_pending: int) -> None:
    queue, attempt = tracker(), CheckoutAttempt(POOL)
    attempt.place, attempt.waited_seconds = 1, waited
    queue.note_wait(attempt)
    assert SHORTEST_WAIT == 0.001
    assert queue.peak_pending.highest == peak_pending
    attempt.place = 0
    queue.note_wait(attempt)
    assert queue.peak_pending.highest == peak_pending


def test_in_a_forked_process_nobody_waits(now: list[float]) -> None:
    queue, attempt = tracker(), CheckoutAttempt(POOL)
    queue.start_waiting(attempt)
    queue.peak_pending.highest = 7
    queue.reset()
    assert (queue.pending, queue.peak_pending.highest) == (0, 0)


def test_a_wait_ends_where_the_database_is_asked(now: list[float]) -> None:
    queue, attempt = tracker(), CheckoutAttempt(POOL)
    queue.start_waiting(attempt)
    now[0] = 102.0
    queue.end_wait()
    assert queue.pending == 1  # of another task
    token = pool_operation.set(attempt)
    queue.end_wait()
    pool_operation.reset(token)
    assert (queue.pending, attempt.waited_seconds) == (0, 2.0)


class DriverError(Exception):
    """A class of a driver's, derived from its base class by the name of PEP 249."""


DriverError.__name__ = "Error"


class OperationalError(DriverError):
    """One of these."""


@pytest.mark.parametrize(
    ("error", "outcome", "reported"),
    [
        (None, "ok", 0),
        (PoolTimeout(), "timeout", 0),
        (asyncio.CancelledError(), "cancelled", 0),
        (KeyboardInterrupt(), "cancelled", 0),
        (OperationalError(), "error", 0),  # SQLAlchemy has an event of it
        (ConnectionRefusedError(), "error", 1),
    ],
)
def test_a_checkout_has_an_outcome_and_its_times(
    error: BaseException | None, outcome: str, reported: int, now: list[float], acquired: list[ConnectionAcquired]
) -> None:
    attempt = CheckoutAttempt(POOL)
    attempt.waited_seconds = 1.5
    now[0] = 104.0
    with database_failed.captured() as failed:
        tracker().emit_acquired(attempt, error)
        tracker(statements=False).emit_acquired(attempt, error)
        tracker(own=False).emit_acquired(attempt, error)
    assert [(each.outcome, each.duration, each.wait, each.own) for each in acquired] == [
        (outcome, 4.0, 1.5, own) for own in (True, True, False)
    ]
    assert [(each.phase, each.exception, each.own) for each in failed] == [
        ("connect", type(error).__name__, own) for own in (True, False)
    ] * reported
    if error is not None:
        assert failed_outcome(error) == outcome


def test_a_drivers_errors_have_the_base_class_that_pep_249_names() -> None:
    errors: list[Any] = [OperationalError(), DriverError(), OSError(), ValueError()]
    assert [is_of_driver(each) for each in errors] == [True, True, False, False]
