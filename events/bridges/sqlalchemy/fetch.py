"""Times the fetching of streamed results, whose rows arrive long after the statement was answered."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from ...bus.failures import report_failure
from ...database import rows_streamed
from .connection_state import BRIDGE, ConnectionState
from .internals.execution import fetch_strategies_are_replaceable, replace_fetch_strategy


def time_fetching(context: Any, pool: str, state: ConnectionState | None, table: str) -> None:
    """Time the fetches of what a context has just executed, if it has rows; emit `rows_streamed` at their end."""
    timer = FetchTimer(pool, table, state)
    if fetch_strategies_are_replaceable():
        replace_fetch_strategy(
            context,
            lambda strategy: TimedFetchStrategy(strategy, timer),
            lambda error: report_failure(rows_streamed.name, BRIDGE, error),
        )
    elif context.cursor.description is not None and not isinstance(context.cursor, TimedCursor):
        context.cursor = TimedCursor(context.cursor, timer)


class FetchTimer:
    """The rows of one result and the seconds spent waiting for them, emitted as `rows_streamed` once they end."""

    def __init__(self, pool: str, table: str, state: ConnectionState | None) -> None:
        self._pool = pool
        self._table = table
        self._state = state
        self._seconds = 0.0
        self._rows = 0
        self._is_fetching = self._has_ended = self._was_emitted = False

    def time(self, fetch: Callable[[], Any], count_rows: Callable[[Any], int]) -> Any:
        """Return what a fetch returns, adding its time and its rows."""
        self._is_fetching = True
        began = perf_counter()
        try:
            fetched = fetch()
            self._rows += count_rows(fetched)
        finally:
            seconds = perf_counter() - began
            self._is_fetching = False
            self._seconds += seconds
            if self._state is not None:
                self._state.busy_seconds += seconds
            if self._has_ended:
                self._emit()
        return fetched

    def end(self) -> None:
        """Emit the totals; the result is at its end or was closed."""
        self._has_ended = True
        if not self._is_fetching:  # else it ends within the fetch of its last rows, which are still to be counted
            self._emit()

    def _emit(self) -> None:
        if self._was_emitted:
            return
        self._was_emitted = True
        try:
            rows_streamed.emit(pool=self._pool, table=self._table, duration=self._seconds, rows=self._rows)
        except Exception as error:
            report_failure(rows_streamed.name, BRIDGE, error)


class TimedFetchStrategy:
    """A result's fetch strategy with a timer around it; what is not fetching goes to the strategy itself."""

    def __init__(self, strategy: Any, timer: FetchTimer) -> None:
        self._strategy = strategy
        self._timer = timer

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
        return self._timer.time(lambda: self._strategy.fetchone(result, cursor, hard_close), is_row)

    def fetchmany(self, result: Any, cursor: Any, size: int | None = None) -> Any:
        """Return some rows."""
        return self._timer.time(lambda: self._strategy.fetchmany(result, cursor, size), len)

    def fetchall(self, result: Any, cursor: Any) -> Any:
        """Return the rows that are left."""
        return self._timer.time(lambda: self._strategy.fetchall(result, cursor), len)

    def soft_close(self, result: Any, cursor: Any) -> None:
        """Release the cursor: the rows are at their end."""
        self._strategy.soft_close(result, cursor)
        self._timer.end()

    def hard_close(self, result: Any, cursor: Any) -> None:
        """Close the result."""
        self._strategy.hard_close(result, cursor)
        self._timer.end()


class TimedCursor:
    """A driver's cursor with a timer around it: the public alternative where fetch strategies cannot be replaced."""

    def __init__(self, cursor: Any, timer: FetchTimer) -> None:
        self._cursor = cursor
        self._timer = timer

    def __getattr__(self, name: str) -> Any:
        """Return the cursor's own attribute."""
        return getattr(self._cursor, name)

    def fetchone(self) -> Any:
        """Return one row, or None at the end."""
        return self._timer.time(self._cursor.fetchone, is_row)

    def fetchmany(self, *size: int) -> Any:
        """Return some rows."""
        return self._timer.time(lambda: self._cursor.fetchmany(*size), len)

    def fetchall(self) -> Any:
        """Return the rows that are left."""
        return self._timer.time(self._cursor.fetchall, len)

    def close(self) -> None:
        """Close the cursor."""
        self._cursor.close()
        self._timer.end()


def is_row(fetched: Any) -> bool:
    """Return whether a fetch of one row found one."""
    return fetched is not None
