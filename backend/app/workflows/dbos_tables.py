"""The tables of DBOS: created at the start, and again, one by one, when some are lost while the studio runs.

DBOS's migrations create all tables or, where their own table is still there, none. So missing ones are copied from a
complete set that the migrations create elsewhere. What the lost ones held is in the rows of runs and steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import sleep

from dbos import DBOS
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.database import FileState, file_state

SCHEMA = "dbos"
PREFIX = f"{SCHEMA}."
"""Of the names of DBOS's tables on PostgreSQL; SQLite has no schemas."""
_MISSING = {"42P01", "3F000", "42703"}  # undefined table, schema and column
_COMPLETE = "dbos_complete"  # the schema, or the name of the file, of the complete set
_IDLE_CHECK_INTERVAL = 0.05  # seconds
_LOCK_CHECK_INTERVAL = 0.2  # seconds
_RESTORE_LOCK = 0x5350_4B4D  # the key of our PostgreSQL advisory lock; any constant


def create(url: str) -> None:
    """Create the tables, or bring them up to date."""
    DBOS.migrate(url, schema=SCHEMA)


def restore(url: str, engine: Engine) -> None:
    """Create the tables that are missing; the others stay as they are."""
    if engine.dialect.name == "sqlite":
        create(url)
        with TemporaryDirectory() as directory:
            complete = Path(directory, f"{_COMPLETE}.db")
            DBOS.migrate(f"sqlite:///{complete}")
            with engine.connect() as connection:
                _copy_on_sqlite(connection, complete)
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Not pg_advisory_lock: a statement that waits has a snapshot, and the migrations of the process that holds the
        # lock would wait for its end.
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _RESTORE_LOCK}):
            sleep(_LOCK_CHECK_INTERVAL)
        try:
            with _ending_idle_transactions(engine):
                create(url)
                _move_on_postgresql(connection, url)
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _RESTORE_LOCK})


