"""Each statement that an engine sends is emitted once, whether it succeeds or fails. On SQLite."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

import events
from events import QueryExecuted
from events.bridges.sqlalchemy import instrument


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    posts: Mapped[list[Post]] = relationship()


class Post(Base):
    __tablename__ = "Blog Posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(sa.String(40), default="untitled")


POSTS: Any = Post.__table__
USERS: Any = User.__table__


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path}/test.db", insertmanyvalues_page_size=2)
    Base.metadata.create_all(made)
    with made.begin() as connection:
        connection.execute(USERS.insert(), [{"id": 1, "name": "ada"}, {"id": 2, "name": "bob"}])
        connection.execute(POSTS.insert(), [{"id": 1, "user_id": 1}, {"id": 2, "user_id": 2}])
    yield made
    made.dispose()


@pytest.fixture
async def async_engine(engine: sa.Engine) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(engine.url.set(drivername="sqlite+aiosqlite"))
    yield made
    await made.dispose()


def operations(seen: list[QueryExecuted]) -> list[tuple[str, str]]:
    return [(event.operation, event.table) for event in seen]


def test_each_statement_is_emitted_once_with_its_duration(engine: sa.Engine) -> None:
    with instrument(engine, "studio"), engine.connect() as connection, events.query_executed.captured() as seen:
        connection.execute(sa.select(USERS)).all()
    (event,) = seen
    assert (event.engine, event.operation, event.table, event.error) == ("studio", "select", "users", "")
    assert 0 < event.duration < 5


def test_the_orm_emits_one_event_for_each_statement_that_it_sends(engine: sa.Engine) -> None:
    """Loads, lazy loads, eager loads and the unit of work, by table."""
    with instrument(engine), Session(engine) as session:
        with events.query_executed.captured() as seen:
            ada = session.get(User, 1)
            assert ada is not None
            assert ada.posts
        assert operations(seen) == [("select", "users"), ("select", "Blog Posts")]
        with events.query_executed.captured() as seen:
            session.scalars(sa.select(User).options(selectinload(User.posts))).all()
            session.scalars(sa.select(User).options(joinedload(User.posts)).limit(1)).unique().all()
            session.scalar(sa.select(sa.exists().where(User.id == 1)))
        assert operations(seen) == [
            ("select", "users"),
            ("select", "Blog Posts"),
            ("select", "users"),
            ("select", "users"),
        ]
        with events.query_executed.captured() as seen:
            session.add(User(name="cyd", posts=[Post()]))
            session.flush()
            ada.name = "eve"
            session.flush()
            session.delete(ada.posts[0])
            session.flush()
            session.execute(sa.update(User).where(User.id == 9).values(name="x"))
            session.execute(sa.delete(Post).where(Post.id == 9))
            session.scalars(sa.insert(User).returning(User.id), [{"name": "dan"}]).all()
        wrote = [("insert", "users"), ("insert", "Blog Posts"), ("update", "users"), ("delete", "Blog Posts")]
        assert operations(seen) == [*wrote, ("update", "users"), ("delete", "Blog Posts"), ("insert", "users")]


def test_statements_of_core_text_driver_and_schema_are_emitted(engine: sa.Engine) -> None:
    alias = USERS.alias("u")
    gone = sa.table("elsewhere", sa.column("id"), schema="main")
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        connection.execute(sa.select(alias.c.id))
        connection.execute(USERS.insert().values([{"name": "x"}, {"name": "y"}]))
        connection.execute(USERS.insert().from_select(["name"], sa.select(POSTS.c.title).where(sa.false())))
        connection.execute(sa.text("select * from users where id = :from"), {"from": 1})
        connection.exec_driver_sql('delete from "Blog Posts" where id = ?', (7,))
        connection.execute(sa.schema.CreateTable(sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer))))
        connection.execute(sa.text("insert into notes values (:id)"), [{"id": 1}, {"id": 2}])
        connection.execute(sa.text("pragma user_version"))
        connection.execute(sa.func.count())
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.select(gone))
    reads = [("select", "users"), ("insert", "users"), ("insert", "users"), ("select", "users")]
    writes = [("delete", "Blog Posts"), ("ddl", "notes"), ("insert", "notes"), ("set", "system"), ("select", "none")]
    assert operations(seen) == [*reads, *writes, ("select", "elsewhere")]


def test_a_savepoint_is_emitted_as_the_statements_that_it_sends(engine: sa.Engine) -> None:
    with instrument(engine), engine.begin() as connection, events.query_executed.captured() as seen:
        with connection.begin_nested():
            pass
        connection.begin_nested().rollback()
    assert operations(seen) == [("savepoint", "none")] * 4


def test_executemany_is_one_statement_and_so_is_each_batch_of_inserted_values(engine: sa.Engine) -> None:
    """Five rows that are to return their keys are sent in pages of two."""
    rows = [{"name": f"user {number}"} for number in range(5)]
    with instrument(engine), engine.connect() as connection:
        with events.query_executed.captured() as seen:
            connection.execute(USERS.insert(), rows)
        assert operations(seen) == [("insert", "users")]
        connection.rollback()
        with events.query_executed.captured() as seen:
            assert len(connection.execute(USERS.insert().returning(USERS.c.id), rows).all()) == 5
        assert operations(seen) == [("insert", "users")] * 3
        assert {event.error for event in seen} == {""}


def test_a_batch_that_fails_is_emitted_after_those_that_succeeded(engine: sa.Engine) -> None:
    rows = [{"name": name} for name in ("x", "y", "z", "z", "w")]
    with (
        instrument(engine),
        engine.connect() as connection,
        events.query_executed.captured() as seen,
        pytest.raises(sa.exc.IntegrityError),
    ):
        connection.execute(USERS.insert().returning(USERS.c.id), rows)
    assert [(event.operation, event.table, event.error) for event in seen] == [
        ("insert", "users", ""),
        ("insert", "users", "IntegrityError"),
    ]


def test_the_lookup_of_a_default_is_a_statement_of_its_own(engine: sa.Engine) -> None:
    """It runs on the execution context of the INSERT that waits for it, and is not that INSERT."""
    metadata = sa.MetaData()
    following = sa.select(sa.func.coalesce(sa.func.max(USERS.c.id), 0) + 1).scalar_subquery()
    notes = sa.Table(
        "notes", metadata, sa.Column("id", sa.Integer, primary_key=True, default=following), implicit_returning=False
    )
    metadata.create_all(engine)
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        for _ in range(3):  # the third time it is describe_cached
            connection.execute(notes.insert())
            connection.rollback()
    assert operations(seen) == [("select", "users"), ("insert", "notes")] * 3


@pytest.mark.parametrize(
    ("statement", "error", "table"),
    [
        ("select * from nowhere", "OperationalError", "nowhere"),
        ("insert into users (id, name) values (1, 'ada')", "IntegrityError", "users"),
        ("selec", "OperationalError", "none"),
    ],
)
def test_a_statement_that_fails_is_emitted_once_with_its_error(
    engine: sa.Engine, statement: str, error: str, table: str
) -> None:
    with (
        instrument(engine),
        engine.connect() as connection,
        events.query_executed.captured() as seen,
        pytest.raises(sa.exc.DBAPIError),
    ):
        connection.execute(sa.text(statement))
    (event,) = seen
    assert (event.error, event.table) == (error, table)
    assert event.duration > 0


def test_nothing_is_emitted_for_a_statement_that_was_never_sent(engine: sa.Engine) -> None:
    """Parameters that do not compile, and a connection that cannot be made, are no queries."""
    nowhere = sa.create_engine("sqlite:////nowhere/at/all.db")
    with instrument(engine), instrument(nowhere), events.query_executed.captured() as seen:
        with engine.connect() as connection, pytest.raises(sa.exc.StatementError):
            connection.execute(sa.text("select :missing"), {})
        with pytest.raises(sa.exc.OperationalError):
            nowhere.connect()
    assert not seen


def test_only_tables_of_the_metadata_are_named(engine: sa.Engine) -> None:
    """So no text can make up label values. Tables that are declared later are named too."""
    metadata = sa.MetaData()
    sa.Table("users", metadata)
    sa.Table("Blog Posts", metadata, schema="main")
    sa.Table("Mixed", metadata)
    with instrument(engine, metadata=metadata), engine.connect() as connection:
        with events.query_executed.captured() as seen:
            connection.execute(sa.text("create table notes (id int)"))
            connection.execute(sa.text("create table mixed (id int)"))
            for table in ("USERS", '"Blog Posts"', "notes", "sqlite_master", "(values (1))"):
                connection.execute(sa.text(f"select * from {table}"))
        tables = ["other", "Mixed", "users", "Blog Posts", "other", "system", "none"]
        assert [event.table for event in seen] == tables
        with events.query_executed.captured() as seen:
            for _ in range(3):
                connection.execute(sa.text("select * from notes"))
        assert operations(seen) == [("select", "other")] * 3
        sa.Table("notes", metadata)
        with events.query_executed.captured() as seen:
            connection.execute(sa.text("select * from notes"))
        assert operations(seen) == [("select", "notes")]


def test_in_lists_of_any_length_are_classified_once(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each compiled form, though each length is another text."""
    described: list[str] = []

    def describe(text: str) -> tuple[str, str]:
        described.append(text)
        return "select", "users"

    monkeypatch.setattr("events.bridges.sqlalchemy.statement_info.describe_cached", describe)
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        for length in range(1, 10):
            connection.execute(sa.select(USERS).where(USERS.c.id.in_(range(length)), USERS.c.name != "list"))
    assert operations(seen) == [("select", "users")] * 9
    assert len(described) == 1


