"""What becomes of connections and transactions, on five drivers: each scenario, and what each metric says of it."""

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
from tests.support.databases import ASYNC, POSTGRESQL, SQLITE, TABLES, USERS, Bench, bench, said

FAMILIES = ("queries", "errors", "query_errors", "transactions", "commit_duration", "pool_acquire", "pool_timeouts",
            "connection_create", "connections_closed", "connection_hold", "connections_leaked", "savepoints",
            "fetch")  # fmt: skip
DRIVERS = [*SQLITE, *(pytest.param(driver, marks=pytest.mark.slow) for driver in POSTGRESQL)]
ONE: dict[str, float] = {"connection_create main": 1, "pool_acquire main ok": 1, "connection_hold main": 1}
"""What one connection says that is taken and given back."""


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(driver: str, request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """Name a database with one table and two users in it."""
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
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Keep what pools say of broken connections, which is part of the scenarios, out of the log."""
    with caplog.at_level(logging.CRITICAL, logger="sqlalchemy.pool"):
        yield


@pytest.fixture
async def at(url: sa.URL, driver: str) -> AsyncIterator[Bench]:
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 1, "pool_timeout": 0.05, "insertmanyvalues_page_size": 2}
    async with bench(url, driver, **options) as made:
        with instrument(made.engine, metadata=TABLES):
            yield made


def read(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.select(USERS)).all()


def write(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(USERS.insert().values(id=3, name="cyd"))


def take_back(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(USERS.insert().values(id=3, name="cyd"))
        connection.rollback()


def twice_the_same_key(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(USERS.insert().values(id=1, name="ada"))


def unheard_of(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.execute(sa.text("select * from nowhere"))


def parameter_missing(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.StatementError):
        connection.execute(sa.text("select :missing"), {})


def many(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(USERS.insert(), [{"id": number, "name": "x"} for number in range(3, 8)])


def in_batches(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        rows = [{"id": number, "name": "x"} for number in range(3, 8)]
        assert len(connection.execute(USERS.insert().returning(USERS.c.id), rows).all()) == 5


def second_batch_fails(engine: sa.Engine) -> None:
    rows = [{"id": number, "name": "x"} for number in (3, 4, 5, 1, 6)]
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.execute(USERS.insert().returning(USERS.c.id), rows)


def nothing(engine: sa.Engine) -> None:
    with engine.connect():
        pass


def savepoints(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        with connection.begin_nested():
            pass
        connection.begin_nested().rollback()


def autocommit(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(USERS.insert().values(id=3, name="cyd"))


def sent_away(engine: sa.Engine) -> None:
    with engine.connect(), engine.connect(), pytest.raises(sa.exc.TimeoutError):
        engine.connect()


def invalidated(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.select(USERS)).all()
        connection.invalidate()


def detached(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        driver_s: Any = connection.connection.dbapi_connection
        connection.detach()
        connection.execute(sa.select(USERS)).all()
    if (engine.driver, engine.dialect.is_async) == ("psycopg", True):
        driver_s.close()  # SQLAlchemy leaves this one open for the garbage collector to complain about


def disposed(engine: sa.Engine) -> None:
    read(engine)
    engine.dispose()
    read(engine)


def disposed_while_out(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        driver_s: Any = connection.connection.driver_connection
        engine.dispose()
        connection.execute(sa.select(USERS)).all()
    connection.close()  # once more is nothing
    closing = driver_s.close()  # by hand, since drivers complain of what is left to the garbage collector
    if engine.dialect.is_async:
        sa.util.await_only(closing)
    del driver_s
    gc.collect()
    read(engine)


def broken_creation(engine: sa.Engine) -> None:
    def refuse(*_: Any) -> None:
        raise engine.dialect.loaded_dbapi.OperationalError("no")

    sa.event.listen(engine, "do_connect", refuse)
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()


def broken_reconnection(engine: sa.Engine) -> None:
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


def leaked(engine: sa.Engine) -> None:
    connection = engine.raw_connection()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy warns, and that is what this test is about
        del connection
        gc.collect()


@dataclass(frozen=True)
class Case:
    scenario: Callable[[sa.Engine], None]
    says: dict[str, float]
    on_async: dict[str, float] = field(default_factory=dict)


TWO: dict[str, float] = dict.fromkeys(ONE, 2)
READ: dict[str, float] = {"queries select users": 1}
INSERT: dict[str, float] = {"queries insert users": 1}
COMMIT: dict[str, float] = {"transactions commit": 1, "commit_duration commit": 1}
ROLLBACK: dict[str, float] = {"transactions rollback": 1}
DUPLICATE: dict[str, float] = {"errors execute integrity": 1, "query_errors insert users integrity": 1}
UNHEARD_OF: dict[str, float] = {
    "queries select other": 1,
    "errors execute syntax": 1,
    "query_errors select other syntax": 1,
}
SENT_AWAY: dict[str, float] = {"pool_acquire main timeout": 1, "pool_timeouts main": 1}
BROKEN: dict[str, float] = ONE | {"errors connect connect": 2, "pool_acquire main error": 2}
DISPOSED: dict[str, float] = TWO | {
    "queries select users": 2, "transactions released": 2, "connections_closed main dispose": 1
}  # fmt: skip
LOST: dict[str, float] = {"transactions failed": 1}
# fmt: off
CASES = (
    Case(nothing, ONE),
    Case(read, ONE | READ | {"transactions released": 1}),
    Case(write, ONE | INSERT | COMMIT),
    Case(take_back, ONE | INSERT | ROLLBACK),
    Case(many, ONE | INSERT | COMMIT),
    Case(in_batches, ONE | COMMIT | {"queries insert users": 3}),
    Case(second_batch_fails, ONE | ROLLBACK | DUPLICATE | {"queries insert users": 2}),
    Case(twice_the_same_key, ONE | INSERT | ROLLBACK | DUPLICATE),
    Case(unheard_of, ONE | ROLLBACK | UNHEARD_OF),
    Case(parameter_missing, ONE | {"errors compile other": 1}),
    Case(savepoints, ONE | COMMIT | {"queries savepoint none": 4, "savepoints released": 1, "savepoints rollback": 1}),
    Case(autocommit, ONE | INSERT),
    Case(sent_away, TWO | SENT_AWAY | {"connections_closed main overflow": 1}),
    Case(invalidated, ONE | READ | LOST | {"connections_closed main invalidated": 1}),
    Case(detached, ONE | READ | {"connections_closed main detached": 1, "transactions released": 1}),
    Case(disposed, DISPOSED),
    Case(disposed_while_out, DISPOSED),
    Case(broken_creation, {"errors connect connect": 1, "pool_acquire main error": 1}),
    Case(broken_reconnection, BROKEN | {"connections_closed main invalidated": 1}),
    Case(leaked, ONE | {"connections_leaked main": 1}, on_async={"connections_closed main leaked": 1}),
)
# fmt: on


def adds_up(registry: CollectorRegistry) -> None:
    """See that the families that count the same thing agree."""
    for one, other in (
        ("queries", "query_duration"),
        ("pool_acquire", "pool_wait"),
        ("connection_hold", "connection_idle_hold"),
    ):
        assert sum(said(registry, one).values()) == sum(said(registry, other).values())


@pytest.mark.parametrize("case", CASES, ids=[case.scenario.__name__ for case in CASES])
@pytest.mark.usefixtures("quiet")
async def test_each_scenario_is_told_exactly(case: Case, at: Bench, driver: str, registry: CollectorRegistry) -> None:
    """Nothing more and nothing less than what happened, whatever the driver; afterwards nothing is held."""
    await at.run(case.scenario)
    says = case.says | (case.on_async if driver in ASYNC else {})
    assert said(registry, *FAMILIES) == says
    adds_up(registry)
    with instrument(at.engine, metadata=TABLES) as handle, events.pool_read.captured() as states:
        handle.read_pool()
    (state,) = states
    assert (state.used, state.overflow, state.pending, state.oldest_hold) == (0, 0, 0, 0)
    assert state.capacity == 2


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        (twice_the_same_key, [("execute", "insert", "users")]),
        (parameter_missing, [("compile", "none", "none")]),
        (broken_creation, [("connect", "none", "none")]),
        (broken_reconnection, [("connect", "none", "none")] * 2),
    ],
)
async def test_a_failure_is_told_with_what_was_asked(
    scenario: Callable[[sa.Engine], None], told: list[tuple[str, str, str]], at: Bench
) -> None:
    with events.database_failed.captured() as failures:
        await at.run(scenario)
    assert [(failure.phase, failure.operation, failure.table) for failure in failures] == told


async def test_a_connection_too_old_is_recycled(url: sa.URL, driver: str, registry: CollectorRegistry) -> None:
    async with bench(url, driver, pool_recycle=3600) as at:
        with instrument(at.engine):
            await at.run(read)
            at.engine.pool._recycle = 0  # an hour later
            await at.run(read)
    assert said(registry, "connections_closed", "connection_create") == {
        "connection_create main": 2,
        "connections_closed main recycle": 1,
    }


async def test_time_in_which_nothing_is_asked_is_idle_hold(at: Bench) -> None:
    """A hold is split into what the database worked and what it did not; who took it is told with it."""

    def hold(engine: sa.Engine) -> None:
        with events.agent_run(agent_name="copywriter"), engine.connect() as connection:
            connection.execute(sa.select(USERS)).all()

    with events.connection_released.captured() as seen, events.query_executed.captured() as queries:
        await at.run(hold)
    (released,), (query,) = seen, queries
    assert (released.scope, released.agent_name) == ("agent", "copywriter")
    assert query.duration < released.duration
    assert released.idle is not None
    assert released.idle + query.duration <= released.duration
    assert released.idle > 0


async def test_a_stream_is_timed_to_its_end(at: Bench, registry: CollectorRegistry) -> None:
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
        await at.run(stream)
    assert [event.rows for event in seen] == [600, 600, 1]
    assert min(event.duration for event in seen) > 0
    assert {event.table for event in seen} == {"users"}
