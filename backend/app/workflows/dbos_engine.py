"""The engine under DBOS: made here and lent to it, so that whoever wants to can watch its pool."""

from __future__ import annotations

from threading import Event
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, create_engine, event, make_url

_CONNECTIONS = 5
_CONNECT_SECONDS = 10
_WAIT_SECONDS = 30  # for a connection, or for SQLite's lock
_IDLE_SECONDS = 60  # of a transaction, after which PostgreSQL ends the session and frees its locks

_ends: WeakKeyDictionary[Engine, Event] = WeakKeyDictionary()


def make(url: str) -> Engine:
    """Make an engine as DBOS makes its own, which it lets nobody have."""
    engine = _make(url)
    ended = _ends[engine] = Event()

    def invalidate_after_end(_connection: Any, record: Any) -> None:
        if ended.is_set():
            record.invalidate()

    event.listen(engine, "checkin", invalidate_after_end)  # now: at the end, threads may be going through the listeners
    return engine


def close(engine: Engine) -> None:
    """Close the connections that DBOS gave back, and those that its last threads give back later."""
    _ends[engine].set()
    engine.dispose()


def _make(url: str) -> Engine:
    address = make_url(url)
    options: dict[str, Any] = {
        "pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": _WAIT_SECONDS, "pool_pre_ping": True,
        "hide_parameters": True,  # DBOS logs failures whole: else with all that a statement was given
    }  # fmt: skip
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    connecting: dict[str, Any] = {"application_name": "dbos_transact"}
    if "connect_timeout" not in address.query:
        connecting["connect_timeout"] = _CONNECT_SECONDS
    engine = create_engine(address.set(drivername="postgresql+psycopg"), connect_args=connecting, **options)
    if "idle_in_transaction_session_timeout" not in str(address.query.get("options")):  # the user's own
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Writers take turns from the start of their transactions: DBOS reads first and then writes what follows from it.
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout={_WAIT_SECONDS * 1000}")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_SECONDS * 1000}")
    connection.commit()  # else the pool's rollback would undo it
