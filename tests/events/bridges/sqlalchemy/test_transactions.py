"""What a transaction did: by whatever writes, by whatever commits by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import events
from events.bridges.sqlalchemy import instrument
from tests.support.blog import User, create_blog

USERS: Any = User.__table__
WITH_INSERT = "with new(id) as (select 50) insert or ignore into users (id) select id from new"
ROWS = [{"id": 60}, {"id": 61}, {"id": 62}]


@pytest.fixture
def url(tmp_path: Path) -> sa.URL:
    made = sa.make_url(f"sqlite:///{tmp_path}/test.db")
    engine = sa.create_engine(made)
    create_blog(engine)
    engine.dispose()
    return made


def outcomes(engine: sa.Engine, *scenarios: Callable[[sa.Connection], object]) -> list[str]:
    with instrument(engine), events.transaction_ended.captured() as ended:
        for scenario in scenarios:
            with engine.connect() as connection:
                scenario(connection)
    engine.dispose()
    return [event.outcome for event in ended]


WRITES: list[Callable[[sa.Connection], object]] = [
    lambda connection: connection.execute(sa.text(WITH_INSERT)),
    lambda connection: connection.execute(sa.text(f"-- new ones\n{WITH_INSERT}")),
    lambda connection: connection.exec_driver_sql(f"/* new */ {WITH_INSERT}"),
    lambda connection: connection.execute(sa.text("insert into users (id) values (:id)"), ROWS),
    lambda connection: connection.exec_driver_sql("insert into users (id) values (?)", [(70,), (71,)]),
    lambda connection: connection.execute(sa.insert(User).returning(User.id), ROWS),
    lambda connection: (
        connection.execute(sa.select(sa.literal(1)).add_cte(sa.insert(User).values(id=80).cte("c")))
        if connection.dialect.name != "sqlite"
        else connection.execute(sa.delete(User))
    ),
]


@pytest.mark.parametrize("write", WRITES)
def test_whatever_writes_makes_a_rollback_lose_something(write: Callable[[sa.Connection], object], url: sa.URL) -> None:
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", set_autocommit)  # sqlite3 itself begins none for WITH
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    for _ in range(3):  # the third time its plan is stored
        assert outcomes(engine, write) == ["rollback"]


def test_a_text_that_reads_and_one_that_writes_with_the_same_labels_are_told_apart(url: sa.URL) -> None:
    def read(connection: sa.Connection) -> None:
        connection.execute(sa.text("select id from users"))

    def fail_to_write(connection: sa.Connection) -> None:
        connection.execute(sa.text("explain select id from users"))

    assert outcomes(sa.create_engine(url), read, fail_to_write, read) == ["released"] * 3


def set_autocommit(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def insert(connection: sa.Connection) -> None:
    connection.execute(sa.insert(User).values(id=90))
    connection.commit()


def begin_only(connection: sa.Connection) -> None:
    connection.begin().commit()


@pytest.mark.parametrize(
    "options",
    [
        {"isolation_level": "AUTOCOMMIT"},
        {"connect_args": {"isolation_level": None}},
        {"execution_options": {"isolation_level": "AUTOCOMMIT"}},
    ],
    ids=["engine", "driver", "option"],
)
def test_where_each_statement_commits_by_itself_there_is_no_transaction(options: dict[str, Any], url: sa.URL) -> None:
    engine = sa.create_engine(url, **options)
    assert outcomes(engine, insert) == []


def test_autocommit_that_a_listener_sets_has_no_transactions_either(url: sa.URL) -> None:
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", set_autocommit)
    assert outcomes(engine, insert, begin_only) == []
    assert outcomes(sa.create_engine(url, isolation_level="AUTOCOMMIT"), begin_only) == []


def test_a_begin_of_the_programs_own_is_a_transaction_where_the_driver_begins_none(url: sa.URL) -> None:
    """As SQLAlchemy's documentation has it for sqlite3."""
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", set_autocommit)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))

    def read(connection: sa.Connection) -> None:
        connection.execute(sa.select(User.id))

    assert outcomes(engine, insert, read) == ["commit", "released"]


INSERT = "insert or ignore into users (id) values (91)"


