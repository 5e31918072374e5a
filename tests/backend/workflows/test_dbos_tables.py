"""Tables of the workflow engine that are lost are created again, and the others keep their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from app.workflows import dbos_engine, dbos_tables
from tests.support.sqlite_files import let_settle

pytestmark = pytest.mark.slow

STATUS = "workflow_status"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the tables of DBOS."""
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path}/workflows.db"
    else:
        create: Callable[[], str] = request.getfixturevalue("new_postgres")
        found = create()
    dbos_tables.create(found)
    return found


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = dbos_engine.create(url)
    yield engine
    dbos_engine.dispose(engine)


def schema_of(engine: Engine) -> str | None:
    return None if engine.dialect.name == "sqlite" else dbos_tables.SCHEMA


def tables_of(engine: Engine) -> dict[str, list[str]]:
    """Return the columns of each table, by its name."""
    inspector, schema = inspect(engine), schema_of(engine)
    names = inspector.get_table_names(schema)
    return {name: [column["name"] for column in inspector.get_columns(name, schema)] for name in sorted(names)}


def qualified(engine: Engine, name: str) -> str:
    schema = schema_of(engine)
    return name if schema is None else f"{schema}.{name}"


def test_one_table_is_restored_and_the_others_stay(url: str, engine: Engine) -> None:
    before = tables_of(engine)
    cascade = "" if engine.dialect.name == "sqlite" else "CASCADE"
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {qualified(engine, 'queues')}"))
        version = connection.scalar(text(f"SELECT version FROM {qualified(engine, 'dbos_migrations')}"))
        connection.execute(text(f"DROP TABLE {qualified(engine, 'workflow_status')} {cascade}"))
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
        connection.execute(text(f"SELECT 1 FROM {qualified(engine, 'workflow_status')}"))
    assert dbos_tables.is_missing(caught.value)
    dbos_tables.restore(url, engine)
    assert tables_of(engine) == before
    with engine.begin() as connection:
        assert connection.scalar(text(f"SELECT version FROM {qualified(engine, 'dbos_migrations')}")) == version
    dbos_tables.restore(url, engine)
    assert tables_of(engine) == before


def test_all_tables_are_restored(url: str, engine: Engine) -> None:
    before = tables_of(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            for name in before:
                connection.execute(text(f'DROP TABLE "{name}"'))
        else:
            connection.execute(text(f"DROP SCHEMA {dbos_tables.SCHEMA} CASCADE"))
    dbos_tables.restore(url, engine)
    assert tables_of(engine) == before


def test_tables_are_restored_beside_a_background_job_that_holds_its_lock(
    new_postgres: Callable[[], str],
) -> None:
    """DBOS's jobs keep a transaction open while they try to do their work without a table."""
    url = new_postgres()
    dbos_tables.create(url)
    engine = dbos_engine.create(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {dbos_tables.SCHEMA} CASCADE"))
    held = engine.connect()
    held.execute(text("SELECT pg_try_advisory_xact_lock(7)"))
    dbos_tables.restore(url, engine)
    with pytest.raises(OperationalError):
        held.execute(text("SELECT 1"))
    held.close()
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM {dbos_tables.SCHEMA}.workflow_status")) == 0
    dbos_engine.dispose(engine)


def test_processes_that_restore_at_the_same_time_do_not_wait_for_each_other_for_ever(
    new_postgres: Callable[[], str],
) -> None:
    url = new_postgres()
    dbos_tables.create(url)
    engines = [dbos_engine.create(url) for _ in range(3)]
    with engines[0].begin() as connection:
        connection.execute(text(f"DROP SCHEMA {dbos_tables.SCHEMA} CASCADE"))
    with ThreadPoolExecutor(len(engines)) as pool:
        for restoring in [pool.submit(dbos_tables.restore, url, engine) for engine in engines]:
            restoring.result(timeout=100)
    for engine in engines:
        dbos_tables.check(engine)
        dbos_engine.dispose(engine)


def test_a_column_that_is_not_there_yet_is_missing_too(url: str, engine: Engine) -> None:
    """Another process is creating the tables, or was killed while it did."""
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
        connection.execute(text(f"SELECT not_there FROM {qualified(engine, 'workflow_status')}"))
    assert dbos_tables.is_missing(caught.value)


def queue_a_workflow(engine: Engine, status: str) -> None:
    columns = {"workflow_uuid": "'a'", "queue_name": "'runs'", "status": f"'{status}'"}
    with engine.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO {qualified(engine, 'workflow_status')} ({', '.join(columns)})"
                f" VALUES ({', '.join(columns.values())})"
            )
        )


