"""Scenarios of connections and transactions on five drivers, and what each metric counts of them."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

import events
from events.bridges.sqlalchemy import instrument
from metrics import CATALOGUE, DATABASE_DETAILS, subscribe
from tests.support.databases import (
    ASYNC,
    POSTGRESQL,
    SQLITE,
    TABLES,
    USERS,
    ScenarioRunner,
    nonzero_counts,
    scenario_runner,
)

FAMILIES = ("queries", "errors", "query_errors", "transactions", "commit_duration", "pool_acquire", "pool_timeouts",
            "connection_create", "connections_closed", "connection_hold", "connections_leaked", "savepoints",
            "fetch")  # fmt: skip
DRIVERS = [*SQLITE, *(pytest.param(driver, marks=pytest.mark.slow) for driver in POSTGRESQL)]
ONE: dict[str, float] = {"connection_create main": 1, "pool_acquire main ok": 1, "connection_hold main": 1}
"""What is counted of one connection that is checked out and released."""


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(driver: str, request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """Return the address of a database with one table and two users in it."""
    sqlite = sa.make_url(f"sqlite:///{tmp_path}/test.db")
    made: sa.URL = sqlite if driver in SQLITE else request.getfixturevalue("postgresql")
    engine = sa.create_engine(made)
    TABLES.drop_all(engine)
    TABLES.create_all(engine)
    with engine.begin() as connection:
        connection.execute(USERS.insert(), [{"id": 1, "name": "ada"}, {"id": 2, "name": "bob"}])
    engine.dispose()
    return made


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    with subscribe(CATALOGUE + DATABASE_DETAILS, made, namespace="sparklio", label_values={"pool": ["main"]}):
        yield made


@pytest.fixture
def quiet_pool_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Silence what pools log of broken connections, which belong to the scenarios."""
    with caplog.at_level(logging.CRITICAL, logger="sqlalchemy.pool"):
        yield


@pytest.fixture
async def runner(url: sa.URL, driver: str) -> AsyncIterator[ScenarioRunner]:
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 1, "pool_timeout": 0.05, "insertmanyvalues_page_size": 2}
    async with scenario_runner(url, driver, **options) as made:
        with instrument(made.engine, metadata=TABLES):
            yield made


def read_users(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.select(USERS)).all()