def texts(*statements: str, end: str = "close", autocommit: bool = False) -> Callable[[sa.Connection], object]:
    """Return a scenario: these texts on one connection, and what ends SQLAlchemy's own transaction."""

    def scenario(connection: sa.Connection) -> None:
        if autocommit:
            connection.execution_options(isolation_level="AUTOCOMMIT")
        for number, statement in enumerate(statements):
            if number % 2:
                connection.exec_driver_sql(statement)
            else:
                connection.execute(sa.text(statement))
        getattr(connection, end)()

    return scenario


def write_after_a_text(connection: sa.Connection) -> None:
    connection.execute(sa.text(INSERT))
    connection.execute(sa.text("commit"))
    connection.execute(sa.text(INSERT))
    connection.commit()
    connection.execute(sa.text("select 1"))


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (texts("select 1", "/* work */ begin", INSERT, autocommit=True), ["rollback"]),
        (texts("-- work\nbegin", INSERT, "commit", autocommit=True), ["commit"]),
        (texts("begin", INSERT, "rollback", INSERT, autocommit=True), ["rollback"]),
        (texts("begin immediate", "select 1", "end", "select 1", autocommit=True), ["commit"]),
        (texts("begin", "select 1", "rollback", autocommit=True), ["released"]),
        (texts("begin", INSERT, "rollback", "begin", INSERT, end="commit", autocommit=True), ["rollback", "commit"]),
        (texts("begin", "savepoint a", INSERT, "rollback to a", "commit", autocommit=True), ["commit"]),
        (texts(INSERT, autocommit=True), []),
        (texts(INSERT, "commit"), ["commit"]),
        (texts(INSERT, "commit", end="commit"), ["commit"]),
        (texts(INSERT, "rollback"), ["rollback"]),
        (texts(INSERT, "COMMIT;", "select 1"), ["commit", "released"]),
        (texts(INSERT, "commit", INSERT), ["commit", "rollback"]),
        (texts("begin", "pragma user_version = 5"), ["rollback"]),
        (write_after_a_text, ["commit", "commit", "released"]),
    ],
)
def test_transactions_that_the_program_begins_and_ends_by_text(
    scenario: Callable[[sa.Connection], object], expected: list[str], url: sa.URL
) -> None:
    engine = sa.create_engine(url)
    assert outcomes(engine, scenario) == expected
    assert outcomes(engine, scenario, insert) == [*expected, "commit"]  # and its connection is as before


def test_a_commit_by_text_has_its_time_and_may_fail(url: sa.URL) -> None:
    engine = sa.create_engine(url)
    with instrument(engine), events.transaction_ended.captured() as ended, engine.connect() as connection:
        connection.exec_driver_sql("pragma foreign_keys = on")
        connection.rollback()
        connection.execute(sa.text("create table child (id int references users (id) deferrable initially deferred)"))
        connection.execute(sa.text("insert into child values (null)"))
        connection.execute(sa.text("commit"))
        connection.execute(sa.text("insert into child values (12345)"))
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(sa.text("commit"))
        connection.rollback()
    assert [event.outcome for event in ended] == ["released", "commit", "failed"]
    assert ended[1].commit is not None
    assert ended[1].duration >= ended[1].commit >= 0


@pytest.mark.parametrize("of_engine", ["SERIALIZABLE", "AUTOCOMMIT"])
def test_an_empty_transaction_is_one_by_the_level_of_its_connection(of_engine: str, url: sa.URL) -> None:
    """Which may be another one than that of its engine."""
    engine = sa.create_engine(url, isolation_level=of_engine)
    of_connection = "AUTOCOMMIT" if of_engine == "SERIALIZABLE" else "SERIALIZABLE"

    def begin_with_option(connection: sa.Connection) -> None:
        connection.execution_options(isolation_level=of_connection).begin().commit()

    own, optional = (["commit"], []) if of_engine == "SERIALIZABLE" else ([], ["commit"])
    assert outcomes(engine, begin_only) == own
    assert outcomes(engine, begin_with_option) == optional
    assert outcomes(engine, begin_only) == own


def test_an_empty_transaction_that_a_listener_begins_is_one(url: sa.URL) -> None:
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", set_autocommit)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    assert outcomes(engine, begin_only, begin_only) == ["commit", "commit"]


@pytest.fixture
def closed() -> Iterator[list[events.ConnectionClosed]]:
    with events.connection_closed.captured() as captured:
        yield captured


def select_one(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("select 1"))


