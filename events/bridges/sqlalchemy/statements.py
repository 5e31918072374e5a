"""Statements as they are sent, told as `query_executed`; and whatever fails, told as `database_failed`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Dialect, MetaData
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from ...bus.context import get_current_scope
from ...bus.emitters import EmitFn
from ...bus.failures import report_failure
from ...database import Operation, database_failed, query_executed
from .attribution import account, tell_lazy_load
from .connection_state import OURS, is_lent, kept_of
from .error_reasons import phase_of, reason_of
from .fetch import watch
from .slow_query_log import log_slow
from .sql.keywords import NONE, OTHER, SYSTEM
from .statement_info import cache_of, form_of, meaning_of
from .transactions import take_part

_READING = frozenset({"select", "set", "savepoint"})
_REPEATING = frozenset({"set", "savepoint"})
_STREAMING = frozenset({"stream_results", "yield_per"})
# Where SQLAlchemy has no statement, and yet something is sent: BEGIN, COMMIT, ROLLBACK, PREPARE TRANSACTION.
_WITHOUT_STATEMENT = frozenset({"execute", "commit", "rollback"})

Sent = tuple[float, str]
Known = tuple["Statements", Operation, str, bool, bool, EmitFn]
"""Who knows it, what it does, its table, whether it only reads, whether its rows are counted, and what tells of it."""


class Statements:
    """Watches what one engine sends."""

    def __init__(self, name: str, metadata: MetaData | None, slow: float) -> None:
        self._name = name
        self._metadata = metadata
        self._slow = slow
        self._labels: dict[str, str] = {}
        self._tables = -1
        by = ("operation", "table", "cache", "slow")
        self._emitters = query_executed.bind_by(by, ("duration", "rows"), engine=name)

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Give the listeners, with what they listen to."""
        for hook in ("do_execute", "do_executemany", "do_execute_no_params"):
            yield hook, self._around(hook), {}
        yield "handle_error", self._failed, {}

    def _around(self, hook: str) -> Callable[..., bool | None]:
        """Make a listener that executes in the dialect's place, as these events allow, with a clock around it.

        The pair of events before and after a statement has the same facts; but any listener of a connection's events
        makes each new connection gather all of them, which takes longer than all that is done here.
        """
        many, bare = hook == "do_executemany", hook == "do_execute_no_params"
        tell = self._tell
        listening: Sequence[Any] = (None,)  # all that listen to this hook, in order, once that was looked up

        def executing(cursor: Any, statement: str, parameters: Any, context: Any = None) -> bool | None:
            if bare:
                context = parameters  # without any, it comes third
            if context is None:
                return None
            dialect = context.dialect
            began = perf_counter()
            try:
                if listening[-1] is not executing and handed_on(dialect, cursor, statement, parameters, context):
                    pass
                elif many:
                    dialect.do_executemany(cursor, statement, parameters, context)
                elif bare:
                    dialect.do_execute_no_params(cursor, statement, context)
                else:
                    dialect.do_execute(cursor, statement, parameters, context)
            except BaseException:
                context.events_sent = began, statement  # to be told by `_failed`, which knows the error
                raise
            duration = perf_counter() - began
            try:
                tell(context, cursor, statement, duration)
            except Exception as error:
                report_failure(query_executed.name, OURS, error)
            return True

        def handed_on(dialect: Any, *execution: Any) -> bool:
            """Ask who came later, and may execute as well: to have executed is to be the last that is asked."""
            nonlocal listening
            listening = getattr(dialect.dispatch, hook).listeners
            later = dropwhile(lambda each: each is not executing, tuple(listening))
            told = execution[:-1] if bare else execution
            return any(each(*told) for each in later if each is not executing)

        return executing

    def _failed(self, failure: ExceptionContext) -> None:
        """Tell what failed; of a statement that was answered and fails as it is fetched, only that."""
        ended = perf_counter()
        try:
            context: Any = failure.execution_context
            connection = failure.connection
            lost = connection is not None and connection.invalidated
            if lost and context is None and isinstance(failure.original_exception, DBAPIError):
                return  # BEGIN fails once more with what failed to connect for it, which was told as the driver's own
            # One that is lost would connect again if it were asked what is remembered of it.
            kept = None if connection is None or lost else kept_of(connection.connection)
            sent: Sent | None = getattr(context, "events_sent", None)
            exception = type(failure.sqlalchemy_exception or failure.original_exception).__name__
            operation: Operation | Literal["none"] = "none"
            table = NONE
            phase = phase_of(failure, kept, answered=sent is None)
            if sent is not None:
                context.events_sent = None
                began, statement = sent
                operation, table = self._tell_failed(context, statement, ended - began, exception)
            elif phase == "fetch":
                operation, table = meaning_of(context, context.statement)
                table = self._label(table)
            elif context is None and phase in _WITHOUT_STATEMENT:
                operation = "savepoint"
            database_failed.emit(
                pool=self._name,
                phase=phase,
                error=reason_of(failure.original_exception, phase, disconnected=failure.is_disconnect),
                operation=operation,
                table=table,
                exception=exception,
            )
        except Exception as error:
            report_failure(database_failed.name, OURS, error)

    def _tell(self, context: Any, cursor: Any, statement: str, duration: float) -> None:
        """Tell a statement that was answered; each pays for this, so little is looked up and little called."""
        connection = context._dbapi_connection  # noqa: SLF001 - the public way is two calls, and may connect again
        try:
            kept, known = connection.events_kept, context.compiled.events_known
            same = known[0] is self and statement is context.statement
        except AttributeError:  # seen for the first time, or never kept
            kept, known, same = kept_of(connection), None, False
            if kept is None and not is_lent(connection):
                return
        if not same or duration >= self._slow:
            known = self._know(context, statement, slow=duration >= self._slow)
        _, operation, table, reads, counted, emit = known
        if kept is not None:
            kept.busy += duration
            if not (reads and kept.checked):
                take_part(kept, context, writes=not reads)
        scope = emit((duration, rows_of(cursor, context.dialect) if counted else None))
        options, streams = context.execution_options, context._is_server_side  # noqa: SLF001 - the same
        if scope is not None or options or streams or duration >= self._slow:
            self._tell_more(context, statement, operation, table, duration)
            # The driver streams, or SQLAlchemy does without its help, as on SQLite.
            if streams or not _STREAMING.isdisjoint(options):
                watch(context, self._name, kept, table)

    def _know(self, context: Any, statement: str, *, slow: bool) -> Known:
        """Find what is to be known of a statement; what a compiled one is remembered for holds each time it is sent."""
        operation, table = meaning_of(context, statement)
        table = self._label(table)
        cache = cache_of(context)
        reads = operation in _READING
        counted = not (reads and context.dialect.name == "sqlite")  # of what SQLite reads it never says how much
        known = self, operation, table, reads, counted, self._emitters[operation, table, cache, slow]
        own = statement is getattr(context, "statement", None)
        declared = table != OTHER or self._metadata is None  # others may be later
        if own and declared and cache == "hit" and not slow:
            context.compiled.events_known = known
        return known

    def _tell_failed(self, context: Any, statement: str, duration: float, error: str) -> tuple[Operation, str]:
        """Tell a statement that failed; give what it does, and its table."""
        operation, table = meaning_of(context, statement)
        connection = context._dbapi_connection  # noqa: SLF001 - the public way may connect again
        kept = kept_of(connection)
        if kept is None and not is_lent(connection):
            return operation, NONE
        table = self._label(table)
        if kept is not None:
            kept.busy += duration
            take_part(kept, context, writes=True)
        query_executed.emit(
            engine=self._name,
            operation=operation,
            table=table,
            duration=duration,
            error=error,
            cache=cache_of(context),
            slow=duration >= self._slow,
        )
        self._tell_more(context, statement, operation, table, duration)
        return operation, table

    def _tell_more(self, context: Any, statement: str, operation: Operation, table: str, duration: float) -> None:
        """Tell what there is to say of a statement beside itself."""
        if get_current_scope() is not None:
            account(duration, None if operation in _REPEATING else form_of(context, statement), table)
        options = context.execution_options.get("_sa_orm_load_options")
        # Not "is_relationship_load", which is true as well for selectinload, the cure.
        if options is not None and options._lazy_loaded_from is not None:  # noqa: SLF001 - do_orm_execute tells it in public, at twice the cost
            tell_lazy_load(context)
        if duration >= self._slow:
            log_slow(self._name, operation, table, duration, statement)

    def _label(self, table: str) -> str:
        """Give the name to tell of a table."""
        if self._metadata is None:
            return table
        if len(self._metadata.tables) != self._tables:  # they may be declared later
            names = [str(known.name) for known in list(self._metadata.tables.values())]
            self._tables = len(names)
            # A name that SQL does not quote comes in lower case, whatever the case of the table's.
            self._labels = {name.lower(): name for name in names} | {
                name: name for name in (*names, NONE, SYSTEM, OTHER)
            }
        return self._labels.get(table, OTHER)


def rows_of(cursor: Any, dialect: Dialect) -> int | None:
    """Give how many rows a statement returned or matched; None where the driver does not say."""
    rows = getattr(cursor, "rowcount", None)
    # SQLite says 0 of a statement that returns what it changed (up to its last row being fetched).
    unknown = type(rows) is not int or rows < 0 or (rows == 0 and dialect.name == "sqlite")
    return None if unknown else rows