@pytest.mark.parametrize(("status", "is_queued"), [("ENQUEUED", True), ("PENDING", False), ("SUCCESS", False)])
def test_a_workflow_that_waits_in_a_queue_is_seen(engine: Engine, status: str, is_queued: bool) -> None:
    assert not dbos_tables.is_any_queued(engine, "runs")
    queue_a_workflow(engine, status)
    assert dbos_tables.is_any_queued(engine, "runs") is is_queued
    assert not dbos_tables.is_any_queued(engine, "others")


def test_where_a_queue_cannot_be_read_the_engine_is_to_look(engine: Engine) -> None:
    cascade = "" if engine.dialect.name == "sqlite" else "CASCADE"
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {qualified(engine, 'workflow_status')} {cascade}"))
    assert dbos_tables.is_any_queued(engine, "runs")


def test_a_queue_that_was_empty_is_read_again_once_the_file_has_changed(engine: Engine) -> None:
    is_on_sqlite, statements = engine.dialect.name == "sqlite", list[str]()
    is_any_queued = dbos_tables.queue_question(engine, "runs")

    def asked() -> tuple[bool, int]:
        """Return the answer, and how many statements it took."""
        if is_on_sqlite:
            let_settle(Path(str(engine.url.database)))
        statements.clear()
        return is_any_queued(), len(statements)

    event.listen(engine, "before_cursor_execute", lambda _connection, _cursor, text, *_: statements.append(text))
    assert asked() == (False, 1)
    assert asked() == (False, 0 if is_on_sqlite else 1)
    queue_a_workflow(engine, "ENQUEUED")
    assert asked() == (True, 1)
    assert asked() == (True, 1)


def test_the_look_at_a_queue_reads_an_index_of_what_is_not_ended(engine: Engine) -> None:
    """The table has the ended workflows of 90 days."""
    plans = list[str]()

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if engine.dialect.name == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        else:
            cursor.execute("SET enable_seqscan = off")  # with so few rows it is as good
            cursor.execute(f"EXPLAIN {statement}", parameters)
        plans.append(str(cursor.fetchall()))

    event.listen(engine, "before_cursor_execute", explain)
    dbos_tables.is_any_queued(engine, "runs")
    [plan] = plans
    assert "idx_workflow_status_in_flight" in plan


def workflow_rows(engine: Engine) -> list[tuple[Any, ...]]:
    columns = "workflow_uuid, status, application_version, executor_id, owner_xid, recovery_attempts, created_at"
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {qualified(engine, STATUS)}"))]


@pytest.mark.parametrize("executor", [None, "gone"], ids=["queued", "under way"])
def test_a_workflow_is_moved_to_another_version_once(engine: Engine, executor: str | None) -> None:
    """Its steps are gone, and its place in the queue stays."""
    status = "ENQUEUED" if executor is None else "PENDING"
    insert = f"INSERT INTO {qualified(engine, STATUS)} (workflow_uuid, status, name, application_version, executor_id,"
    step = f"INSERT INTO {qualified(engine, 'operation_outputs')} (workflow_uuid, function_id, function_name,"
    with engine.begin() as connection:
        connection.execute(
            text(f"{insert} owner_xid, recovery_attempts, created_at, updated_at, priority) VALUES"
                 f" ('one', '{status}', 'run', '1', 'gone', 'mine', 3, 17, 17, 0)")
        )  # fmt: skip
        connection.execute(text(f"{step} retention_timestamp) VALUES ('one', 1, 'copywriter', 17)"))

    def move(old: str = "1", holder: str | None = executor) -> bool:
        return dbos_tables.move_to_version(engine, "one", old, "2", "runs", holder)

    before = workflow_rows(engine)
    assert not move(old="3")
    assert not move(holder="another")
    assert workflow_rows(engine) == before
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: move(), range(4))) == [False, False, False, True]
    assert workflow_rows(engine) == [("one", "ENQUEUED", "2", "gone", None, 0, 17)]
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM {qualified(engine, 'operation_outputs')}")) == 0
