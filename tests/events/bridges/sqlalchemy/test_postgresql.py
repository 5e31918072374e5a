"""Statements on a real PostgreSQL, through psycopg, sync and async: what SQLite does not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import events
from events import QueryExecuted
from events.bridges.sqlalchemy import instrument
from tests.support.postgresql import postgresql_server
from tests.support.wait import until

pytestmark = pytest.mark.slow

TABLES = sa.MetaData()
USERS = sa.Table(
    "users",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("tags", sa.ARRAY(sa.Text)),
)
sa.Table(
    "posts",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.Integer),
    sa.Column("title", sa.Text),
)
sa.Table("Order Items", TABLES, sa.Column("select", sa.Text), sa.Column("from", sa.Text))
sa.Table("orders", TABLES, sa.Column("id", sa.Integer, primary_key=True), schema="sales")
OTHER_OBJECTS = (
    "create sequence counter",
    "create procedure refresh_totals(n int) language sql as 'select 1'",
    "create function series_of(n int) returns setof int language sql as 'select generate_series(1, n)'",
)


@pytest.fixture(scope="module")
def url() -> Iterator[sa.URL]:
    with postgresql_server() as made:
        engine = sa.create_engine(made)
        with engine.begin() as connection:
            connection.execute(sa.text("create schema sales"))
            TABLES.create_all(connection)
            for text in OTHER_OBJECTS:
                connection.execute(sa.text(text))
        engine.dispose()
        yield made


@pytest.fixture
def engine(url: sa.URL) -> Iterator[sa.Engine]:
    made = sa.create_engine(url, insertmanyvalues_page_size=2)
    yield made
    made.dispose()


@pytest.fixture
async def async_engine(url: sa.URL) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(url, pool_size=10)
    yield made
    await made.dispose()


def outcomes(seen: list[QueryExecuted]) -> list[tuple[str, str, str]]:
    return [(event.operation, event.table, event.error) for event in seen]


def test_the_rows_of_statements_txt_are_right_on_a_server(engine: sa.Engine) -> None:
    """Each is sent as text and emits one event; PostgreSQL refuses none."""
    section = Path(__file__).with_name("statements.txt").read_text().split("[postgresql]")[1].split("[text]")[0]
    wanted, seen = [], []
    with instrument(engine), engine.connect() as connection:
        for operation, table, text in (line.split(" | ", 2) for line in section.strip().splitlines()):
            with events.query_executed.captured() as emitted:
                connection.exec_driver_sql(text.replace(r"\n", "\n").replace(r"\t", "\t"))
            connection.rollback()
            wanted.append([(operation, table, "", text)])
            seen.append([(*each, text) for each in outcomes(emitted)])
    assert seen == wanted


def test_the_first_queries_of_a_dialect_to_a_server_are_not_emitted(engine: sa.Engine) -> None:
    """They are SQLAlchemy's own, not the program's."""
    with instrument(engine), events.query_executed.captured() as seen, engine.connect() as connection:
        connection.execute(sa.text("select 1"))
    assert outcomes(seen) == [("select", "none", "")]


def test_reflection_reads_the_database_s_own_tables(engine: sa.Engine) -> None:
    with instrument(engine, metadata=TABLES), events.query_executed.captured() as seen:
        sa.MetaData().reflect(engine)
        TABLES.create_all(engine)
    assert {event.table for event in seen} <= {"system", "none"}
    assert ("select", "system", "") in outcomes(seen)


def test_the_lookup_of_a_sequence_is_a_statement_of_its_own(engine: sa.Engine) -> None:
    numbered = sa.Table(
        "counted",
        sa.MetaData(),
        sa.Column("id", sa.Integer, sa.Sequence("counted_ids"), primary_key=True),
        implicit_returning=False,
    )
    with instrument(engine), engine.connect() as connection:
        numbered.create(connection)
        with events.query_executed.captured() as seen:
            connection.execute(numbered.insert())
    assert outcomes(seen) == [("select", "none", ""), ("insert", "counted", "")]


def test_a_table_in_a_translated_schema_is_named_without_it(engine: sa.Engine) -> None:
    orders = sa.Table("orders", sa.MetaData(), sa.Column("id", sa.Integer), schema="tenant")
    with instrument(engine), engine.connect() as plain, events.query_executed.captured() as seen:
        connection = plain.execution_options(schema_translate_map={"tenant": "sales"})
        connection.execute(sa.select(orders))
        connection.execute(orders.insert().values(id=1))
    assert outcomes(seen) == [("select", "orders", ""), ("insert", "orders", "")]


def test_each_batch_of_inserted_values_is_a_statement(engine: sa.Engine) -> None:
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        connection.execute(USERS.insert().returning(USERS.c.id), [{"name": str(number)} for number in range(5)])
    assert outcomes(seen) == [("insert", "users", "")] * 3


def test_an_error_while_fetching_is_no_second_query(engine: sa.Engine) -> None:
    """A server-side cursor comes to the division by zero long after the statement was answered."""
    text = sa.text("select 1 / (500 - n) from generate_series(1, 1000) as n")
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        rows = connection.execution_options(yield_per=10).execute(text)
        with pytest.raises(sa.exc.DataError):
            rows.all()
    assert outcomes(seen) == [("select", "none", "")]


def test_a_statement_timeout_is_emitted_with_its_duration(engine: sa.Engine) -> None:
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        connection.execute(sa.text("set local statement_timeout = 100"))
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("select pg_sleep(60) from users right join generate_series(1, 1) on true"))
    assert outcomes(seen) == [("set", "none", ""), ("select", "users", "OperationalError")]
    assert 0.1 <= seen[1].duration < 30


def test_a_commit_that_fails_is_no_query(engine: sa.Engine) -> None:
    """COMMIT is not sent through a cursor: its error is not the last statement's."""
    with instrument(engine), engine.connect() as connection:
        connection.execute(sa.text("create temporary table once (id int unique deferrable initially deferred)"))
        with events.query_executed.captured() as seen:
            connection.execute(sa.text("insert into once values (1), (1)"))
            with pytest.raises(sa.exc.IntegrityError):
                connection.commit()
    assert outcomes(seen) == [("insert", "once", "")]


