"""Faults that need a server: a refused commit, a cut connection, a deadlock, a timeout, a cancelled query."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import events
from events.bridges.sqlalchemy import instrument
from metrics import CATALOGUE, DATABASE_DETAILS, subscribe
from tests.support.databases import POSTGRESQL, TABLES, USERS, ScenarioRunner, nonzero_counts, scenario_runner
from tests.support.wait import until

pytestmark = pytest.mark.slow

ASYNCHRONOUS = [driver for driver in POSTGRESQL if driver != "postgresql+psycopg"]
DEADLOCK = {
    "queries update users": 4,
    "errors execute deadlock": 1,
    "query_errors update users deadlock": 1,
    "transactions commit": 1,
    "transactions rollback": 1,
}
ASLEEP = sa.text("select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'")


@pytest.fixture
def admin(postgresql: sa.URL) -> Iterator[sa.Engine]:
    """Return an engine that is not instrumented, with its tables created anew."""
    engine = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    TABLES.drop_all(engine)
    TABLES.create_all(engine)
    with engine.begin() as connection:
        connection.execute(USERS.insert(), [{"id": 1, "name": "ada"}, {"id": 2, "name": "bob"}])
    yield engine
    engine.dispose()


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    with subscribe(CATALOGUE + DATABASE_DETAILS, made, namespace="sparklio", label_values={"pool": ["main"]}):
        yield made


@pytest.fixture(params=POSTGRESQL)
async def runner(request: pytest.FixtureRequest, admin: sa.Engine, postgresql: sa.URL) -> AsyncIterator[ScenarioRunner]:
    async with scenario_runner(postgresql, request.param, pool_size=2, max_overflow=0, pool_pre_ping=True) as made:
        with instrument(made.engine, metadata=TABLES):
            yield made


@pytest.fixture(params=ASYNCHRONOUS)
async def tasks(request: pytest.FixtureRequest, admin: sa.Engine, postgresql: sa.URL) -> AsyncIterator[AsyncEngine]:
    async with scenario_runner(postgresql, request.param, pool_size=5, max_overflow=0) as made:
        with instrument(made.engine, metadata=TABLES):
            yield AsyncEngine(made.engine)


async def test_a_commit_that_fails_is_a_failed_transaction(runner: ScenarioRunner, registry: CollectorRegistry) -> None:
    """SQLAlchemy's event says "commit" before it is sent, and no rollback follows."""

    def commit(engine: sa.Engine) -> None:
        with engine.connect() as connection:
            connection.execute(USERS.insert().values(id=3, name="cyd", boss=99))
            with pytest.raises(sa.exc.IntegrityError):
                connection.commit()

    with events.database_failed.captured() as failures:
        await runner.run(commit)
    assert [(failure.operation, failure.table) for failure in failures] == [("savepoint", "none")]
    assert nonzero_counts(registry, "transactions", "commit_duration", "errors", "query_errors") == {
        "transactions failed": 1,
        "commit_duration failed": 1,
        "errors commit integrity": 1,
    }


async def test_a_statement_timeout_has_its_own_reason(runner: ScenarioRunner, registry: CollectorRegistry) -> None:
    def wait(engine: sa.Engine) -> None:
        with engine.connect() as connection:
            connection.execute(sa.text("set local statement_timeout = 50"))
            with pytest.raises(sa.exc.DBAPIError):
                connection.execute(sa.text("select pg_sleep(60) from users"))

    await runner.run(wait)
    assert nonzero_counts(registry, "errors", "query_errors", "transactions") == {
        "errors execute statement_timeout": 1,
        "query_errors select users statement_timeout": 1,
        "transactions rollback": 1,
    }


