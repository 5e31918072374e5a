"""An execution's connection, whether its rows are streamed, and what fetches them."""

# ruff: noqa: SLF001  # the package's very purpose

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect

from .self_tests import self_test

ContextParts = tuple[Any, bool, Mapping[str, Any]]
"""The pool's proxy (None if there is none any more), whether the driver streams the rows, and the execution options."""

PRIVATE_READER: Callable[[Any], Any] = attrgetter("_dbapi_connection", "_is_server_side", "execution_options")


def context_reader() -> Callable[[Any], ContextParts]:
    """Return a function that reads an execution context: one call in C, since every statement pays for it.

    The public alternative takes some five calls, and misses a driver that streams by ``server_side_cursors`` alone.
    """
    return PRIVATE_READER if context_is_readable() else read_context


def read_context(context: Any) -> ContextParts:
    """Read an execution context by its public attributes."""
    root, options = context.root_connection, context.execution_options
    # Reading the connection of one that was lost would open a new one.
    connection = None if root.closed or root.invalidated else root.connection
    return connection, bool(options.get("stream_results", False)), options


@self_test("statements are read by public attributes, which takes longer")
def context_is_readable() -> bool:
    """Return whether the private attributes are what the public ones say."""
    with answered_context({"tested": True}) as context:
        expected: ContextParts = (context.root_connection.connection, False, context.execution_options)
        return bool(PRIVATE_READER(context) == expected)


@contextmanager
def answered_context(options: Mapping[str, Any], context_class: Any = None) -> Iterator[Any]:
    """Make the context of a statement that SQLite answered with two rows; no engine and no pool has a part in it."""
    driver = sqlite3.connect(":memory:")
    dialect = sqlite_dialect(dbapi=sqlite3)
    proxy: Any = SimpleNamespace(cursor=driver.cursor)
    connection: Any = SimpleNamespace(
        dialect=dialect, connection=proxy, closed=False, invalidated=False, _echo=False,
        _safe_close_cursor=lambda cursor: cursor.close(),
    )  # fmt: skip
    make: Any = context_class or dialect.execution_ctx_cls
    try:
        context = make._init_statement(dialect, connection, proxy, options, "select 1 union all select 2", [])
        context.cursor.execute(context.statement)
        yield context
    finally:
        driver.close()


RESULT_FACTORY = "_setup_result_proxy"
"""The method of an execution context that makes its result."""


def wrap_result_factory(context: Any, make_through: Callable[[Callable[[], Any]], Any]) -> None:
    """Have a context's result be made by ``make_through(make)``, which calls ``make()`` and returns its result.

    The result does not exist yet while its statement is executed, and may fetch its first rows as it is made.
    SQLAlchemy's own event for it would cost every statement a call.
    """
    if RESULT_FACTORY in vars(context):  # a context may execute more than one statement, and has one result
        return
    make_result = getattr(context, RESULT_FACTORY)

    def make_wrapped_result() -> Any:
        vars(context).pop(RESULT_FACTORY, None)  # it refers to the context, which would outlive its result
        return make_through(make_result)

    setattr(context, RESULT_FACTORY, make_wrapped_result)


@self_test("streamed rows are timed at the driver's cursor, with those that are fetched ahead")
def fetch_strategies_are_replaceable() -> bool:
    """Return whether the rows of a result come from the strategy that was put in place of its own.

    The public alternative is to replace the driver's cursor on the context. Rows that SQLAlchemy fetches ahead are
    counted then whether the program reads them or not.
    """
    calls: list[str] = []

    class Spy:
        def __init__(self, strategy: Any) -> None:
            self._strategy = strategy

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(self._strategy, name)

    def make_spied(make: Callable[[], Any]) -> Any:
        result = make()
        result.cursor_strategy = Spy(result.cursor_strategy)
        return result

    with answered_context({"stream_results": True}) as context:
        wrap_result_factory(context, make_spied)
        rows = [tuple(row) for row in getattr(context, RESULT_FACTORY)().fetchall()]
    return rows == [(1,), (2,)] and "fetchall" in calls
