"""Which engine another was made of, whether a connection commits by itself, and how a dialect executes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, NullPool, make_url
from sqlalchemy.engine.default import DefaultDialect

from .self_tests import self_test

MADE_OF = "_proxied"
"""The attribute of an engine with ``execution_options``: the engine that it was made of."""

ENGINE_ISOLATION = "_on_connect_isolation_level"
"""The attribute of a dialect: the isolation level that its engine was made with."""

DO_EXECUTE: Any = DefaultDialect.do_execute
"""SQLAlchemy's own way of executing, of which nothing says that it only calls the cursor."""


def root_engine(engine: Engine) -> Engine:
    """Return the engine that one with ``execution_options`` was made of, or the engine itself.

    The public alternative is the first engine that was passed here among those that share its dialect, which holds it.
    """
    if options_engines_are_unwrapped():
        return unwrap(engine)
    dialect: Any = engine.dialect
    first: Engine = vars(dialect).setdefault("events_engine", engine)
    return first


def unwrap(engine: Engine) -> Engine:
    """Return the engine at the end of the chain."""
    while (made_of := getattr(engine, MADE_OF, None)) is not None:
        engine = made_of
    return engine


@self_test("engines made by execution_options() are recognized by their dialect")
def options_engines_are_unwrapped() -> bool:
    """Return whether the engine is found that another was made of."""
    engine = Engine(NullPool(no_connection), DefaultDialect(), make_url("sqlite://"))
    return unwrap(engine.execution_options(tested=1).execution_options(tested=2)) is engine


def no_connection() -> Any:
    """Stand for what opens a pool's connections; tests open none."""
    raise NotImplementedError


def autocommits(connection: Connection) -> bool:
    """Return whether each statement is a transaction of its own: "begin" is announced then, and nothing begins.

    So it is by an execution option of the connection, by an argument of its engine, or by the driver's own setting.
    """
    options = connection.get_execution_options()
    if "isolation_level" in options:
        return bool(options["isolation_level"] == "AUTOCOMMIT")
    return dialect_autocommits(connection.dialect, connection.connection)


def dialect_autocommits(dialect: Any, connection: Any) -> bool:
    """Return whether each statement is a transaction of its own, by the engine's setting and then by the driver's.

    ``connection`` is a pool's. Without the private attribute of the dialect, it is read from the driver's connection,
    and is False where SQLAlchemy cannot do that.
    """
    if (isolation := known_isolation(dialect)) is not None:
        return bool(isolation == "AUTOCOMMIT")
    return bool(driver_setting(dialect, connection))


def driver_autocommits(dialect: Any, connection: Any) -> bool:
    """Return whether each statement is a transaction of its own, by the driver's setting and then by the engine's.

    A connection of SQLAlchemy's may have another level than its engine. It changes the driver's setting.
    """
    setting = driver_setting(dialect, connection)
    return bool(known_isolation(dialect) == "AUTOCOMMIT") if setting is None else setting


def driver_setting(dialect: Any, connection: Any) -> bool | None:
    """Return whether a pool's connection is set to autocommit, None where SQLAlchemy cannot read that."""
    driver = getattr(connection, "dbapi_connection", None)
    if getattr(driver, "autocommit", None) is True:  # sqlite3 has that as well since Python 3.12
        return True
    try:
        return bool(dialect.detect_autocommit_setting(driver))
    except (AttributeError, NotImplementedError):
        return None


def known_isolation(dialect: Dialect) -> Any:
    """Return the isolation level that an engine was made with, None if it was made without or it is not known."""
    return engine_isolation(dialect) if engine_isolation_is_known() else None


def engine_isolation(dialect: Dialect) -> Any:
    """Return the isolation level that an engine was made with, None if it was made without."""
    return getattr(dialect, ENGINE_ISOLATION, None)


@self_test("autocommit is read from each connection")
def engine_isolation_is_known() -> bool:
    """Return whether the isolation level is found that a dialect was made with."""
    levels = ("AUTOCOMMIT", None)
    dialect: Any = DefaultDialect
    return all(engine_isolation(dialect(isolation_level=level)) == level for level in levels)


def executes_by_cursor(method: Any) -> bool:
    """Return whether a dialect's ``do_execute`` is SQLAlchemy's own, which calls the cursor and nothing else.

    Who calls the cursor itself instead saves each statement a call.
    """
    return do_execute_calls_the_cursor() and getattr(method, "__func__", None) is DO_EXECUTE


@self_test("statements are executed by the dialect's method, which takes one call more")
def do_execute_calls_the_cursor() -> bool:
    """Return whether SQLAlchemy's ``do_execute`` calls its cursor's ``execute``, and returns and reads nothing."""
    calls: list[tuple[Any, ...]] = []
    cursor: Any = SimpleNamespace(execute=lambda *arguments: calls.append(arguments))
    nothing = object()
    returned = DO_EXECUTE(nothing, cursor, "SELECT 1", {"a": 1}, nothing)
    return returned is None and calls == [("SELECT 1", {"a": 1})]
