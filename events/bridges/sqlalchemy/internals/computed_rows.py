"""Fetching from drivers that compute rows as they are fetched: by a strategy that SQLAlchemy's contexts have."""

# ruff: noqa: SLF001  # the package's very purpose

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect

from ....bus.scope import get_current_scope
from .execution import RESULT_FACTORY, answered_context
from .self_tests import self_test

FETCH_STRATEGY = "cursor_fetch_strategy"
"""The attribute of an execution context: what fetches the rows of its result."""

SHORTEST_OBSERVED = 0.0005
"""Seconds from which the fetching of a result that is no stream is emitted: the lowest bucket of its histogram."""

try:
    from sqlalchemy.engine.cursor import CursorFetchStrategy
except ImportError:  # `contexts_are_replaceable` is false then
    CursorFetchStrategy = object  # type: ignore[assignment, misc]  # the same


OnFetched = Callable[[Any, Any, float], None]
"""Takes a result, the state of its connection, and the seconds of the fetch that was just done."""

Fetched = list[Any]  # a list, since an object would cost more
"""A result so far: the state of its connection, the seconds of its statement and of its fetches, and its rows.

It is stored on the execution context, as ``events_fetched``: several results of one connection may be read in turns.
"""


def fetched_of(context: Any) -> Fetched:
    """Return a result so far, by its context, where another listener may have executed the statement."""
    fetched: Fetched | None = getattr(context, "events_fetched", None)
    if fetched is None:
        state = getattr(context._dbapi_connection, "events_state", None)
        fetched = context.events_fetched = [state, 0.0, 0.0, 0]
    return fetched


class ComputedFetchStrategy(CursorFetchStrategy):
    """Fetches as SQLAlchemy does by default, and adds the time to the connection's and to the result's.

    Every statement pays for what is called here, so its methods do what those of its base do without calling them, and
    ``on_fetched`` is called for what is not the usual: fetches that took long, or in a scope.
    """

    __slots__ = ("_on_fetched",)

    def __init__(self, on_fetched: OnFetched) -> None:
        self._on_fetched = on_fetched

    def fetchone(self, result: Any, dbapi_cursor: Any, hard_close: bool = False) -> Any:
        """Return one row, or None at the end."""
        began = perf_counter()
        try:
            try:
                row = dbapi_cursor.fetchone()
            except BaseException:
                self._add(result, perf_counter() - began, 0)
                raise
            seconds = perf_counter() - began
            try:
                fetched = result.context.events_fetched
            except AttributeError:
                fetched = fetched_of(result.context)
            state = fetched[0]
            if state is not None:
                state.busy_seconds += seconds
                fetched[2] = so_far = fetched[2] + seconds
                if row is not None:
                    fetched[3] += 1
                elif result.cursor_strategy is not self:  # of an iteration that began before a timer took over
                    so_far = SHORTEST_OBSERVED
                if so_far >= SHORTEST_OBSERVED or get_current_scope() is not None:
                    self._on_fetched(result, state, seconds)
            if row is None:
                result._soft_close(hard=hard_close)
            return row
        except BaseException as error:
            self.handle_exception(result, dbapi_cursor, error)

    def fetchmany(self, result: Any, dbapi_cursor: Any, size: int | None = None) -> Any:
        """Return some rows."""
        began = perf_counter()
        try:
            try:
                rows = dbapi_cursor.fetchmany() if size is None else dbapi_cursor.fetchmany(size)
            except BaseException:
                self._add(result, perf_counter() - began, 0)
                raise
            self._add(result, perf_counter() - began, len(rows))
            if not rows:
                result._soft_close()
            return rows
        except BaseException as error:
            self.handle_exception(result, dbapi_cursor, error)

    def fetchall(self, result: Any, dbapi_cursor: Any) -> Any:
        """Return the rows that are left."""
        began = perf_counter()
        try:
            try:
                rows = dbapi_cursor.fetchall()
            except BaseException:
                self._add(result, perf_counter() - began, 0)
                raise
            self._add(result, perf_counter() - began, len(rows))
            result._soft_close()
            return rows
        except BaseException as error:
            self.handle_exception(result, dbapi_cursor, error)

    def yield_per(self, result: Any, dbapi_cursor: Any, num: int) -> None:
        """Fetch ``num`` rows at a time from now on, by another strategy, which ``on_fetched`` puts a timer around."""
        super().yield_per(result, dbapi_cursor, num)
        state = getattr(result.context._dbapi_connection, "events_state", None)
        if state is not None:
            self._on_fetched(result, state, 0.0)

    def _add(self, result: Any, seconds: float, rows: int) -> None:
        fetched = fetched_of(result.context)
        state = fetched[0]
        if state is not None:
            state.busy_seconds += seconds
            fetched[2] += seconds
            fetched[3] += rows
            if fetched[2] >= SHORTEST_OBSERVED or get_current_scope() is not None:
                self._on_fetched(result, state, seconds)


