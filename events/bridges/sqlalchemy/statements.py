"""Statements as they are sent, told as `query_executed`; and whatever fails, told as `database_failed`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import MetaData
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import DBAPIError

from ...database import Operation, Phase, database_failed, query_executed
from ...scope import current
from ...signal import tell_failure
from .askers import account, tell_lazy_load, without_literals
from .errors import reason_of
from .kept import OURS, Kept, kept_of
from .meanings import cache_of, form_of, meaning_of, rows_of
from .sql_words import NONE, OTHER, SYSTEM
from .streams import watch
from .transactions import autocommits

log = logging.getLogger("events.sql")

_LONGEST_READ = 10_000  # characters; read before it is cut, since half a literal is no literal
_LONGEST_LOGGED = 500
_READING = frozenset({"select", "set", "savepoint"})
_STREAMING = frozenset({"stream_results", "yield_per"})
# Where SQLAlchemy has no statement, and yet something is sent: BEGIN, COMMIT, ROLLBACK, PREPARE TRANSACTION.
_WITHOUT_STATEMENT = frozenset({"execute", "commit", "rollback"})

Sent = tuple[float, str, bool]


class Statements:
    """Watches what one engine sends."""

    def __init__(self, name: str, metadata: MetaData | None, slow: float) -> None:
        self._name = name
        self._metadata = metadata
        self._slow = slow
        self._labels: dict[str, str] = {}
        self._tables = -1

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Give the listeners, with what they listen to."""
        # With retval SQLAlchemy does not wrap the listener: one call less for each query.
        yield "before_cursor_execute", self._before, {"retval": True}
        yield "after_cursor_execute", self._after, {}
        yield from self.errors()

    def errors(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Give the listener for failures alone: the dialect has it, so that it costs other statements nothing."""
        yield "handle_error", self._failed, {}

    def _before(
        self, _connection: Connection, _cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        try:
            # On the context of this one execution: nothing else is surely not shared with another query.
            context.events_sent = perf_counter(), statement, executemany
        except Exception as error:
            tell_failure(query_executed.name, OURS, error)
        return statement, parameters

    def _after(
        self, connection: Connection, cursor: Any, _statement: str, _parameters: Any, context: Any, _executemany: bool
    ) -> None:
        ended = perf_counter()
        try:
            self.executed(connection, kept_of(connection), cursor, context, ended)
        except Exception as error:
            tell_failure(query_executed.name, OURS, error)

    def executed(self, connection: Connection, kept: Kept | None, cursor: Any, context: Any, ended: float) -> None:
        """Tell what was answered, if its start was seen."""
        sent = context.__dict__.pop("events_sent", None)
        if sent is None:
            return
        # The driver streams, or SQLAlchemy does without its help, as on SQLite.
        if context._is_server_side or not _STREAMING.isdisjoint(context.execution_options):  # noqa: SLF001 - not public
            watch(context, self._name, kept)
        self._tell(connection, kept, context, sent, ended, error="", rows=rows_of(cursor, context))

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
            kept = None if connection is None or lost else kept_of(connection)
            sent: Sent | None = None if context is None else context.__dict__.pop("events_sent", None)
            exception = type(failure.sqlalchemy_exception or failure.original_exception).__name__
            operation: Operation | Literal["none"] = "none"
            table = NONE
            phase = phase_of(failure, kept, answered=sent is None)
            if sent is not None and connection is not None:
                operation, _ = meaning_of(context, *sent[1:])
                table = self._tell(connection, kept, context, sent, ended, error=exception, rows=None)
            elif phase == "fetch":
                operation, _ = meaning_of(context, context.statement, executemany=False)
                table = context.events_table
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
            tell_failure(database_failed.name, OURS, error)

    def _tell(
        self,
        connection: Connection,
        kept: Kept | None,
        context: Any,
        sent: Sent,
        ended: float,
        *,
        error: str,
        rows: int | None,
    ) -> str:
        """Tell a statement, and give its table."""
        began, statement, executemany = sent
        duration = ended - began
        operation, table = meaning_of(context, statement, executemany)
        if self._metadata is not None:
            table = self._labels.get(table) or self._known(table, self._metadata)
        context.events_table = table
        if kept is not None:
            kept.busy += duration
            if kept.transaction is not None:
                if not kept.checked:
                    kept.checked = True
                    if autocommits(connection):
                        kept.transaction = None
                if error or operation not in _READING:
                    kept.matters = True
        slow = duration >= self._slow
        query_executed.emit(
            engine=self._name,
            operation=operation,
            table=table,
            duration=duration,
            error=error,
            rows=rows,
            cache=cache_of(context),
            slow=slow,
        )
        if current.get() is not None:
            account(duration, None if operation in {"savepoint", "set"} else form_of(context, statement), table)
        tell_lazy_load(context)
        if slow:
            self._log(operation, table, duration, statement)
        return table

    def _log(self, operation: Operation, table: str, duration: float, statement: str) -> None:
        scope = current.get()
        fields = scope.fields if scope is not None else {}
        log.warning(
            "slow statement: %.3f s, %s %s on %s, agent %s, run %s: %s",
            duration,
            operation,
            table,
            self._name,
            fields.get("agent_name", "none"),
            fields.get("run_id", "none"),
            without_literals(statement[:_LONGEST_READ])[:_LONGEST_LOGGED],
        )

    def _known(self, table: str, metadata: MetaData) -> str:
        """Look a table up that was not among the metadata's when it was last read: tables may be declared later."""
        if len(metadata.tables) != self._tables:
            names = [str(known.name) for known in list(metadata.tables.values())]
            self._tables = len(names)
            # A name that SQL does not quote comes in lower case, whatever the case of the table's.
            self._labels = {name.lower(): name for name in names} | {
                name: name for name in (*names, NONE, SYSTEM, OTHER)
            }
        return self._labels.get(table, OTHER)


def phase_of(failure: ExceptionContext, kept: Kept | None, *, answered: bool) -> Phase:
    """Name what was being done when it failed."""
    if failure.is_pre_ping:
        return "ping"
    context = failure.execution_context
    # A connection that was lost is made anew by whatever asks next, which then fails without having been sent.
    if failure.connection is None or (context is None and failure.connection.invalidated):
        return "connect"
    if context is not None:
        if not answered:
            return "execute"
        return "fetch" if hasattr(context, "events_table") else "compile"
    if failure.statement is not None:
        return "compile"
    ending: Phase = "execute"  # BEGIN, on drivers that send it
    if kept is not None and kept.failed_in is not None:
        ending, kept.failed_in = kept.failed_in, None
    return ending
