"""The SQLAlchemy engine of DBOS: created here and passed to it, so that its pool can be instrumented."""

from __future__ import annotations

from threading import Event
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, ExceptionContext, create_engine, event, make_url

from app.database import POSTGRESQL_OPTIONS, is_passing, prepare_sessions
from app.database.silent_ping import ping_where_something_came

_POOL_SIZE = 5
_WAIT_TIMEOUT = 30  # seconds for a connection of the pool, or for SQLite's lock

_disposed: WeakKeyDictionary[Engine, Event] = WeakKeyDictionary()


def create(url: str) -> Engine:
    """Return an engine like the one that DBOS would create for itself, which it gives no access to."""
    engine = _create(url)
    disposed = _disposed[engine] = Event()

    def invalidate_after_dispose(_connection: Any, record: Any) -> None:
        if disposed.is_set():
            record.invalidate()

    # Not in `dispose`: DBOS's last threads may be iterating over the listeners then.
    event.listen(engine, "checkin", invalidate_after_dispose)
    return engine


def dispose(engine: Engine) -> None:
    """Close the connections that DBOS has returned to the pool, and later those that its last threads return."""
    _disposed[engine].set()
    engine.dispose()


def _create(url: str) -> Engine:
    address = make_url(url)
    options: dict[str, Any] = {
        "pool_size": _POOL_SIZE, "max_overflow": 0, "pool_timeout": _WAIT_TIMEOUT, "pool_pre_ping": True,
        "hide_parameters": True,  # DBOS logs errors whole, which would quote the parameters
    }  # fmt: skip
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    connect_args: dict[str, Any] = {"application_name": "dbos_transact", **POSTGRESQL_OPTIONS}
    connect_args = {name: value for name, value in connect_args.items() if name not in address.query}
    engine = create_engine(address.set(drivername="postgresql+psycopg"), connect_args=connect_args, **options)
    ping_where_something_came(engine.dialect)
    prepare_sessions(engine)
    event.listen(engine, "handle_error", _reconnect_after_passing)
    return engine


def _reconnect_after_passing(context: ExceptionContext) -> None:
    """Have DBOS repeat what fails for a reason that passes, as where a failover leaves a server that is read-only.

    DBOS repeats what a lost connection interrupts, for as long as it takes. Of the errors by which a connection stays
    it knows few, and one of the others would cost a run one of its `SPARKLIO_RUN_REQUEUES`, or leave a workflow under
    way for ever that has ended.
    """
    if context.sqlalchemy_exception is not None and is_passing(context.sqlalchemy_exception):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Writers take turns from the start of their transactions: DBOS reads first, then writes what follows from it.
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout={_WAIT_TIMEOUT * 1000}")
    connection.execute("PRAGMA foreign_keys=ON")
