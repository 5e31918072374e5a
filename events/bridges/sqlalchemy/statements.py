"""Each statement that is executed, emitted as `query_executed`, and each failure, as `database_failed`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Dialect, MetaData
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import ExecuteStyle
from sqlalchemy.exc import DBAPIError

from ...bus.failures import report_failure
from ...bus.scope import get_effective_scope
from ...database import Cache, Operation, database_failed, query_executed, rows_streamed
from .attribution import account_fetching, account_query, innermost_caller
from .connection_state import BRIDGE, ConnectionState, find_state, is_pooled
from .error_reasons import error_reason, phase_of_failure
from .fetch import FetchedStatement, FetchTimer, continue_fetching, time_fetching
from .internals.computed_rows import SHORTEST_OBSERVED, fetch_as_usual, fetched_of, has_computed_rows, is_computed
from .internals.engines import listeners_are_known, listeners_of
from .internals.execution import context_is_readable, context_reader
from .internals.lazy_loading import lazy_loads
from .n_plus_one import emit_lazy_load, is_batch
from .slow_query_log import log_slow_statement
from .sql.keywords import NONE
from .statement_info import StatementPlan, cache_outcome, classify_statement, statement_key, statement_state
from .table_labels import TableLabels
from .transaction_steps import Steps, transaction_steps
from .transactions import TransactionTracker

_READ_ONLY = frozenset({"select", "set", "savepoint"})
_MAY_REPEAT = frozenset({"set", "savepoint"})
_STREAMING_OPTIONS = frozenset({"stream_results", "yield_per"})
_MOST_PLANS = 1000  # without metadata, any text names tables
# Phases in which SQLAlchemy has no statement, and yet sends one: BEGIN, COMMIT, ROLLBACK, PREPARE TRANSACTION.
_TRANSACTION_PHASES = frozenset({"execute", "commit", "rollback"})


@dataclass(frozen=True, slots=True)
class UnansweredStatement:
    """A statement that was sent and failed: stored on its execution context, as ``events_unanswered``."""

    began: float
    statement: str


class StatementTracker:
    """Times what one engine executes."""

    def __init__(
        self, name: str, metadata: MetaData | None, slow_seconds: float, transactions: TransactionTracker, *, own: bool
    ) -> None:
        self._name = name
        self._own = own
        self._transactions = transactions
        self._slow_seconds = slow_seconds
        self._tables = TableLabels(metadata)
        self._reads_attributes = context_is_readable()
        self._read_context = context_reader()
        self._lazy_loads = lazy_loads()
        labels = ("operation", "table", "cache", "slow")
        self._plans: dict[tuple[Operation, str, Cache, bool, Steps], StatementPlan] = {}
        self._emitters = query_executed.bind_by(labels, ("duration", "rows"), engine=name, own=own)

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Return event names, listeners and options."""
        if listeners_are_known():
            for hook in ("do_execute", "do_executemany", "do_execute_no_params"):
                yield hook, self._executing_listener(hook), {}
        else:
            yield "before_cursor_execute", self._before_execute, {}
            yield "after_cursor_execute", self._after_execute, {}
        yield "handle_error", self._on_error, {}

    def _executing_listener(self, hook: str) -> Callable[..., bool | None]:  # calls would cost
        """Return a listener that executes in the dialect's place, as these events allow, and takes the time.

        The events before and after a statement would do; but any listener to a connection's events makes each new
        connection gather all of them, which takes longer than all that is done here.
        """
        is_many, has_no_parameters = hook == "do_executemany", hook == "do_execute_no_params"
        is_usual = hook == "do_execute"
        emit_executed = self._emit_executed
        listeners: Sequence[Any] = (None,)  # all listeners to this hook, in order, once that was looked up

        def execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> bool | None:
            if has_no_parameters:
                context = parameters  # it comes third then
            if context is None:
                return None
            dialect = context.dialect
            began = perf_counter()
            try:
                if listeners[-1] is not execute and later_executes(dialect, cursor, statement, parameters, context):
                    pass
                elif is_usual:
                    dialect.do_execute(cursor, statement, parameters, context)
                elif is_many:
                    dialect.do_executemany(cursor, statement, parameters, context)
                else:
                    dialect.do_execute_no_params(cursor, statement, context)
            except BaseException:
                context.events_unanswered = UnansweredStatement(began, statement)  # `_on_error` gets the error
                raise
            duration = perf_counter() - began
            try:
                emit_executed(context, cursor, statement, duration, len(parameters) if is_many else 0)
            except Exception as error:
                report_failure(query_executed.name, BRIDGE, error)
            return True

        def later_executes(dialect: Any, *arguments: Any) -> bool:
            """Call the listeners that were added later; return whether one executed, which ends the calls."""
            nonlocal listeners
            listeners = listeners_of(dialect, hook)
            later = dropwhile(lambda each: each is not execute, tuple(listeners))
            passed_on = arguments[:-1] if has_no_parameters else arguments
            return any(each(*passed_on) for each in later if each is not execute)

        return execute

    def _before_execute(
        self, _connection: Any, _cursor: Any, statement: str, _: Any, context: Any, _many: bool
    ) -> None:
        if context is not None:
            context.events_unanswered = UnansweredStatement(perf_counter(), statement)

    def _after_execute(self, _connection: Any, cursor: Any, statement: str, _: Any, context: Any, _many: bool) -> None:
        ended = perf_counter()
        try:
            sent: UnansweredStatement | None = getattr(context, "events_unanswered", None)
            if sent is not None:
                context.events_unanswered = None
                is_many = context.execute_style is ExecuteStyle.EXECUTEMANY
                sets = len(context.parameters) if is_many else 0
                self._emit_executed(context, cursor, statement, ended - sent.began, sets)
        except Exception as error:
            report_failure(query_executed.name, BRIDGE, error)

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
            exception = type(failure.sqlalchemy_exception or failure.original_exception).__name__
            operation: Operation | Literal["none"] = "none"
            table = NONE
            phase = phase_of_failure(failure, state, answered=unanswered is None)
            if unanswered is not None:
                context.events_unanswered = None
                duration = ended - unanswered.began
                operation, table = self._emit_failed(context, unanswered.statement, duration, exception)
            elif phase == "fetch":
                operation, table = classify_statement(context, context.statement)
                table = self._tables.label(table)
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
        """Emit a statement that was answered; every statement pays for what is looked up and called here.

        ``sets`` is the number of the sets of parameters of an ``executemany``.
        """
        try:
            # Private attributes, where a self-test found them: no plan is stored otherwise.
            plan, state = context.compiled.events_statement.plan, context._dbapi_connection.events_state  # noqa: SLF001
            options = context.execution_options
            is_usual = (
                plan.owner is self
                and statement is context.statement
                and duration < self._slow_seconds
                and (not options or _STREAMING_OPTIONS.isdisjoint(options))
                and not context._is_server_side  # noqa: SLF001
                and state.autocommit_checked
                and not plan.steps
            )
        except AttributeError:  # executed for the first time, or never stored
            is_usual = False
        if not is_usual:
            self._emit_unusual(context, cursor, statement, duration, sets)
            return
        state.busy_seconds += duration
        state.statements += 1
        rows = row_count(cursor, context.dialect, sets, plan.operation) if plan.counts_rows else None
        if plan.emit((duration, rows)) is not None or options:
            self._emit_details(context, statement, plan.operation, plan.table, duration)
        if plan.computes_rows:
            context.events_fetched = [state, duration, 0.0, 0]

    def _emit_unusual(self, context: Any, cursor: Any, statement: str, duration: float, sets: int) -> None:
        """Emit a statement that was answered, and that has no plan, is slow, streams rows, or is of a transaction."""
        connection, is_server_side, options = self._read_context(context)
        state = find_state(connection)
        if state is None and not is_pooled(connection):
            return
        is_slow = duration >= self._slow_seconds
        plan = self._plan_of(context, statement)
        if plan is None or is_slow:
            plan = self._make_plan(context, statement, slow=is_slow)
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

    def _plan_of(self, context: Any, statement: str) -> StatementPlan | None:
        """Return the plan that is stored for a context's own statement, if it is of this tracker."""
        stored = getattr(context.compiled, "events_statement", None)
        plan: StatementPlan | None = None if stored is None else stored.plan
        is_own = plan is not None and plan.owner is self and statement is getattr(context, "statement", None)
        return plan if is_own else None

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
        operation, table = classify_statement(context, context.statement)
        fetched = FetchedStatement(self._name, operation, self._tables.label(table), self._slow_seconds, self._own)
        return FetchTimer(fetched, context.statement, state, executed)

    def _make_plan(self, context: Any, statement: str, *, slow: bool) -> StatementPlan:
        """Return what to emit of a statement; stored on its compiled form if that holds each time it is executed."""
        operation, table = classify_statement(context, statement)
        table = self._tables.label(table)
        cache = cache_outcome(context)
        key = operation, table, cache, slow
        steps = transaction_steps(operation, statement)
        plan = self._plans.get((*key, steps))
        if plan is None:
            # SQLite never says how many it reads.
            counts_rows = not (operation in _READ_ONLY and context.dialect.name == "sqlite")
            fetched = FetchedStatement(self._name, operation, table, self._slow_seconds, self._own)
            plan = StatementPlan(
                self,
                operation,
                table,
                steps,
                counts_rows,
                self._emitters[key],
                fetched,
                has_computed_rows(context),
            )
            if len(self._plans) < _MOST_PLANS:
                self._plans[*key, steps] = plan
        is_own = statement is getattr(context, "statement", None)
        if self._reads_attributes and is_own and self._tables.is_final(table) and cache == "hit" and not slow:
            statement_state(context.compiled).plan = plan
        return plan

    def _emit_failed(self, context: Any, statement: str, duration: float, error: str) -> tuple[Operation, str]:
        """Emit a statement that failed; return its operation and its table."""
        operation, table = classify_statement(context, statement)
        connection = self._read_context(context)[0]
        state = find_state(connection)
        if state is None and not is_pooled(connection):
            return operation, NONE
        table = self._tables.label(table)
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
