"""The time of fetching: where rows are computed as they are fetched, it is as much the database's as executing is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import events
from events.bridges.sqlalchemy import (
    connection_state,
    connections,
    fetch,
    instrument,
    pool,
    statements,
    transactions,
)
from events.bridges.sqlalchemy.internals import computed_rows
from tests.support.blog import User, create_blog

pytestmark = pytest.mark.usefixtures("usual_thresholds")

USERS: Any = User.__table__
STREAMED = {"stream_results": True, "yield_per": 2}
WAITING = sa.text("select wait(id) from users where id < 10")
"""Each of its rows takes 10 ms, as it is fetched."""


class Clock:
    """The bridge's clock: it goes on by a microsecond at each look, and by what the database is to take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


clock = Clock()


def wait(number: int) -> int:
    clock.now += 0.01
    return number


def add_function(connection: Any, _record: Any) -> None:
    connection.create_function("wait", 1, wait)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    for module in (computed_rows, connection_state, connections, fetch, pool, statements, transactions):
        monkeypatch.setattr(module, "perf_counter", clock)
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    sa.event.listen(made, "connect", add_function)
    create_blog(made)
    with instrument(made, slow_seconds=0.05):
        yield made
    made.dispose()


@pytest.fixture
async def async_engine(engine: sa.Engine) -> Any:
    made = create_async_engine(engine.url.set(drivername="sqlite+aiosqlite"))
    with instrument(made):
        yield made
    await made.dispose()


def all_rows(connection: sa.Connection) -> int:
    return len(connection.execute(WAITING).all())


def row_by_row(connection: sa.Connection) -> int:
    return sum(1 for _ in connection.execute(WAITING))


def by_partitions(connection: sa.Connection) -> int:
    return sum(len(some) for some in connection.execute(WAITING).partitions(3))


def by_two_at_a_time(connection: sa.Connection) -> int:
    return len(connection.execute(WAITING).yield_per(2).all())


def streamed(connection: sa.Connection) -> int:
    return len(connection.execution_options(**STREAMED).execute(WAITING).all())


def of_the_orm(connection: sa.Connection) -> int:
    with Session(connection) as session:
        return len(session.scalars(sa.select(User).where(sa.func.wait(User.id) < 10)).all())


READERS = [all_rows, row_by_row, by_partitions, by_two_at_a_time, streamed, of_the_orm]


@pytest.mark.parametrize("read", READERS)
def test_fetching_is_time_of_the_scope_and_of_the_statement_and_no_idle_hold(
    read: Callable[[sa.Connection], int], engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        events.rows_streamed.captured() as fetched,
        events.database_used.captured() as used,
        events.connection_released.captured() as released,
        events.agent_run(agent_name="writer"),
        engine.connect() as connection,
    ):
        began = clock()
        assert read(connection) == 10
        took = clock() - began
    (event,) = fetched
    assert (event.rows, event.slow, event.operation) == (10, True, "select")
    assert 0.08 < event.duration <= took  # sqlite3 computes the first row as it executes
    assert used[0].queries == 1
    assert event.duration <= used[0].duration <= took
    (hold,) = released
    assert hold.idle is not None
    assert hold.duration is not None
    assert hold.idle < hold.duration - 0.08
    (line,) = [record.getMessage() for record in caplog.records if record.name == "events.sql"]
    assert "agent writer" in line
    assert float(line.split()[2]) == pytest.approx(event.duration, abs=0.02)


def test_a_statement_that_was_slow_to_execute_is_not_slow_once_more(engine: sa.Engine) -> None:
    sorted_rows = sa.text("select id from users order by wait(id)")  # computed before the first one is there
    with (
        events.rows_streamed.captured() as fetched,
        events.query_executed.captured() as executed,
        engine.connect() as connection,
    ):
        connection.execute(sorted_rows).all()
    slow = [event.slow for event in executed] + [event.slow for event in fetched]
    assert slow.count(True) == 1


def test_a_fetch_that_takes_no_time_is_no_event_but_no_idle_hold_either(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computed_rows, "SHORTEST_OBSERVED", 60.0)
    monkeypatch.setattr(statements, "SHORTEST_OBSERVED", 60.0)
    with events.rows_streamed.captured() as fetched, engine.connect() as connection:
        state: Any = connection.connection.events_state
        before = state.busy_seconds
        result: Any = connection.execute(sa.select(USERS.c.id).limit(1))
        assert result.scalar() == 0
        assert state.busy_seconds > before
        assert result.context.events_fetched[3] == 1
    assert fetched == []


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each fetch take a quarter of a second, by the clock that times it."""
    times = count(0, 0.25)
    for module in (computed_rows, fetch):
        monkeypatch.setattr(module, "perf_counter", lambda: next(times))


@pytest.mark.usefixtures("ticks")
def test_each_of_two_results_that_are_read_in_turns_has_its_own_time(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is executed in between: fetching makes the long one slow, of which no fetch is, and not the others."""
    made = sa.create_engine("sqlite://")
    values = "select 1 as {0} union all select 2 union all select 3 union all select 4 union all select 5"
    with (
        instrument(made),
        events.rows_streamed.captured() as fetched,
        made.connect() as connection,
    ):
        one, other = (connection.execute(sa.text(values.format(name))) for name in ("one", "other"))
        for _ in range(2):
            one.fetchone()
            assert connection.execute(sa.text("select 6")).scalar() == 6
            other.fetchone()
            assert connection.exec_driver_sql("select 7").all() == [(7,)]
        one.close()
        assert len(other.all()) == 3
    made.dispose()
    took = [(event.rows, event.duration, event.slow) for event in fetched]
    assert sorted(took) == [(1, 0.25, False)] * 4 + [(2, 0.5, False), (5, 0.75, False)]
    assert caplog.messages == []