def test_statements_that_a_listener_rewrites_are_still_recognized(engine: sa.Engine) -> None:
    def add_comment(_1: Any, _2: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return f"/* from nowhere */ {statement}", parameters

    for first in (True, False):
        handle = None if first else instrument(engine)
        sa.event.listen(engine, "before_cursor_execute", add_comment, retval=True)
        handle = handle or instrument(engine)
        with engine.connect() as connection, events.query_executed.captured() as seen:
            connection.execute(sa.select(USERS))
            connection.execute(USERS.insert().values(name=f"x{first}"))
            connection.rollback()
        assert operations(seen) == [("select", "users"), ("insert", "users")]
        handle.close()
        sa.event.remove(engine, "before_cursor_execute", add_comment)


def test_a_connection_that_is_in_no_pool_is_ignored(engine: sa.Engine) -> None:
    """A program, or a dialect of another library, may call the dialect with a connection that it opened itself."""
    opened = engine.dialect.dbapi.connect(":memory:")  # type: ignore[union-attr]  # it was loaded
    with instrument(engine), events.transaction_ended.captured() as ended:
        engine.dialect.do_begin(opened)
        engine.dialect.do_rollback(opened)
    opened.close()
    assert ended == []


def test_instrumenting_twice_emits_each_statement_once(engine: sa.Engine) -> None:
    """The second handle is the first; it cannot have another name, so that is an error."""
    with instrument(engine) as handle:
        assert instrument(engine) is handle
        with pytest.raises(ValueError, match="instrumented as 'main'"):
            instrument(engine, "second")
        with pytest.raises(ValueError, match="close that handle first"):
            instrument(engine, metadata=Base.metadata)
        with pytest.raises(ValueError, match="close that handle first"):
            instrument(engine, statements=False)
        with engine.connect() as connection, events.query_executed.captured() as seen:
            connection.execute(sa.select(USERS))
        assert len(seen) == 1


def test_an_engine_made_by_execution_options_is_the_same_engine(engine: sa.Engine) -> None:
    """It shares pool and dialect, so its statements are emitted once, under the same name."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with (
        instrument(autocommit) as handle,
        events.query_executed.captured() as seen,
        events.database_failed.captured() as failures,
    ):
        assert instrument(engine) is handle
        with pytest.raises(ValueError, match="instrumented as 'main'"):
            instrument(autocommit.execution_options(logging_token="a"), "autocommit")
        for each in (engine, autocommit):
            with each.connect() as connection:
                connection.execute(sa.select(USERS))
                with pytest.raises(sa.exc.OperationalError):
                    connection.execute(sa.text("select * from nowhere"))
    assert [event.engine for event in seen] == ["main"] * 4
    assert [event.phase for event in failures] == ["execute"] * 2


def test_two_engines_have_names_of_their_own(engine: sa.Engine) -> None:
    other = sa.create_engine("sqlite://")
    with instrument(engine, "studio"), instrument(other, "workflows"), events.query_executed.captured() as seen:
        for each in (engine, other):
            with each.connect() as connection:
                connection.execute(sa.text("select 1"))
    assert [event.engine for event in seen] == ["studio", "workflows"]
    other.dispose()


def test_a_new_handle_does_not_use_the_plans_of_the_one_before(engine: sa.Engine) -> None:
    """SQLAlchemy caches compiled statements, which the plans are stored on, for as long as the engine lives."""
    with events.query_executed.captured() as seen:
        for name in ("first", "second"):
            with instrument(engine, name), engine.connect() as connection:
                for _ in range(3):
                    connection.execute(sa.select(USERS.c.id)).all()
    assert [event.engine for event in seen] == ["first"] * 3 + ["second"] * 3


def test_more_kinds_of_statements_than_are_cached_are_emitted_all_the_same(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.bus.emitters.EmitterCache.MAX_SIZE", 2)
    with instrument(engine), engine.connect() as connection, events.query_executed.captured() as seen:
        for _ in range(2):
            for table in "abcde":
                connection.execute(sa.text(f"create temporary table {table} (id int)"))
                connection.execute(sa.text(f"drop table {table}"))
    assert operations(seen) == [("ddl", table) for table in "abcde" for _ in range(2)] * 2


@pytest.mark.slow
def test_each_execution_of_a_statement_is_slow_or_not_by_itself(engine: sa.Engine) -> None:
    """Whether it was describe_cached as a fast one or not."""
    with (
        instrument(engine, slow_seconds=0.3),
        engine.connect() as connection,
        events.query_executed.captured() as seen,
    ):
        sqlite: Any = connection.connection.dbapi_connection
        sqlite.create_function("wait", 1, time.sleep)
        for seconds in (0.0, 0.0, 0.4, 0.0, 0.4):
            connection.execute(sa.select(sa.func.wait(seconds))).all()
    assert [event.slow for event in seen] == [False, False, True, False, True]


def test_a_closed_handle_emits_nothing_and_the_engine_can_be_instrumented_again(engine: sa.Engine) -> None:
    """This goes for connections that are open; closing twice does nothing."""
    with engine.connect() as connection, events.query_executed.captured() as seen:
        handle = instrument(engine)
        connection.execute(sa.text("select 1"))
        handle.close()
        handle.close()
        connection.execute(sa.text("select 2"))
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("select * from nowhere"))
        assert len(seen) == 1
        with instrument(engine, "again"):
            handle.close()
            connection.execute(sa.text("select 3"))
        assert [event.engine for event in seen] == ["main", "again"]


@pytest.mark.slow
def test_instrumenting_does_not_keep_an_engine_alive() -> None:
    """By a handle that is held, or by a listener of the program's that refers to the engine."""
    engine = sa.create_engine("sqlite://")
    handle = instrument(engine)
    known = sa.create_engine("sqlite://")
    sa.event.listen(known, "do_connect", lambda *_, engine=known: None)
    instrument(known)
    alive = weakref.ref(engine), weakref.ref(known)
    engine.dispose()
    known.dispose()
    del engine, known
    gc.collect()
    assert [each() for each in alive] == [None, None]
    handle.close()


def test_instrumenting_anything_but_an_engine_is_a_type_error(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(TypeError, match="takes an Engine or an AsyncEngine"):
        instrument(connection)  # type: ignore[arg-type]  # it has to fail


def test_metadata_that_is_no_metadata_is_refused_with_what_to_write() -> None:
    """The class of the models has it, and would lose every statement."""
    engine = sa.create_engine("sqlite://")
    with pytest.raises(TypeError, match=r"^metadata of instrument\(\) is a MetaData, .*: metadata=Base\.metadata$"):
        instrument(engine, metadata=Base)  # type: ignore[arg-type]  # it has to fail
    for wrong in ("users", Base()):
        with pytest.raises(TypeError, match=r"^metadata of instrument\(\) is a MetaData, not "):
            instrument(engine, metadata=wrong)  # type: ignore[arg-type]  # the same
    instrument(engine, metadata=Base.metadata).close()


@pytest.mark.lenient
def test_the_error_of_a_receiver_never_reaches_the_query(engine: sa.Engine) -> None:
    def broken(_: QueryExecuted) -> None:
        raise LookupError("must not be seen")

    with (
        instrument(engine),
        engine.connect() as connection,
        events.query_executed.connected_to(broken),
        events.receiver_failed.captured() as failures,
    ):
        assert connection.execute(sa.select(USERS.c.name)).scalars().all() == ["ada", "bob"]
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("select * from nowhere"))
    assert [(failure.signal, failure.error) for failure in failures] == [("query_executed", "LookupError")] * 2


@pytest.mark.lenient
def test_an_error_of_the_bridge_never_reaches_the_query(engine: sa.Engine) -> None:
    """The error here is metadata that cannot be read."""

    class Unreadable(sa.MetaData):
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("unreadable")

    with (
        instrument(engine, metadata=Unreadable()),
        engine.connect() as connection,
        events.receiver_failed.captured() as failures,
    ):
        assert connection.execute(sa.select(USERS.c.name)).scalars().all() == ["ada", "bob"]
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("select * from nowhere"))
    assert [(failure.receiver, failure.error) for failure in failures] == [("sqlalchemy", "RuntimeError")] * 2