@contextmanager
def _ending_idle_transactions(engine: Engine) -> Generator[None]:
    """End the sessions in which DBOS's background jobs hold their lock, again and again until the block ends.

    Such a job tries for a second or more to work on a table that is missing. Meanwhile its transaction is open, and to
    create an index concurrently, as DBOS's migrations do thirty times, PostgreSQL waits for every open transaction.
    """
    done = Event()
    end = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND usename = current_user AND state = 'idle in transaction'"
        " AND query LIKE 'SELECT pg_try_advisory_xact_lock(%'"
    )

    def end_them() -> None:
        with suppress(SQLAlchemyError), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not done.wait(_IDLE_CHECK_INTERVAL):
                connection.execute(end)

    thread = Thread(target=end_them, name="dbos_idle_transactions", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


_CHECK = text(
    f"SELECT (SELECT 1 FROM {PREFIX}workflow_status LIMIT 1), (SELECT 1 FROM {PREFIX}queues LIMIT 1)"  # noqa: S608 - of ours
)
_CHECK_SQLITE = (
    text("SELECT 1 FROM workflow_status LIMIT 1"),
    text("SELECT 1 FROM queues LIMIT 1"),
    text("UPDATE dbos_migrations SET version = version"),
)


def check(engine: Engine) -> None:
    """Read from the tables that a run needs, and on SQLite write what changes nothing.

    Raises:
        SQLAlchemyError: They cannot be read or written.
    """
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            for statement in _CHECK_SQLITE:
                connection.execute(statement)
    else:
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(_CHECK)


def any_queued(prefix: str) -> str:
    """Return the text of a query of a workflow that waits in the queue ``:queue``, of tables with that prefix."""
    # SQLite uses the index of the workflows that have not ended only where its condition is repeated word by word.
    return (
        f"SELECT 1 FROM {prefix}workflow_status WHERE queue_name = :queue AND status = 'ENQUEUED'"  # noqa: S608 - of ours
        " AND status IN ('ENQUEUED', 'PENDING') LIMIT 1"
    )


_ANY_QUEUED = {"sqlite": text(any_queued("")), "postgresql": text(any_queued(PREFIX))}


def is_any_queued(engine: Engine, queue: str) -> bool:
    """Return whether a workflow waits in a queue; where that cannot be read, DBOS is to look itself, and to log it."""
    dialect = engine.dialect.name
    # Without BEGIN and ROLLBACK, where they would be statements.
    options = {} if dialect == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
    try:
        with engine.connect().execution_options(**options) as connection:
            return connection.scalar(_ANY_QUEUED[dialect], {"queue": queue}) is not None
    except SQLAlchemyError:
        return True


def queue_question(engine: Engine, queue: str) -> Callable[[], bool]:
    """Return `is_any_queued` of a queue; it reads a SQLite file in which there was none again once that has changed."""
    if engine.dialect.name != "sqlite":
        return partial(is_any_queued, engine, queue)
    file = Path(str(engine.url.database))
    empty: FileState | None = None

    def ask() -> bool:
        nonlocal empty
        state = file_state(file)  # before it is read
        if state is not None and state == empty:
            return False
        found = is_any_queued(engine, queue)
        empty = None if found else state
        return found

    return ask


def move_to_version(  # noqa: PLR0917 - what is moved, whence and where to
    engine: Engine, workflow_id: str, old: str, new: str, queue: str, executor_id: str | None
) -> bool:
    """Queue a workflow of one version as one of another, without the steps that are stored of it, and keep its place.

    It is one transaction with a condition: of several processes that do so at once one succeeds, and one that dies
    meanwhile has changed nothing. DBOS has no such way.

    Args:
        engine: DBOS's engine.
        workflow_id: The workflow.
        old: The version that it is of.
        new: The version that it gets.
        queue: The queue.
        executor_id: The executor that it is assigned to, which is gone; None for a workflow that waits in the queue.

    Returns:
        Whether this call moved it.
    """
    prefix = "" if engine.dialect.name == "sqlite" else f"{SCHEMA}."
    unclaimed = "status = 'ENQUEUED'" if executor_id is None else "status = 'PENDING' AND executor_id = :executor"
    move = text(
        f"UPDATE {prefix}workflow_status SET application_version = :new, status = 'ENQUEUED', queue_name = :queue,"  # noqa: S608 - of ours
        " owner_xid = NULL, started_at_epoch_ms = NULL, recovery_attempts = 0"
        f" WHERE workflow_uuid = :id AND application_version = :old AND {unclaimed}"
    )
    values = {"id": workflow_id, "old": old, "new": new, "queue": queue, "executor": executor_id}
    with engine.begin() as connection:
        if connection.execute(move, values).rowcount == 0:
            return False
        connection.execute(text(f"DELETE FROM {prefix}operation_outputs WHERE workflow_uuid = :id"), values)  # noqa: S608 - the same
    return True


def is_missing(error: SQLAlchemyError) -> bool:
    """Return whether a statement failed because a table, its schema or a column is not there.

    A column is missing where tables are created by many migrations, one after the other, and not all are done.
    """
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) in _MISSING or str(cause).startswith(("no such table", "no such column"))


def _copy_on_sqlite(connection: Connection, complete: Path) -> None:
    connection.exec_driver_sql("ATTACH DATABASE ? AS complete", (str(complete),))
    try:
        missing = connection.exec_driver_sql(
            "SELECT sql FROM complete.sqlite_master WHERE sql IS NOT NULL"
            " AND name NOT IN (SELECT name FROM main.sqlite_master) ORDER BY type = 'table' DESC"
        )
        for [statement] in missing.all():
            connection.exec_driver_sql(statement)
        connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql("DETACH DATABASE complete")


def _move_on_postgresql(connection: Connection, url: str) -> None:
    connection.execute(text(f"DROP SCHEMA IF EXISTS {_COMPLETE} CASCADE"))
    DBOS.migrate(url, schema=_COMPLETE)
    missing = connection.execute(
        text(
            "SELECT tablename FROM pg_tables WHERE schemaname = :complete"
            " EXCEPT SELECT tablename FROM pg_tables WHERE schemaname = :schema"
        ),
        {"complete": _COMPLETE, "schema": SCHEMA},
    )
    for [name] in missing.all():
        connection.execute(text(f'ALTER TABLE {_COMPLETE}."{name}" SET SCHEMA {SCHEMA}'))
    connection.execute(text(f"DROP SCHEMA {_COMPLETE} CASCADE"))
