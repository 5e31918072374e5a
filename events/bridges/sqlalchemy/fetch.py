"""Times the fetching of rows: of streamed results, and of drivers that compute rows as they are fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any
from weakref import ref

from sqlalchemy import Dialect

from ...bus.failures import report_failure
from ...bus.scope import get_effective_scope
from ...database import Operation, rows_streamed
from .attribution import account_fetching
from .connection_state import BRIDGE, ConnectionState
from .internals.computed_rows import usual_strategy
from .internals.execution import fetch_strategies_are_replaceable, wrap_result_factory
from .slow_query_log import log_slow_statement

BUFFERING_DRIVERS = frozenset(
    {"psycopg", "psycopg2", "psycopg2cffi", "pg8000", "mysqldb", "pymysql", "mysqlconnector", "mariadbconnector"}
)
"""Drivers whose cursors have read all rows once a statement is executed, unless they stream."""


def computes_rows(dialect: Dialect) -> bool:
    """Return whether rows may be computed, or read from the server, as they are fetched.

    SQLAlchemy's adapters of asynchronous drivers fetch all rows as part of the execution, unless they are streamed.
    """
    return not dialect.is_async and dialect.driver not in BUFFERING_DRIVERS


@dataclass(frozen=True, slots=True)
class FetchedStatement:
    """The facts that are the same each time that the rows of a statement are fetched."""

    pool: str
    operation: Operation
    table: str
    slow_seconds: float
    own: bool = True


class FetchTimer:
    """The rows of one result and the seconds spent waiting for them, emitted as `rows_streamed` once they end.

    ``executed`` is how long the statement took before.
    """

    def __init__(
        self, statement: FetchedStatement, text: str, state: ConnectionState | None, executed: float = 0.0
    ) -> None:
        self._statement = statement
        self._text = text
        self._state = state
        self._executed = executed
        self._scope = get_effective_scope()
        self._seconds = 0.0
        self._rows = 0
        self._context: ref[Any] | None = None  # of the execution, dead if the program dropped the result
        self._began: float | None = None  # the fetch that is under way, as far as it is not added yet
        self._is_fetching = self._has_ended = self._was_emitted = False

    def time(self, fetch: Callable[[], Any], count_rows: Callable[[Any], int]) -> Any:
        """Return what a fetch returns, adding its time and its rows."""
        self._is_fetching = True
        rows = 0
        self._began = perf_counter()
        try:
            fetched = fetch()
            rows = count_rows(fetched)
        finally:
            self._is_fetching = False
            self.add(self._take_time(), rows)
        return fetched

    def _take_time(self) -> float:
        """Return the seconds of the fetch that is under way, which is busy time of its connection, and end them."""
        if self._began is None:
            return 0.0
        seconds, self._began = perf_counter() - self._began, None
        if self._state is not None:
            self._state.busy_seconds += seconds
        if self._statement.own:
            account_fetching(get_effective_scope(), seconds)
        return seconds

    def add(self, seconds: float, rows: int) -> None:
        """Add the time and the rows of a fetch."""
        self._seconds += seconds
        self._rows += rows
        if self._has_ended:
            self.finish()

    def watch(self, context: Any) -> None:
        """End with the connection, or once the result is gone: a loop may be left before the last row."""
        self._context = ref(context)
        if self._state is not None:
            end_dropped(self._state)
            self._state.fetches[id(self)] = self

    def forget(self) -> None:
        """End without an event: the statement has no rows."""
        self._was_emitted = True
        if self._state is not None:
            self._state.fetches.pop(id(self), None)

    def is_dropped(self) -> bool:
        """Return whether the program dropped the result."""
        return self._context is None or self._context() is None

    def end(self) -> None:
        """Emit the totals; the result is at its end or was closed."""
        self._has_ended = True
        if not self._is_fetching:  # else it ends within the fetch of its last rows, which are still to be counted
            self.finish()

    def finish(self) -> None:
        """Emit the totals now, once: also in the middle of a fetch, where its connection is lost or given up."""
        if self._was_emitted:
            return
        self._was_emitted = True
        self._seconds += self._take_time()
        statement, took = self._statement, self._executed + self._seconds
        is_slow = self._executed < statement.slow_seconds <= took
        try:
            if self._state is not None:
                self._state.fetches.pop(id(self), None)
            rows_streamed.emit(
                pool=statement.pool,
                operation=statement.operation,
                table=statement.table,
                duration=self._seconds,
                rows=self._rows,
                slow=is_slow,
                own=statement.own,
            )
            if is_slow:
                log_slow_statement(
                    statement.pool, statement.operation, statement.table, took, self._text, scope=self._scope
                )
        except Exception as error:
            report_failure(rows_streamed.name, BRIDGE, error)


def end_dropped(state: ConnectionState) -> None:
    """End the fetches of a connection whose results the program dropped."""
    for timer in list(state.fetches.values()):
        if timer.is_dropped():
            timer.finish()


def time_fetching(context: Any, timer: FetchTimer) -> None:
    """Time the fetches of what a context has just executed, if it has rows."""
    if fetch_strategies_are_replaceable():
        wrap_result_factory(context, partial(make_timed_result, timer, ref(context)))
    elif context.cursor.description is not None and not isinstance(context.cursor, TimedCursor):
        timer.watch(context)
        context.cursor = TimedCursor(context.cursor, timer)


def make_timed_result(timer: FetchTimer, context: ref[Any], make: Callable[[], Any]) -> Any:
    """Return a result that is made, whose fetches are timed: those too that it does as it is made.

    A stream fetches its first row then, for which the database may have to do all the work.
    """
    timer.watch(context())
    try:
        result = timer.time(make, lambda _: 0)
    except BaseException:
        timer.finish()
        raise
    try:
        if not result.returns_rows:
            timer.forget()
        elif result._soft_closed:  # noqa: SLF001  # there was no row
            timer.finish()
        else:
            result.cursor_strategy = TimedFetchStrategy(result.cursor_strategy, timer)
    except Exception as error:
        report_failure(rows_streamed.name, BRIDGE, error)
    return result


def continue_fetching(result: Any, make_timer: Callable[[], FetchTimer], seconds: float, rows: int) -> None:
    """Add a fetch of a result whose rows are computed to its timer; make one if it has none.

    From then on a `TimedFetchStrategy` fetches, unless it is at its end. An iteration that is under way goes on with
    the strategy that it began with, and comes here again.
    """
    strategy = result.cursor_strategy
    if isinstance(strategy, TimedFetchStrategy):
        strategy.timer.add(seconds, rows)
        return
    timer = make_timer()
    timer.add(seconds, rows)
    timer.watch(result.context)
    result.cursor_strategy = TimedFetchStrategy(usual_strategy(result), timer)


class TimedFetchStrategy:
    """A result's fetch strategy with a timer around it; what is not fetching goes to the strategy itself."""

    def __init__(self, strategy: Any, timer: FetchTimer) -> None:
        self._strategy = strategy
        self.timer = timer

    def __getattr__(self, name: str) -> Any:
        """Return the strategy's own attribute."""
        return getattr(self._strategy, name)

    def yield_per(self, result: Any, cursor: Any, number: int) -> None:
        """Fetch ``number`` rows at a time from now on; the strategy may put another in its place."""
        self._strategy.yield_per(result, cursor, number)
        if result.cursor_strategy is not self:
            self._strategy, result.cursor_strategy = result.cursor_strategy, self

    def fetchone(self, result: Any, cursor: Any, hard_close: bool = False) -> Any:
        """Return one row, or None at the end."""
        return self.timer.time(lambda: self._strategy.fetchone(result, cursor, hard_close), is_row)

    def fetchmany(self, result: Any, cursor: Any, size: int | None = None) -> Any:
        """Return some rows."""
        return self.timer.time(lambda: self._strategy.fetchmany(result, cursor, size), len)

    def fetchall(self, result: Any, cursor: Any) -> Any:
        """Return the rows that are left."""
        return self.timer.time(lambda: self._strategy.fetchall(result, cursor), len)

    def soft_close(self, result: Any, cursor: Any) -> None:
        """Release the cursor: the rows are at their end."""
        self._strategy.soft_close(result, cursor)
        self.timer.end()

    def hard_close(self, result: Any, cursor: Any) -> None:
        """Close the result."""
        self._strategy.hard_close(result, cursor)
        self.timer.end()


class TimedCursor:
    """A driver's cursor with a timer around it: the public alternative where fetch strategies cannot be replaced."""

    def __init__(self, cursor: Any, timer: FetchTimer) -> None:
        self._cursor = cursor
        self.timer = timer

    def __getattr__(self, name: str) -> Any:
        """Return the cursor's own attribute."""
        return getattr(self._cursor, name)

    def fetchone(self) -> Any:
        """Return one row, or None at the end."""
        return self.timer.time(self._cursor.fetchone, is_row)

    def fetchmany(self, *size: int) -> Any:
        """Return some rows."""
        return self.timer.time(lambda: self._cursor.fetchmany(*size), len)

    def fetchall(self) -> Any:
        """Return the rows that are left."""
        return self.timer.time(self._cursor.fetchall, len)

    def close(self) -> None:
        """Close the cursor."""
        self._cursor.close()
        self.timer.end()


def is_row(fetched: Any) -> bool:
    """Return whether a fetch of one row found one."""
    return fetched is not None