@pytest.mark.lenient
def test_no_event_is_built_without_a_receiver(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    monkeypatch.setattr(events.query_executed, "_mutable_twin", lambda **fields: built.append(fields))
    with instrument(engine), engine.connect() as connection:
        connection.execute(sa.text("select 1"))
    assert not built


def test_a_query_has_the_name_of_the_agent_that_sent_it(engine: sa.Engine) -> None:
    with (
        instrument(engine),
        engine.connect() as connection,
        events.query_executed.captured() as seen,
        events.agent_run(agent_name="copywriter"),
    ):
        connection.execute(sa.text("select 1"))
    assert [event.agent_name for event in seen] == ["copywriter"]


async def test_an_async_engine_emits_each_statement_once(async_engine: AsyncEngine) -> None:
    with instrument(async_engine) as handle, events.query_executed.captured() as seen:
        assert instrument(async_engine.sync_engine) is handle
        async with async_engine.begin() as connection:
            await connection.execute(sa.select(USERS))
            await connection.execute(USERS.insert(), [{"name": "x"}, {"name": "y"}])
            with pytest.raises(sa.exc.IntegrityError):
                await connection.execute(USERS.insert().values(id=1, name="ada"))
            rows = await connection.stream(sa.select(POSTS))
            assert [row.id async for row in rows] == [1, 2]
    assert [(event.operation, event.table, event.error) for event in seen] == [
        ("select", "users", ""),
        ("insert", "users", ""),
        ("insert", "users", "IntegrityError"),
        ("select", "Blog Posts", ""),
    ]


async def test_queries_of_concurrent_tasks_have_their_own_agents_names(async_engine: AsyncEngine) -> None:
    async def work(name: str) -> None:
        with events.agent_run(agent_name=name):
            async with async_engine.connect() as connection:
                for _ in range(5):
                    await connection.execute(sa.text("select 1"))

    with instrument(async_engine), events.query_executed.captured() as seen:
        await asyncio.gather(*(work(f"agent {number}") for number in range(5)))
    assert sorted(event.agent_name for event in seen) == sorted(
        f"agent {number}" for number in range(5) for _ in range(5)
    )


def test_rows_and_cache_outcomes_are_emitted_where_they_are_known(engine: sa.Engine) -> None:
    with events.query_executed.captured() as seen, instrument(engine), engine.begin() as connection:
        connection.execute(sa.update(User).where(User.id < 2).values(id=User.id))
        connection.execute(sa.update(User).where(User.id < 5).values(id=User.id))
        connection.execute(sa.select(User.id)).all()
        connection.exec_driver_sql("select 1")
    assert [event.rows for event in seen] == [1, 2, None, None]
    assert [event.cache for event in seen] == ["miss", "hit", "miss", "none"]