@pytest.mark.usefixtures("ticks")
def test_fetches_too_short_to_be_observed_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a result that is iterated over, with other statements in between."""
    monkeypatch.setattr(computed_rows, "SHORTEST_OBSERVED", 0.6)
    monkeypatch.setattr(statements, "SHORTEST_OBSERVED", 0.6)
    made = sa.create_engine("sqlite://")
    with instrument(made), events.rows_streamed.captured() as fetched, made.connect() as connection:
        for row in connection.execute(sa.text("select 1 union all select 2 union all select 3 union all select 4")):
            assert connection.execute(sa.text("select 5")).scalar() == 5
            assert row
    made.dispose()
    assert [(event.rows, event.duration, event.slow) for event in fetched] == [(4, 1.25, True)]


def test_results_that_are_read_in_turns_each_have_their_rows(engine: sa.Engine) -> None:
    with events.rows_streamed.captured() as fetched, engine.connect() as connection:
        one, other = connection.execute(WAITING), connection.execute(WAITING)
        one.fetchone()
        other.fetchone()
        assert len(one.fetchmany(3)) == 3
        assert len(other.all()) == 9
        one.close()
    assert [event.rows for event in fetched] == [10, 4]


@pytest.mark.parametrize("failing", [1, 4])
@pytest.mark.parametrize("fetch_some", [sa.CursorResult.fetchone, sa.CursorResult.fetchmany, sa.CursorResult.all])
def test_a_fetch_that_fails_took_its_time_and_ends(
    fetch_some: Callable[[Any], Any], failing: int, engine: sa.Engine
) -> None:
    """The first one or a later one, which a timer has taken over. And its transaction is one that failed."""

    received = 0

    def fetch_all(rows: Any) -> None:
        nonlocal received
        while some := fetch_some(rows):
            received += len(some) if isinstance(some, list) else 1

    statement = sa.text(
        f"select abs(case when id < {failing} then wait(id) else -9223372036854775808 end) from users"
        " where wait(id) < 9"
    )
    with (
        events.rows_streamed.captured() as fetched,
        events.database_failed.captured() as failed,
        events.transaction_ended.captured() as ended,
        engine.connect() as connection,
    ):
        rows: Any = connection.execute(statement)
        with pytest.raises(sa.exc.OperationalError):
            fetch_all(rows)
        rows.close()
    assert [event.phase for event in failed] == ["fetch"]
    assert [event.rows for event in fetched] == [received]
    took = 0.02 * (failing - 1) + 0.01  # without the first row, which sqlite3 computes as it executes
    assert fetched[0].duration == pytest.approx(took, abs=0.001)
    assert [event.outcome for event in ended] == ["rollback"]


def test_a_closed_handle_leaves_fetching_as_it_was(engine: sa.Engine) -> None:
    instrument(engine, slow_seconds=0.05).close()
    plain = sa.create_engine("sqlite://").dialect.execution_ctx_cls
    assert engine.dialect.execution_ctx_cls is plain
    with events.rows_streamed.captured() as fetched, engine.connect() as connection:
        assert all_rows(connection) == 10
    assert fetched == []


def leave_early(engine: sa.Engine) -> None:
    with Session(engine) as session:
        for number, _ in enumerate(session.scalars(sa.select(User).execution_options(yield_per=5))):
            if number == 7:
                break


def close_early(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        result = connection.execution_options(**STREAMED).execute(sa.select(USERS.c.id))
        result.fetchmany(10)
        result.close()


def raise_early(engine: sa.Engine) -> None:
    def read(connection: sa.Connection) -> None:
        for some in connection.execution_options(yield_per=10).execute(sa.select(USERS.c.id)).partitions():
            raise LookupError(some)

    with engine.connect() as connection, pytest.raises(LookupError):
        read(connection)


def keep_the_result(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        kept.append(connection.execution_options(**STREAMED).execute(sa.select(USERS.c.id)))
        kept[-1].fetchmany(10)


kept: list[Any] = []


@pytest.mark.parametrize("scenario", [leave_early, close_early, raise_early, keep_the_result])
def test_a_stream_that_is_left_before_its_end_ends_with_its_connection(
    scenario: Callable[[sa.Engine], None], engine: sa.Engine
) -> None:
    with events.rows_streamed.captured() as fetched:
        scenario(engine)
    assert [event.rows for event in fetched] == [10]
    kept.clear()


def test_a_stream_that_is_dropped_on_a_connection_that_goes_on_ends_at_the_next_one_or_read(engine: sa.Engine) -> None:
    with events.rows_streamed.captured() as fetched, engine.connect() as connection:
        for _ in range(3):
            streaming = connection.execution_options(**STREAMED)
            next(iter(streaming.execute(sa.select(USERS.c.id))))
            gc.collect()
        assert len(fetched) == 2
        instrument(engine, slow_seconds=0.05).read_pool()
        assert len(fetched) == 3


async def test_an_asynchronous_stream_is_timed_and_a_cancelled_one_ends(async_engine: AsyncEngine) -> None:
    async def read() -> None:
        async with async_engine.connect() as connection:
            async for _ in await connection.stream(sa.select(USERS.c.id), execution_options={"yield_per": 5}):
                reading.set()
                await asyncio.sleep(10)

    with events.rows_streamed.captured() as fetched, events.database_used.captured() as used:
        with events.agent_run(agent_name="writer"):
            async with AsyncSession(async_engine) as session:
                rows = await session.stream_scalars(sa.select(User))
                assert len([row async for row in rows]) == 20
        reading = asyncio.Event()
        task = asyncio.create_task(read())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [event.rows for event in fetched] == [20, 1]
    assert used[0].duration > fetched[0].duration
