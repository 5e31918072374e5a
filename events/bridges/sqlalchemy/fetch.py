"""Results that are streamed: their rows come long after the statement was answered."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from ...bus.failures import report_failure
from ...database import rows_streamed
from .connection_state import OURS, Kept


def watch(context: Any, name: str, kept: Kept | None, table: str) -> None:
    """Put a clock around the fetching of what was just answered, if it is streamed.

    The result does not exist yet, so this waits for it; SQLAlchemy's own event would cost every statement a call.
    """
    if "_setup_result_proxy" in vars(context):  # a context may send more than one statement, and has one result
        return
    setting_up = context._setup_result_proxy  # noqa: SLF001 - nothing public makes results

    def set_up() -> Any:
        result = setting_up()
        try:
            if not result._soft_closed:  # noqa: SLF001 - else it has no rows, and ends before it begins
                result.cursor_strategy = Fetching(result.cursor_strategy, name, table, kept)
        except Exception as error:
            report_failure(rows_streamed.name, OURS, error)
        return result

    context._setup_result_proxy = set_up  # noqa: SLF001


class Fetching:
    """A result's way of fetching, with a clock around it."""

    def __init__(self, strategy: Any, name: str, table: str, kept: Kept | None) -> None:
        self._strategy = strategy
        self._name = name
        self._table = table
        self._kept = kept
        self._spent = 0.0
        self._rows = 0
        self._fetching = self._ended = self._told = False

    def __getattr__(self, name: str) -> Any:
        """Leave the rest to the strategy itself."""
        return getattr(self._strategy, name)

    def yield_per(self, result: Any, cursor: Any, number: int) -> None:
        """Fetch so many rows at a time from now on; the strategy may put another in its place."""
        self._strategy.yield_per(result, cursor, number)
        if result.cursor_strategy is not self:
            self._strategy, result.cursor_strategy = result.cursor_strategy, self

    def fetchone(self, result: Any, cursor: Any, hard_close: bool = False) -> Any:
        """Fetch a row."""
        return self._clocked(lambda: self._strategy.fetchone(result, cursor, hard_close), lambda row: row is not None)

    def fetchmany(self, result: Any, cursor: Any, size: int | None = None) -> Any:
        """Fetch some rows."""
        return self._clocked(lambda: self._strategy.fetchmany(result, cursor, size), len)

    def fetchall(self, result: Any, cursor: Any) -> Any:
        """Fetch what is left."""
        return self._clocked(lambda: self._strategy.fetchall(result, cursor), len)

    def soft_close(self, result: Any, cursor: Any) -> None:
        """Let go of the cursor: the rows are at their end."""
        self._strategy.soft_close(result, cursor)
        self._end()

    def hard_close(self, result: Any, cursor: Any) -> None:
        """Close the result."""
        self._strategy.hard_close(result, cursor)
        self._end()

    def _clocked(self, fetch: Callable[[], Any], count: Callable[[Any], int]) -> Any:
        self._fetching = True
        began = perf_counter()
        try:
            fetched = fetch()
            self._rows += count(fetched)
        finally:
            spent = perf_counter() - began
            self._fetching = False
            self._spent += spent
            if self._kept is not None:
                self._kept.busy += spent
            if self._ended:
                self._tell()
        return fetched

    def _end(self) -> None:
        self._ended = True
        if not self._fetching:  # else it ends within the fetch of its last rows, which is still to be counted
            self._tell()

    def _tell(self) -> None:
        if self._told:
            return
        self._told = True
        try:
            rows_streamed.emit(pool=self._name, table=self._table, duration=self._spent, rows=self._rows)
        except Exception as error:
            report_failure(rows_streamed.name, OURS, error)