async def test_a_stream_that_breaks_is_a_failure_of_fetching_alone(
    runner: ScenarioRunner, registry: CollectorRegistry
) -> None:
    """The statement was answered, so it is no failed execution; it is counted as one query."""

    def stream(engine: sa.Engine) -> None:
        text = sa.text("select 1 / (5000 - n) from generate_series(1, 10000) as n left join users on false")
        with engine.connect() as connection:
            rows = connection.execution_options(yield_per=10).execute(text)
            # SQLAlchemy does not wrap asyncpg's own exception here.
            with pytest.raises(Exception, match="division by zero"):
                rows.all()

    await runner.run(stream)
    assert nonzero_counts(registry, "errors", "query_errors", "queries") == {
        "errors fetch data": 1,
        "query_errors select users data": 1,
        "queries select users": 1,
    }


async def test_a_connection_that_is_cut_while_idle_is_found_by_the_ping(
    runner: ScenarioRunner, admin: sa.Engine, registry: CollectorRegistry
) -> None:
    """The caller notices nothing: the pool pings, closes the connection and opens another."""

    def backend(engine: sa.Engine) -> int:
        with engine.connect() as connection:
            return int(connection.scalar(sa.text("select pg_backend_pid()")) or 0)

    first = await runner.run(backend)
    with admin.connect() as connection:
        connection.execute(sa.text("select pg_terminate_backend(:pid, 5000)"), {"pid": first})
    assert await runner.run(backend) != first
    counted = nonzero_counts(registry, "errors", "connections_closed", "connection_create", "connection_hold")
    assert counted.pop("errors ping disconnect") == 1
    assert counted == {"connections_closed main ping_failed": 1, "connection_create main": 2, "connection_hold main": 2}


async def test_a_connection_that_is_cut_in_use_loses_its_transaction(
    runner: ScenarioRunner, admin: sa.Engine, registry: CollectorRegistry
) -> None:
    def use(engine: sa.Engine) -> None:
        with engine.connect() as connection:
            pid = connection.scalar(sa.text("select pg_backend_pid()"))
            with admin.connect() as other:
                other.execute(sa.text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            with pytest.raises(sa.exc.DBAPIError):
                connection.execute(sa.select(USERS))

    await runner.run(use)
    assert nonzero_counts(
        registry, "errors", "query_errors", "transactions", "connections_closed", "connection_hold"
    ) == {
        "errors execute disconnect": 1,
        "query_errors select users disconnect": 1,
        "transactions failed": 1,
        "connections_closed main invalidated": 1,
        "connection_hold main": 1,
    }


def test_a_deadlock_of_threads_is_counted_as_one(
    admin: sa.Engine, postgresql: sa.URL, registry: CollectorRegistry
) -> None:
    """Two threads lock two rows crosswise: one fails, the other commits."""
    engine = sa.create_engine(postgresql)
    barrier = threading.Barrier(2)

    def lock_crosswise(first: int, second: int) -> bool:
        with engine.connect() as connection:
            connection.execute(sa.update(USERS).where(USERS.c.id == first).values(name="x"))
            barrier.wait(timeout=30)
            try:
                connection.execute(sa.update(USERS).where(USERS.c.id == second).values(name="y"))
            except sa.exc.OperationalError:
                return False
            connection.commit()
            return True

    with instrument(engine), ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(lock_crosswise, (1, 2), (2, 1))) == [False, True]
    engine.dispose()
    assert nonzero_counts(registry, "errors", "query_errors", "transactions", "queries") == DEADLOCK


async def test_a_deadlock_of_tasks_is_counted_as_one(tasks: AsyncEngine, registry: CollectorRegistry) -> None:
    barrier = asyncio.Barrier(2)

    async def lock_crosswise(first: int, second: int) -> bool:
        async with tasks.connect() as connection:
            await connection.execute(sa.update(USERS).where(USERS.c.id == first).values(name="x"))
            await barrier.wait()
            try:
                await connection.execute(sa.update(USERS).where(USERS.c.id == second).values(name="y"))
            except sa.exc.DBAPIError:
                return False
            await connection.commit()
            return True

    assert sorted(await asyncio.gather(lock_crosswise(1, 2), lock_crosswise(2, 1))) == [False, True]
    assert nonzero_counts(registry, "errors", "query_errors", "transactions", "queries") == DEADLOCK