def test_a_pool_that_keeps_no_connections_has_no_overflow(url: sa.URL, closed: list[events.ConnectionClosed]) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with instrument(engine):
        select_one(engine)
    assert [event.reason for event in closed] == ["unpooled"]


def test_a_pool_that_was_full_has_overflow(url: sa.URL, closed: list[events.ConnectionClosed]) -> None:
    engine = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=1)
    with instrument(engine), engine.connect(), engine.connect():
        pass
    assert [event.reason for event in closed] == ["overflow"]


def test_what_a_lost_connection_invalidates_is_not_recycled(url: sa.URL, closed: list[events.ConnectionClosed]) -> None:
    """One is found dead by its ping, another one was opened before that."""
    engine = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=2, pool_pre_ping=True)
    with instrument(engine):
        with engine.connect() as one, engine.connect() as other:
            one.execute(sa.text("select 1"))
            other.execute(sa.text("select 1"))
        engine.dialect.do_ping = lambda _: bool(closed)  # type: ignore[assignment, method-assign]  # the first one fails
        with engine.connect() as one, engine.connect() as other:
            pass
        engine.dispose()
    assert [event.reason for event in closed] == ["ping_failed", "invalidated", "dispose", "dispose"]


def test_connections_that_are_too_old_or_given_up_are_told_apart(
    url: sa.URL, closed: list[events.ConnectionClosed]
) -> None:
    engine = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=1)
    with instrument(engine):
        with engine.connect() as connection:
            connection.connection.invalidate(soft=True)
        with engine.connect() as connection:
            connection.invalidate()
        select_one(engine)
        engine.dispose()
    assert [event.reason for event in closed] == ["invalidated", "invalidated", "dispose"]
    closed.clear()
    engine = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=1, pool_recycle=0)
    with instrument(engine):
        select_one(engine)
        select_one(engine)
    assert {event.reason for event in closed} == {"recycle"}


class Cursor:
    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount


def test_many_sets_of_parameters_count_their_rows(url: sa.URL) -> None:
    engine = sa.create_engine(url)
    with instrument(engine), engine.begin() as connection, events.query_executed.captured() as seen:
        connection.execute(sa.insert(User), ROWS)
        connection.execute(sa.text("update users set id = id where id <= :id"), [{"id": 1}, {"id": 2}])
        connection.exec_driver_sql("delete from users where id = ?", [(60,), (61,), (999,)])
    assert [event.rows for event in seen] == [3, 5, 2]


@pytest.mark.parametrize(
    ("operation", "says", "is_sane", "rows"),
    [
        ("insert", 1, False, 3),  # psycopg2: what the last set did
        ("insert", -1, False, 3),  # asyncpg: nothing
        ("insert", -1, True, 3),  # pyodbc with fast_executemany
        ("insert", 2, True, 2),  # one was there already
        ("update", 1, False, None),
        ("delete", -1, True, None),
        ("update", 7, True, 7),
    ],
)
def test_rows_of_many_sets_are_known_by_drivers_that_do_not_say(
    operation: Any, says: int, is_sane: bool, rows: int | None
) -> None:
    from events.bridges.sqlalchemy.statements import row_count

    dialect: Any = sa.create_engine("sqlite://").dialect
    dialect.supports_sane_multi_rowcount = is_sane
    assert row_count(Cursor(says), dialect, 3, operation) == rows


@pytest.mark.parametrize(
    ("texts", "outcome"),
    [
        (["create table made (id int)"], "released"),
        (["pragma user_version = 77"], "released"),
        (["vacuum"], "released"),
        (["savepoint a", "insert into users (id) values (90)", "release a"], "released"),
        (["insert into users (id) values (90)", "create table made (id int)"], "rollback"),
        (["insert into users (id) values (90)", "pragma user_version = 78"], "rollback"),
    ],
)
def test_what_sqlite_commits_by_itself_is_not_rolled_back(texts: list[str], outcome: str, url: sa.URL) -> None:
    """And the database has it."""
    engine = sa.create_engine(url)

    def scenario(connection: sa.Connection) -> None:
        for text in texts:
            connection.exec_driver_sql(text)

    assert outcomes(engine, scenario) == [outcome]
    with engine.connect() as connection:
        kept = connection.exec_driver_sql("select count(*) from users where id = 90").scalar()
    engine.dispose()
    assert kept == ("savepoint a" in texts)