def test_a_query_on_a_connection_that_was_cut_is_emitted_once(engine: sa.Engine) -> None:
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        backend = connection.scalar(sa.text("select pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(sa.text("select pg_terminate_backend(:backend)"), {"backend": backend})
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.select(USERS))
    assert outcomes(seen) == [("select", "none", ""), ("select", "none", ""), ("select", "users", "OperationalError")]


async def test_a_query_of_a_cancelled_task_is_emitted(async_engine: AsyncEngine, engine: sa.Engine) -> None:
    async def ask() -> None:
        async with async_engine.connect() as connection:
            await connection.execute(sa.text("select pg_sleep(60)"))

    asleep = sa.text("select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'")
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch,
        instrument(async_engine),
        events.query_executed.captured() as seen,
    ):
        task = asyncio.create_task(ask())
        await until(lambda: watch.scalar(asleep), within=30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert outcomes(seen) == [("select", "none", "CancelledError")]
    assert 0 < seen[0].duration < 60


async def test_queries_of_concurrent_tasks_have_their_own_durations(async_engine: AsyncEngine) -> None:
    """If they shared a start time, the short ones would have the duration of the long one, or the reverse."""

    async def ask(seconds: float, table: str) -> None:
        async with async_engine.connect() as connection:
            await connection.execute(
                sa.text(f"select pg_sleep({seconds}) from (select 1) as one left join {table} on false")
            )

    with instrument(async_engine), events.query_executed.captured() as seen:
        await asyncio.gather(ask(2.0, "posts"), *(ask(0.05, "users") for _ in range(8)))
    durations = {table: [event.duration for event in seen if event.table == table] for table in ("posts", "users")}
    assert len(seen) == 9
    assert min(durations["posts"]) >= 2
    assert min(durations["users"]) >= 0.05
    assert max(durations["users"]) < 2


async def test_the_async_driver_emits_what_the_sync_one_does(async_engine: AsyncEngine) -> None:
    with instrument(async_engine, metadata=TABLES), events.query_executed.captured() as seen:
        async with async_engine.connect() as connection:
            await connection.execute(sa.select(USERS))
            await connection.execute(USERS.insert(), [{"name": "a"}, {"name": "b"}])
            rows = await connection.stream(sa.text("select n from generate_series(1, 100) as n"))
            assert len([row async for row in rows]) == 100
            with pytest.raises(sa.exc.ProgrammingError):
                await connection.execute(sa.text("select * from nowhere"))
    reads = [("select", "users", ""), ("insert", "users", ""), ("select", "none", "")]
    assert outcomes(seen) == [*reads, ("select", "other", "ProgrammingError")]


SLOW_FIRST_ROW = sa.text("select i from generate_series(1, 3) as i, pg_sleep(0.2) order by i")
"""The server has to do all the work before there is a first row."""
SLOW_ROWS = "select pg_sleep(case when i > 3 then 60 else 0 end) from generate_series(1, 9) as i"


@pytest.mark.parametrize("options", [{"stream_results": True}, {"yield_per": 2}, {}])
def test_the_first_fetch_of_a_stream_is_time_of_its_statement(options: dict[str, Any], engine: sa.Engine) -> None:
    with (
        instrument(engine),
        events.query_executed.captured() as executed,
        events.rows_streamed.captured() as fetched,
        events.database_used.captured() as used,
        events.connection_released.captured() as released,
        events.agent_run(agent_name="writer"),
        engine.connect() as connection,
    ):
        assert len(connection.execution_options(**options).execute(SLOW_FIRST_ROW).all()) == 3
    assert [event.rows for event in fetched] == ([3] if options else [])
    assert executed[0].duration + sum(event.duration for event in fetched) >= 0.2
    assert used[0].duration >= 0.2
    assert released[0].busy is not None
    assert released[0].busy >= 0.2


def test_a_stream_without_a_row_took_its_time(engine: sa.Engine) -> None:
    empty = sa.text("select 1 where pg_sleep(0.1) is null")
    with instrument(engine), events.rows_streamed.captured() as fetched, engine.connect() as connection:
        result = connection.execution_options(stream_results=True).execute(empty)
        assert result.all() == []
        assert [event.rows for event in fetched] == [0]
    assert fetched[0].duration >= 0.1


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_fetch_that_is_cancelled_took_its_time(driver: str, url: sa.URL, engine: sa.Engine) -> None:
    async def read() -> None:
        async with streaming.connect() as connection:
            async for _ in await connection.stream(sa.text(SLOW_ROWS), execution_options={"yield_per": 1}):
                pass

    asleep = sa.text("select 1 from pg_stat_activity where wait_event = 'PgSleep'")
    streaming = create_async_engine(url.set(drivername=f"postgresql+{driver}"))
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch,
        instrument(streaming),
        events.rows_streamed.captured() as fetched,
        events.connection_released.captured() as released,
    ):
        task = asyncio.create_task(read())
        await until(lambda: watch.scalar(asleep), within=30)
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await streaming.dispose()
    (event,), (hold,) = fetched, released
    assert event.duration >= 0.2
    assert hold.busy is not None
    assert hold.busy >= event.duration


