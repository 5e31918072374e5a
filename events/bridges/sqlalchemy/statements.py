"""Each statement that is executed, emitted as `query_executed`, and each failure, as `database_failed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Dialect, MetaData
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from ...bus.failures import report_failure
from ...bus.scope import get_effective_scope
from ...database import Operation, database_failed, query_executed, rows_streamed
from .attribution import account_fetching, account_query, innermost_caller
from .connection_state import BRIDGE, ConnectionState, find_state, is_pooled
from .error_reasons import error_reason, phase_of_failure
from .fetch import FetchTimer, continue_fetching, time_fetching
from .internals.computed_rows import SHORTEST_OBSERVED, fetch_as_usual, fetched_of, is_computed
from .internals.engines import executes_by_cursor
from .internals.execution import context_reader
from .internals.lazy_loading import lazy_loads
from .n_plus_one import emit_lazy_load, is_batch
from .replaced_methods import Method, ReplacedMethods
from .slow_query_log import log_slow_statement
from .sql.keywords import NONE
from .statement_info import cache_outcome, statement_key
from .statement_plans import StatementPlans
from .transaction_steps import transaction_steps
from .transactions import TransactionTracker

_MAY_REPEAT = frozenset({"set", "savepoint"})
_STREAMING_OPTIONS = frozenset({"stream_results", "yield_per"})
# Phases in which SQLAlchemy has no statement, and yet sends one: BEGIN, COMMIT, ROLLBACK, PREPARE TRANSACTION.
_TRANSACTION_PHASES = frozenset({"execute", "commit", "rollback"})


@dataclass(frozen=True, slots=True)
class UnansweredStatement:
    """A statement that was sent and failed: stored on its execution context, as ``events_unanswered``."""

    began: float
    statement: str
    error: BaseException

    def failed_by(self, error: BaseException | None) -> bool:
        """Return whether an error is the statement's, or was raised in its place.

        It may be another one's: whoever sends a statement again has caught the first error.
        """
        pending, seen = [error], set[int]()  # a chain may be a circle: `raise first from second`, which came of it
        while pending:
            each = pending.pop()
            if each is self.error:
                return True
            if each is not None and id(each) not in seen:
                seen.add(id(each))
                pending += (each.__cause__, each.__context__)
        return False


class StatementTracker:
    """Times what one engine executes."""

    def __init__(
        self, name: str, metadata: MetaData | None, slow_seconds: float, transactions: TransactionTracker, *, own: bool
    ) -> None:
        self._name = name
        self._own = own
        self._transactions = transactions
        self._slow_seconds = slow_seconds
        self._methods = ReplacedMethods()
        self._plans = StatementPlans(name, metadata, slow_seconds, own=own)
        self._plans_in_use: StatementPlans | None = self._plans  # none once the methods are restored
        self._read_context = context_reader()
        self._lazy_loads = lazy_loads()

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Return event names, listeners and options."""
        yield "handle_error", self._on_error, {}

    def wrap(self, dialect: Dialect) -> None:
        """Put a timer around the dialect's methods that execute statements.

        Listeners to SQLAlchemy's events would do. But any listener to a connection's makes each new connection gather
        all of them, and the events of a dialect, which it calls in the place of these methods, take a statement half a
        microsecond more.
        """
        self._methods.replace(dialect, "do_execute", self._timed_execute(dialect.do_execute))
        self._methods.replace(dialect, "do_executemany", self._timed_executemany(dialect.do_executemany))
        self._methods.replace(dialect, "do_execute_no_params", self._timed_no_params(dialect.do_execute_no_params))

    def unwrap(self, dialect: Dialect) -> None:
        """Restore the dialect's methods; a wrapper that was itself wrapped stays, and only passes calls on."""
        self._plans_in_use = None
        self._methods.restore(dialect)

    def _timed_execute(self, plain: Method) -> Method:  # in one piece: every statement pays for each call
        """Return a method that executes, takes the time, and emits what is usual of a statement."""

        def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            if context is None:
                return plain(cursor, statement, parameters)
            began = perf_counter()
            try:
                if by_cursor:
                    returned = None
                    cursor.execute(statement, parameters)
                else:
                    returned = plain(cursor, statement, parameters, context)
            except BaseException as error:
                context.events_unanswered = UnansweredStatement(began, statement, error)  # `_on_error` gets the error
                raise
            duration = perf_counter() - began
            try:
                try:
                    # Private attributes, where a self-test found them: no plan is stored otherwise.
                    plan = context.compiled.events_statement.plain_plan
                    state = context._dbapi_connection.events_state  # noqa: SLF001
                    own_statement = context.statement
                    options = context.execution_options
                except AttributeError:  # executed for the first time, or never stored
                    plan = None
                if (
                    plan is not None
                    and plan.owner is self._plans_in_use
                    and statement is own_statement
                    and duration < slow_seconds
                    and (not options or _STREAMING_OPTIONS.isdisjoint(options))
                    and not context._is_server_side  # noqa: SLF001
                    and state.autocommit_checked
                ):
                    state.busy_seconds += duration
                    state.statements += 1
                    emit = plan.emit  # called at once, it would be looked up as a method each time
                    rows = row_count(cursor, context.dialect, 0, plan.operation) if plan.counts_rows else None
                    if emit((duration, rows)) is not None or options:
                        self._emit_details(context, statement, plan.operation, plan.table, duration)
                    if plan.computes_rows:
                        context.events_fetched = [state, duration, 0.0, 0]
                else:
                    self._emit_executed(context, cursor, statement, duration, 0)
            except Exception as error:
                report_failure(query_executed.name, BRIDGE, error)
            return returned

        slow_seconds, by_cursor = self._slow_seconds, executes_by_cursor(plain)
        return do_execute

    def _timed_executemany(self, plain: Method) -> Method:
        def do_executemany(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            execute = partial(plain, cursor, statement, parameters, context)
            return self._execute_timed(execute, context, cursor, statement, parameters)

        return do_executemany

    def _timed_no_params(self, plain: Method) -> Method:
        def do_execute_no_params(cursor: Any, statement: str, context: Any = None) -> Any:
            return self._execute_timed(partial(plain, cursor, statement, context), context, cursor, statement, ())

        return do_execute_no_params

    def _execute_timed(self, execute: Method, context: Any, cursor: Any, statement: str, sets: Sequence[object]) -> Any:
        """Execute; emit that, unless the dialect did it by ``do_execute``, and it was emitted there."""
        executed_before = self._statements_of(context)
        began = perf_counter()
        try:
            returned = execute()
        except BaseException as error:
            unanswered: UnansweredStatement | None = getattr(context, "events_unanswered", None)
            if context is not None and (unanswered is None or not unanswered.failed_by(error)):
                context.events_unanswered = UnansweredStatement(began, statement, error)
            raise
        duration = perf_counter() - began
        try:
            if context is not None and self._statements_of(context) == executed_before:
                self._emit_executed(context, cursor, statement, duration, len(sets))
        except Exception as error:
            report_failure(query_executed.name, BRIDGE, error)
        return returned

    def _statements_of(self, context: Any) -> int | None:
        """Return how many statements a context's connection has executed, None where that is not known."""
        try:
            state = find_state(self._read_context(context)[0])
        except AttributeError:
            return None
        return None if state is None else state.statements

    def _on_error(self, failure: ExceptionContext) -> None:
        """Emit a failure, and the statement that failed unless it was answered and fails as its rows are fetched."""
        ended = perf_counter()
        try:
            context: Any = failure.execution_context
            connection = failure.connection
            is_lost = connection is not None and connection.invalidated
            if is_lost and context is None and isinstance(failure.original_exception, DBAPIError):
                return  # BEGIN fails with the error of the connection it needed, which was emitted as the driver's own
            # Reading the state of a connection that is lost would open a new one.
            state = None if connection is None or is_lost else find_state(connection.connection)
            unanswered: UnansweredStatement | None = getattr(context, "events_unanswered", None)
            if unanswered is not None:
                context.events_unanswered = None
                unanswered = unanswered if unanswered.failed_by(failure.original_exception) else None
            exception = type(failure.sqlalchemy_exception or failure.original_exception).__name__
            operation: Operation | Literal["none"] = "none"
            table = NONE
            phase = phase_of_failure(failure, state, answered=unanswered is None)
            if unanswered is not None:
                duration = ended - unanswered.began
                operation, table = self._emit_failed(context, unanswered.statement, duration, exception)
            elif phase == "fetch":
                operation, table = self._plans.classify(context, context.statement)
                if state is not None:
                    self._transactions.record_failed(state, context, (), 0.0)
            elif context is None and phase in _TRANSACTION_PHASES:
                operation = "savepoint"
            database_failed.emit(
                pool=self._name,
                phase=phase,
                error=error_reason(failure.original_exception, phase, disconnected=failure.is_disconnect),
                operation=operation,
                table=table,
                exception=exception,
                own=self._own,
            )
        except Exception as error:
            report_failure(database_failed.name, BRIDGE, error)

    def _emit_executed(self, context: Any, cursor: Any, statement: str, duration: float, sets: int) -> None:
        """Emit a statement that was answered, whichever it is.

        ``sets`` is the number of the sets of parameters of an ``executemany``.
        """
        if self._plans_in_use is None:
            return
        connection, is_server_side, options = self._read_context(context)
        state = find_state(connection)
        if state is None and not is_pooled(connection):
            return
        is_slow = duration >= self._slow_seconds
        plan = self._plans.stored(context, statement)
        if plan is None or is_slow:
            plan = self._plans.make(context, statement, slow=is_slow)
        if state is not None:
            state.busy_seconds += duration
            state.statements += 1
            if plan.steps or not state.autocommit_checked:
                self._transactions.record(state, context, plan.steps, duration)
        rows = row_count(cursor, context.dialect, sets, plan.operation) if plan.counts_rows else None
        scope = plan.emit((duration, rows))
        if scope is not None or options or is_server_side or is_slow:
            self._emit_details(context, statement, plan.operation, plan.table, duration)
            # The driver streams the rows, or SQLAlchemy does without its help, as on SQLite.
            if is_server_side or not _STREAMING_OPTIONS.isdisjoint(options):
                fetch_as_usual(context)
                time_fetching(context, FetchTimer(plan.fetched, statement, state, duration))
                return
        if plan.computes_rows and state is not None:
            context.events_fetched = [state, duration, 0.0, 0]

    def on_fetched(self, result: Any, state: ConnectionState, seconds: float) -> None:
        """Account for a fetch of rows that are computed meanwhile: one that took long, or in a scope.

        The context has what was fetched of its result: no more than what is too short to be observed, until a timer
        takes over.
        """
        try:
            if self._own:
                account_fetching(get_effective_scope(), seconds)
            context = result.context
            _, executed, so_far, rows = fetched = fetched_of(context)
            if so_far < SHORTEST_OBSERVED and is_computed(result):
                return
            fetched[1:] = 0.0, 0.0, 0
            continue_fetching(result, partial(self._make_timer, context, state, executed), so_far, rows)
        except Exception as error:
            report_failure(rows_streamed.name, BRIDGE, error)

    def _make_timer(self, context: Any, state: ConnectionState, executed: float) -> FetchTimer:
        fetched = self._plans.fetched(*self._plans.classify(context, context.statement))
        return FetchTimer(fetched, context.statement, state, executed)

    def _emit_failed(self, context: Any, statement: str, duration: float, error: str) -> tuple[Operation, str]:
        """Emit a statement that failed; return its operation and its table."""
        operation, table = self._plans.classify(context, statement)
        connection = self._read_context(context)[0]
        state = find_state(connection)
        if state is None and not is_pooled(connection):
            return operation, NONE
        if state is not None:
            state.busy_seconds += duration
            state.statements += 1
            steps = transaction_steps(operation, statement)
            self._transactions.record_failed(state, context, steps, duration)
        query_executed.emit(
            engine=self._name,
            own=self._own,
            operation=operation,
            table=table,
            duration=duration,
            error=error,
            cache=cache_outcome(context),
            slow=duration >= self._slow_seconds,
        )
        self._emit_details(context, statement, operation, table, duration)
        return operation, table

    def _emit_details(self, context: Any, statement: str, operation: Operation, table: str, duration: float) -> None:
        """Emit what else a statement means: its caller's account, repeats, a lazy load; log it if it was slow."""
        if self._own and get_effective_scope() is not None:
            may_repeat = operation in _MAY_REPEAT or is_batch(context)
            key = None if may_repeat else statement_key(context, statement, self)
            account_query(duration, key, table)
        lazy = self._lazy_loads
        option = context.execution_options.get(lazy.option)
        if self._own and option is not None and lazy.origin(option) is not None:
            emit_lazy_load(lazy.path(context), innermost_caller(get_effective_scope()))
        if duration >= self._slow_seconds:
            log_slow_statement(self._name, operation, table, duration, statement, scope=get_effective_scope())


def row_count(cursor: Any, dialect: Dialect, sets: int, operation: Operation) -> int | None:
    """Return how many rows a statement returned or matched; None where the driver does not say.

    With many ``sets`` of parameters some drivers count nothing, or what the last one did: an INSERT has a row for each
    set then, of another statement it is unknown.
    """
    if sets and not dialect.supports_sane_multi_rowcount:
        return sets if operation == "insert" else None
    rows = getattr(cursor, "rowcount", None)
    # SQLite says 0 of a statement that returns what it changed, until its last row is fetched.
    is_unknown = type(rows) is not int or rows < 0 or (rows == 0 and dialect.name == "sqlite")
    if is_unknown:
        return sets if sets and operation == "insert" else None
    return rows