def fetch_as_usual(context: Any) -> None:
    """Restore, for a context whose result is streamed, the strategy that it has where nothing was replaced."""
    if has_computed_rows(context):
        setattr(context, FETCH_STRATEGY, getattr(type(context).__base__, FETCH_STRATEGY))


def is_computed(result: Any) -> bool:
    """Return whether a result still fetches by a strategy that adds up time."""
    return type(result.cursor_strategy) is ComputedFetchStrategy


def usual_strategy(result: Any) -> Any:
    """Return what would fetch the rows of a result if nothing had been replaced."""
    strategy = result.cursor_strategy
    return getattr(type(result.context).__base__, FETCH_STRATEGY) if is_computed(result) else strategy


def timed_context_class(plain: Any, strategy: ComputedFetchStrategy) -> Any:
    """Return a class of execution contexts whose results fetch by a strategy that adds up time.

    A class with a slot, since one more key in the dict of each context would cost as much as all the rest.
    """
    members = {FETCH_STRATEGY: strategy, "__module__": plain.__module__, "__slots__": ("events_fetched",)}
    timed: Any = type(plain.__name__, (plain,), members)
    timed.__qualname__ = plain.__qualname__
    return timed


def has_computed_rows(context: Any) -> bool:
    """Return whether a context's result will fetch by a strategy that adds up time."""
    return type(getattr(context, FETCH_STRATEGY, None)) is ComputedFetchStrategy


def replace_context_class(dialect: Any, on_fetched: OnFetched) -> tuple[Any, Any] | None:
    """Replace the class of a dialect's execution contexts; return it and the new one, None if that is not possible."""
    plain = dialect.execution_ctx_cls
    if not contexts_are_replaceable() or type(getattr(plain, FETCH_STRATEGY, None)) is not CursorFetchStrategy:
        return None
    dialect.execution_ctx_cls = timed_context_class(plain, ComputedFetchStrategy(on_fetched))
    return plain, dialect.execution_ctx_cls


@self_test("the fetching of rows that a driver computes meanwhile is not timed, but for streams")
def contexts_are_replaceable() -> bool:
    """Return whether the rows of a result come from the strategy of its context's class.

    There is no public alternative that every statement could afford.
    """
    fetched: list[Any] = []
    strategy = ComputedFetchStrategy(lambda _result, state, _seconds: fetched.append(state))
    state: Any = SimpleNamespace(busy_seconds=0.0)
    with answered_context({}, timed_context_class(sqlite_dialect.execution_ctx_cls, strategy)) as context:
        context.events_fetched = found = [state, 0.0, SHORTEST_OBSERVED, 0]
        result = getattr(context, RESULT_FACTORY)()
        rows = [tuple(row) for row in result.fetchall()]
    return rows == [(1,), (2,)] and fetched == [state] and found[3] == 2 and result.cursor is None
