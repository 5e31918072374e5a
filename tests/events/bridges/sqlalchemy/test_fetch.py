"""The rows of a streamed result and the time spent waiting for them, emitted once at its end."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from events import RowsStreamed, receiver_failed, rows_streamed
from events.bridges.sqlalchemy import fetch
from events.bridges.sqlalchemy.connection_state import ConnectionState
from events.bridges.sqlalchemy.fetch import FetchedStatement, FetchTimer, TimedCursor, TimedFetchStrategy, is_row


class Source:
    """A driver's cursor, or SQLAlchemy's strategy, with five rows; each fetch takes two seconds."""

    arraysize = 3

    def __init__(self, clock: list[float]) -> None:
        self.clock = clock
        self.rows = [1, 2, 3, 4, 5]
        self.closed: list[str] = []

    def fetchone(self, *_: Any) -> int | None:
        self.clock[0] += 2
        return self.rows.pop(0) if self.rows else None

    def fetchmany(self, *arguments: Any) -> list[int]:
        self.clock[0] += 2
        size = arguments[-1] if arguments else self.arraysize
        found, self.rows = self.rows[:size], self.rows[size:]
        return found

    def fetchall(self, *_: Any) -> list[int]:
        self.clock[0] += 2
        found, self.rows = self.rows, []
        return found

    def close(self) -> None:
        self.closed.append("close")

    def soft_close(self, *_: Any) -> None:
        self.closed.append("soft")

    def hard_close(self, *_: Any) -> None:
        self.closed.append("hard")


def stream_timer(state: ConnectionState | None = None) -> FetchTimer:
    return FetchTimer(FetchedStatement("main", "select", "users", 1000.0), "select 1", state)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(fetch, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def streamed() -> Iterator[list[RowsStreamed]]:
    with rows_streamed.captured() as captured:
        yield captured


def test_a_cursor_is_timed_while_it_fetches_and_emitted_once(clock: list[float], streamed: list[RowsStreamed]) -> None:
    state, source = ConnectionState(), Source(clock)
    cursor = TimedCursor(source, stream_timer(state))
    assert (cursor.fetchone(), cursor.fetchmany(), cursor.fetchall()) == (1, [2, 3, 4], [5])
    clock[0] += 50
    assert cursor.fetchone() is None
    assert cursor.arraysize == 3
    assert streamed == []
    cursor.close()
    cursor.close()
    assert [(each.pool, each.table, each.rows, each.duration) for each in streamed] == [("main", "users", 5, 8.0)]
    assert state.busy_seconds == 8.0
    assert source.closed == ["close", "close"]


@pytest.mark.parametrize("ending", ["soft_close", "hard_close"])
def test_a_strategy_is_timed_until_it_closes(ending: str, clock: list[float], streamed: list[RowsStreamed]) -> None:
    source = Source(clock)
    strategy = TimedFetchStrategy(source, stream_timer())
    assert (strategy.fetchone(None, None), strategy.fetchmany(None, None, 3)) == (1, [2, 3, 4])
    assert strategy.fetchall(None, None) == [5]
    getattr(strategy, ending)(None, None)
    getattr(strategy, ending)(None, None)
    assert [(each.rows, each.duration) for each in streamed] == [(5, 6.0)]
    assert source.closed == [ending.removesuffix("_close")] * 2
    assert strategy.arraysize == 3


def test_a_strategy_that_another_one_replaces_stays_timed() -> None:
    class Replacing:
        def yield_per(self, result: Any, _cursor: Any, number: int) -> None:
            if number > 1:
                result.cursor_strategy = "another"

    plain = Replacing()
    strategy = TimedFetchStrategy(plain, stream_timer())
    result = SimpleNamespace(cursor_strategy=strategy)
    strategy.yield_per(result, None, 1)
    assert (result.cursor_strategy, strategy._strategy) == (strategy, plain)
    strategy.yield_per(result, None, 2)
    assert (result.cursor_strategy, strategy._strategy) == (strategy, "another")


def test_an_end_within_the_last_fetch_waits_for_its_rows(clock: list[float], streamed: list[RowsStreamed]) -> None:
    timer, source = stream_timer(), Source(clock)

    def fetch_and_end() -> list[int]:
        rows = source.fetchall()
        timer.end()
        assert streamed == []
        return rows

    assert timer.time(fetch_and_end, len) == [1, 2, 3, 4, 5]
    assert [(each.rows, each.duration) for each in streamed] == [(5, 2.0)]
    timer.end()
    assert len(streamed) == 1


def test_a_fetch_that_fails_took_its_time(clock: list[float], streamed: list[RowsStreamed]) -> None:
    timer = stream_timer()

    def fail() -> None:
        clock[0] += 3
        raise LookupError

    with pytest.raises(LookupError):
        timer.time(fail, is_row)
    timer.end()
    assert [(each.rows, each.duration) for each in streamed] == [(0, 3.0)]


@pytest.mark.parametrize(("description", "is_timed"), [(["id"], True), (None, False)])
def test_a_cursor_without_rows_or_that_is_timed_is_left_as_it_is(
    description: Any, is_timed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "fetch_strategies_are_replaceable", lambda: False)
    cursor = SimpleNamespace(description=description)
    context: Any = type("Context", (), {"cursor": cursor})()
    fetch.time_fetching(context, stream_timer())
    assert isinstance(context.cursor, TimedCursor) is is_timed
    once = context.cursor
    fetch.time_fetching(context, stream_timer())
    assert context.cursor is once


@pytest.mark.lenient
def test_a_failure_to_emit_is_reported() -> None:
    with receiver_failed.captured() as failures:
        stream_timer().end()
        with rows_streamed.connected_to(lambda event: 1 / 0):
            stream_timer().end()
    assert [(each.signal, each.error) for each in failures] == [("rows_streamed", "ZeroDivisionError")]