async def test_a_cancelled_query_closes_its_connection(
    tasks: AsyncEngine, admin: sa.Engine, registry: CollectorRegistry
) -> None:
    async def ask() -> None:
        async with tasks.connect() as connection:
            await connection.execute(sa.text("select pg_sleep(60)"))

    task = asyncio.create_task(ask())
    with admin.connect() as watch:
        await until(lambda: watch.scalar(ASLEEP), within=30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nonzero_counts(
        registry, "errors", "transactions", "connections_closed", "connection_hold", "connections_leaked"
    ) == {
        "errors execute cancelled": 1,
        "transactions failed": 1,
        "connections_closed main cancelled": 1,
        "connection_hold main": 1,
    }


async def test_a_cancelled_wait_for_a_connection_is_counted(tasks: AsyncEngine, registry: CollectorRegistry) -> None:
    """SQLAlchemy has no event for it. While it waits it is pending."""
    handle = instrument(tasks, metadata=TABLES)

    def pending() -> int:
        with events.pool_read.captured() as states:
            handle.read_pool()
        return states[0].pending or 0

    held = [await tasks.connect() for _ in range(5)]
    task = asyncio.create_task(open_connection(tasks))
    await until(pending)
    assert pending() == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pending() == 0
    for connection in held:
        await connection.close()
    assert nonzero_counts(registry, "pool_acquire", "connections_closed") == {
        "pool_acquire main ok": 5,
        "pool_acquire main cancelled": 1,
    }


async def open_connection(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


async def test_statements_sent_through_the_driver_itself_are_no_queries(
    runner: ScenarioRunner, registry: CollectorRegistry
) -> None:
    """As COPY with data is: its transaction and its hold are counted, the statement cannot be."""

    def copy(engine: sa.Engine) -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("copy users to '/dev/null'"))
            connection.execute(sa.delete(USERS))
            copy_rows(connection.connection.driver_connection)
            assert connection.scalar(sa.text("select count(*) from users")) == 2

    await runner.run(copy)
    assert nonzero_counts(registry, "queries", "transactions", "commit_duration", "connection_hold", "errors") == {
        "queries copy users": 1,
        "queries delete users": 1,
        "queries select users": 1,
        "transactions commit": 1,
        "commit_duration commit": 1,
        "connection_hold main": 1,
    }


def copy_rows(driver: Any) -> None:
    """Send two rows by COPY, as each driver does it."""
    rows = [(8, "eve"), (9, "dan")]
    if isinstance(driver, psycopg.Connection):
        with driver.cursor() as cursor, cursor.copy("copy users (id, name) from stdin") as copy:
            for row in rows:
                copy.write_row(row)
    elif isinstance(driver, psycopg.AsyncConnection):
        sa.util.await_only(copy_rows_later(driver, rows))
    else:
        sa.util.await_only(driver.copy_records_to_table("users", records=rows, columns=["id", "name"]))


async def copy_rows_later(driver: psycopg.AsyncConnection[Any], rows: list[tuple[int, str]]) -> None:
    async with driver.cursor() as cursor, cursor.copy("copy users (id, name) from stdin") as copy:
        for row in rows:
            await copy.write_row(row)


async def test_disposing_of_the_pool_while_tasks_work_loses_no_count(
    tasks: AsyncEngine, registry: CollectorRegistry
) -> None:
    """SQLAlchemy leaves what was checked out to the garbage collector, at which drivers warn: hence the closing."""
    made: list[Any] = []
    sa.event.listen(tasks.sync_engine, "connect", lambda adapter, _: made.append(adapter.driver_connection))

    async def work() -> None:
        for _ in range(10):
            async with tasks.connect() as connection:
                await connection.execute(sa.text("select pg_sleep(0.01)"))

    working = [asyncio.create_task(work()) for _ in range(8)]
    while not all(task.done() for task in working):
        await tasks.dispose()
        await asyncio.wait(working, timeout=0.02)
    await asyncio.gather(*working)
    for driver in made:
        await driver.close()
    await tasks.dispose()
    opened = len(made)
    del driver, working
    made.clear()
    gc.collect()
    instrument(tasks, metadata=TABLES).read_pool()
    closed = nonzero_counts(registry, "connections_closed")
    assert sum(closed.values()) == opened
    assert {*closed} == {"connections_closed main dispose"}
    assert nonzero_counts(registry, "queries", "pool_acquire", "connection_hold", "transactions", "errors") == {
        "queries select none": 80,
        "pool_acquire main ok": 80,
        "connection_hold main": 80,
        "transactions released": 80,
    }
    with events.pool_read.captured() as states:
        instrument(tasks, metadata=TABLES).read_pool()
    (state,) = states
    assert (state.used, state.pending, state.oldest_hold) == (0, 0, 0)


class Measured:
    """Seconds that the callers measured themselves."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.held: list[float] = []


def assert_agrees(measured: Measured, acquired: list[Any], released: list[Any], calls: int) -> None:
    """Assert that counts agree exactly, and sums of time to one percent."""
    assert len(acquired) == len(released) == len(measured.held) == calls
    assert {event.outcome for event in acquired} == {"ok"}
    assert sum(event.duration for event in acquired) == pytest.approx(sum(measured.waited), rel=0.01)
    assert sum(event.duration for event in released) == pytest.approx(sum(measured.held), rel=0.01)
    assert sum(event.wait for event in acquired) <= sum(event.duration for event in acquired)
    assert sum(event.idle for event in released) < 0.5 * sum(measured.held)


def test_waits_and_holds_of_sixteen_threads_are_as_long_as_they_measure(admin: sa.Engine, postgresql: sa.URL) -> None:
    """Waits and holds are long beside what a call takes, so that one percent is more than the calls."""
    engine = sa.create_engine(postgresql, pool_size=5, max_overflow=0)
    measured = Measured()

    def work(_: int) -> None:
        for _ in range(5):
            began = perf_counter()
            connection = engine.connect()
            checked_out = perf_counter()
            connection.execute(sa.text("select pg_sleep(0.1)"))
            connection.close()
            measured.waited.append(checked_out - began)
            measured.held.append(perf_counter() - checked_out)

    with (
        instrument(engine) as handle,
        events.connection_acquired.captured() as acquired,
        events.connection_released.captured() as released,
        events.pool_read.captured() as states,
    ):
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(work, range(16)))
        handle.read_pool()
    engine.dispose()
    assert_agrees(measured, acquired, released, 80)
    (state,) = states
    assert (state.used, state.pending, state.oldest_hold, state.idle) == (0, 0, 0, 5)


async def test_waits_and_holds_of_five_hundred_tasks_are_as_long_as_they_measure(tasks: AsyncEngine) -> None:
    measured = Measured()

    async def work() -> None:
        began = perf_counter()
        connection = await tasks.connect()
        checked_out = perf_counter()
        await connection.execute(sa.text("select pg_sleep(0.05)"))
        await connection.close()
        measured.waited.append(checked_out - began)
        measured.held.append(perf_counter() - checked_out)

    with (
        events.connection_acquired.captured() as acquired,
        events.connection_released.captured() as released,
        events.pool_read.captured() as states,
    ):
        await asyncio.gather(*(work() for _ in range(500)))
        instrument(tasks, metadata=TABLES).read_pool()
    assert_agrees(measured, acquired, released, 500)
    (state,) = states
    assert (state.used, state.pending, state.oldest_hold, state.idle) == (0, 0, 0, 5)