def write_user(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(USERS.insert().values(id=3, name="cyd"))


def write_and_roll_back(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(USERS.insert().values(id=3, name="cyd"))
        connection.rollback()


def insert_a_duplicate_key(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(USERS.insert().values(id=1, name="ada"))


def select_from_a_missing_table(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.execute(sa.text("select * from nowhere"))


def omit_a_parameter(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.StatementError):
        connection.execute(sa.text("select :missing"), {})


def insert_many(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(USERS.insert(), [{"id": number, "name": "x"} for number in range(3, 8)])


def insert_in_batches(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        rows = [{"id": number, "name": "x"} for number in range(3, 8)]
        assert len(connection.execute(USERS.insert().returning(USERS.c.id), rows).all()) == 5


def fail_in_the_second_batch(engine: sa.Engine) -> None:
    rows = [{"id": number, "name": "x"} for number in (3, 4, 5, 1, 6)]
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(USERS.insert().returning(USERS.c.id), rows)


def connect_only(engine: sa.Engine) -> None:
    with engine.connect():
        pass


def use_savepoints(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        with connection.begin_nested():
            pass
        connection.begin_nested().rollback()


def write_in_autocommit(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(USERS.insert().values(id=3, name="cyd"))


def time_out_in_the_queue(engine: sa.Engine) -> None:
    with engine.connect(), engine.connect(), pytest.raises(sa.exc.TimeoutError):
        engine.connect()


def invalidate(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.select(USERS)).all()
        connection.invalidate()


def detach(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        driver_connection: Any = connection.connection.dbapi_connection
        connection.detach()
        connection.execute(sa.select(USERS)).all()
    if (engine.driver, engine.dialect.is_async) == ("psycopg", True):
        driver_connection.close()  # SQLAlchemy leaves this one to the garbage collector, which warns


def dispose_between(engine: sa.Engine) -> None:
    read_users(engine)
    engine.dispose()
    read_users(engine)


def dispose_while_checked_out(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        driver_connection: Any = connection.connection.driver_connection
        engine.dispose()
        connection.execute(sa.select(USERS)).all()
    connection.close()  # a second time does nothing
    closing = driver_connection.close()  # by hand, since drivers warn of what is left to the garbage collector
    if engine.dialect.is_async:
        sa.util.await_only(closing)
    del driver_connection
    gc.collect()
    read_users(engine)


def fail_to_connect(engine: sa.Engine) -> None:
    def refuse(*_: Any) -> None:
        raise engine.dialect.loaded_dbapi.OperationalError("no")

    sa.event.listen(engine, "do_connect", refuse)
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()


def fail_to_reconnect(engine: sa.Engine) -> None:
    def refuse(*_: Any) -> None:
        raise engine.dialect.loaded_dbapi.OperationalError("no")

    with engine.connect() as connection:
        connection.invalidate()
        sa.event.listen(engine, "do_connect", refuse)
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.select(USERS))
        connection.rollback()
        with pytest.raises(sa.exc.OperationalError):
            connection.begin()


def leak(engine: sa.Engine) -> None:
    connection = engine.raw_connection()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy warns of leaks
        del connection
        gc.collect()


@dataclass(frozen=True)
class Case:
    scenario: Callable[[sa.Engine], None]
    counts: dict[str, float]
    on_async: dict[str, float] = field(default_factory=dict)


TWO: dict[str, float] = dict.fromkeys(ONE, 2)
READ: dict[str, float] = {"queries select users": 1}
INSERT: dict[str, float] = {"queries insert users": 1}
COMMIT: dict[str, float] = {"transactions commit": 1, "commit_duration commit": 1}
ROLLBACK: dict[str, float] = {"transactions rollback": 1}
DUPLICATE: dict[str, float] = {"errors execute integrity": 1, "query_errors insert users integrity": 1}
MISSING_TABLE: dict[str, float] = {
    "queries select other": 1,
    "errors execute syntax": 1,
    "query_errors select other syntax": 1,
}
TIMED_OUT: dict[str, float] = {"pool_acquire main timeout": 1, "pool_timeouts main": 1}
BROKEN: dict[str, float] = ONE | {"errors connect connect": 2, "pool_acquire main error": 2}
DISPOSED: dict[str, float] = TWO | {
    "queries select users": 2, "transactions released": 2, "connections_closed main dispose": 1
}  # fmt: skip
SAVEPOINTS: dict[str, float] = {"queries savepoint none": 4, "savepoints released": 1, "savepoints rollback": 1}
LOST: dict[str, float] = {"transactions failed": 1}
# fmt: off
CASES = (
    Case(connect_only, ONE),
    Case(read_users, ONE | READ | {"transactions released": 1}),
    Case(write_user, ONE | INSERT | COMMIT),
    Case(write_and_roll_back, ONE | INSERT | ROLLBACK),
    Case(insert_many, ONE | INSERT | COMMIT),
    Case(insert_in_batches, ONE | COMMIT | {"queries insert users": 3}),
    Case(fail_in_the_second_batch, ONE | ROLLBACK | DUPLICATE | {"queries insert users": 2}),
    Case(insert_a_duplicate_key, ONE | INSERT | ROLLBACK | DUPLICATE),
    Case(select_from_a_missing_table, ONE | ROLLBACK | MISSING_TABLE),
    Case(omit_a_parameter, ONE | {"errors compile other": 1}),
    Case(use_savepoints, ONE | COMMIT | SAVEPOINTS),
    Case(write_in_autocommit, ONE | INSERT),
    Case(time_out_in_the_queue, TWO | TIMED_OUT | {"connections_closed main overflow": 1}),
    Case(invalidate, ONE | READ | LOST | {"connections_closed main invalidated": 1}),
    Case(detach, ONE | READ | {"connections_closed main detached": 1, "transactions released": 1}),
    Case(dispose_between, DISPOSED),
    Case(dispose_while_checked_out, DISPOSED),
    Case(fail_to_connect, {"errors connect connect": 1, "pool_acquire main error": 1}),
    Case(fail_to_reconnect, BROKEN | {"connections_closed main invalidated": 1}),
    Case(leak, ONE | {"connections_leaked main": 1}, on_async={"connections_closed main leaked": 1}),
)
# fmt: on


def assert_families_agree(registry: CollectorRegistry) -> None:
    """Assert that the families that count the same thing agree."""
    for first, second in (
        ("queries", "query_duration"),
        ("pool_acquire", "pool_wait"),
        ("connection_hold", "connection_idle_hold"),
    ):
        assert sum(nonzero_counts(registry, first).values()) == sum(nonzero_counts(registry, second).values())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.scenario.__name__ for case in CASES])
@pytest.mark.usefixtures("quiet_pool_log")
async def test_each_scenario_counts_exactly_what_happened(
    case: Case, runner: ScenarioRunner, driver: str, registry: CollectorRegistry
) -> None:
    """Whatever the driver; afterwards nothing is checked out."""
    await runner.run(case.scenario)
    counts = case.counts | (case.on_async if driver in ASYNC else {})
    assert nonzero_counts(registry, *FAMILIES) == counts
    assert_families_agree(registry)
    with instrument(runner.engine, metadata=TABLES) as handle, events.pool_read.captured() as states:
        handle.read_pool()
    (state,) = states
    assert (state.used, state.overflow, state.pending, state.oldest_hold) == (0, 0, 0, 0)
    assert state.capacity == 2


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (insert_a_duplicate_key, [("execute", "insert", "users")]),
        (omit_a_parameter, [("compile", "none", "none")]),
        (fail_to_connect, [("connect", "none", "none")]),
        (fail_to_reconnect, [("connect", "none", "none")] * 2),
    ],
)
async def test_a_failure_has_the_operation_and_table_that_failed(
    scenario: Callable[[sa.Engine], None], expected: list[tuple[str, str, str]], runner: ScenarioRunner
) -> None:
    with events.database_failed.captured() as failures:
        await runner.run(scenario)
    assert [(failure.phase, failure.operation, failure.table) for failure in failures] == expected


@pytest.mark.slow
async def test_a_connection_that_is_too_old_is_recycled(url: sa.URL, driver: str, registry: CollectorRegistry) -> None:
    async with scenario_runner(url, driver, pool_recycle=3600) as runner:
        with instrument(runner.engine):
            await runner.run(read_users)
            runner.engine.pool._recycle = 0  # an hour later
            await runner.run(read_users)
    assert nonzero_counts(registry, "connections_closed", "connection_create") == {
        "connection_create main": 2,
        "connections_closed main recycle": 1,
    }


async def test_the_time_between_queries_is_idle(runner: ScenarioRunner) -> None:
    """A hold is split into the database's work and the rest, and has the caller that checked the connection out."""

    def hold(engine: sa.Engine) -> None:
        with events.agent_run(agent_name="copywriter"), engine.connect() as connection:
            connection.execute(sa.select(USERS)).all()

    with events.connection_released.captured() as seen, events.query_executed.captured() as queries:
        await runner.run(hold)
    (released,), (query,) = seen, queries
    assert (released.scope, released.agent_name) == ("agent", "copywriter")
    assert released.duration is not None
    assert query.duration < released.duration
    assert released.idle is not None
    assert released.idle + query.duration <= released.duration
    assert released.idle > 0


@pytest.mark.slow
async def test_a_streamed_result_is_timed_to_its_end(runner: ScenarioRunner, registry: CollectorRegistry) -> None:
    def stream(engine: sa.Engine) -> None:
        numbers = sa.text(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300) "
            "select users.id, i from users, n"
        )
        with engine.connect() as connection:
            for options in ({"yield_per": 10}, {"stream_results": True}):
                result = connection.execution_options(**options).execute(numbers)
                assert len(result.fetchmany(5)) == 5
                assert len(result.all()) == 595
            with connection.execution_options(stream_results=True).execute(numbers) as result:
                result.first()

    with events.rows_streamed.captured() as seen:
        await runner.run(stream)
    assert [event.rows for event in seen] == [600, 600, 1]
    assert min(event.duration for event in seen) > 0
    assert {event.table for event in seen} == {"users"}