def test_a_fetch_that_fails_makes_its_transaction_one_that_failed(engine: sa.Engine) -> None:
    dividing = sa.text("select 1 / (3 - i) from generate_series(1, 9) as i")
    with instrument(engine), events.transaction_ended.captured() as ended, engine.connect() as connection:
        rows = connection.execution_options(yield_per=1).execute(dividing)
        with pytest.raises(sa.exc.DataError):
            rows.all()
    assert [event.outcome for event in ended] == ["rollback"]


def insert_again(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        connection.execute(sa.text("insert into users (id) values (1)"))


def cannot_adapt(connection: sa.Connection) -> None:
    """Fail in the driver: the server has not seen the statement."""
    with pytest.raises(sa.exc.ProgrammingError):
        connection.execute(sa.text("select :value"), {"value": object()})


def by_savepoint(connection: sa.Connection) -> None:
    with connection.begin_nested() as savepoint:
        insert_again(connection)
        savepoint.rollback()


def by_text(connection: sa.Connection) -> None:
    connection.exec_driver_sql("savepoint here")
    insert_again(connection)
    connection.exec_driver_sql("rollback to here")


def commit(connection: sa.Connection) -> None:
    connection.commit()


def commit_by_text(connection: sa.Connection) -> None:
    connection.exec_driver_sql("commit")


@pytest.mark.parametrize(
    ("driver", "trouble", "end", "outcomes"),
    [
        *(
            (driver, *case)
            for driver in ("psycopg", "asyncpg")
            for case in (
                (insert_again, commit, ["rollback"]),
                (insert_again, commit_by_text, ["rollback"]),
                (by_savepoint, commit, ["commit"]),
                (by_text, commit, ["commit"]),
                (by_text, commit_by_text, ["commit"]),
            )
        ),
        ("psycopg", cannot_adapt, commit, ["commit"]),  # asyncpg does not say that the server knows nothing of it
    ],
)
async def test_a_commit_that_the_server_answers_with_a_rollback_is_one(
    driver: str, trouble: Any, end: Any, outcomes: list[str], url: sa.URL
) -> None:
    """And what it then has is what the outcome says."""
    engine = create_async_engine(url.set(drivername=f"postgresql+{driver}"))

    def scenario(connection: sa.Connection) -> None:
        connection.execute(sa.text("insert into users (id) values (1)"))
        trouble(connection)
        end(connection)

    with instrument(engine), events.transaction_ended.captured() as ended:
        async with engine.connect() as connection:
            await connection.run_sync(scenario)
    async with engine.begin() as connection:
        kept = (await connection.execute(sa.text("delete from users where id = 1"))).rowcount
    await engine.dispose()
    assert [event.outcome for event in ended] == outcomes
    assert kept == (outcomes[0] == "commit")


def test_what_was_prepared_is_not_rolled_back(engine: sa.Engine) -> None:
    with instrument(engine), events.transaction_ended.captured() as ended, engine.connect() as connection:
        connection.execute(sa.text("create temporary table parts (id int)"))
        assert connection.connection.driver_connection is not None
        connection.connection.driver_connection.commit()  # behind SQLAlchemy's back, as PREPARE TRANSACTION is
        connection.rollback()
    assert [event.outcome for event in ended] == ["released"]
