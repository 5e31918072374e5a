"""Statements as they are sent, told as `query_executed`; and whatever fails, told as `database_failed`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from sqlalchemy import MetaData, TableClause
from sqlalchemy.engine import Connection, ExceptionContext

from ...database import Cache, Operation, Phase, database_failed, query_executed
from ...scope import current
from ...signal import tell_failure
from .askers import account, tell_lazy_load, without_literals
from .errors import reason_of
from .kept import OURS, kept_of
from .sql_text import Description, remembered
from .sql_words import NONE, OTHER, SYSTEM, label_of

log = logging.getLogger("events.sql")

_LONGEST_LOGGED = 500  # characters
_READING = frozenset({"select", "set", "savepoint"})
_CACHES: dict[str, Cache] = {
    "CACHE_HIT": "hit",
    "CACHE_MISS": "miss",
    "CACHING_DISABLED": "disabled",
    "NO_CACHE_KEY": "no_key",
    "NO_DIALECT_SUPPORT": "disabled",
}

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
            sent = context.__dict__.pop("events_sent", None)
            if sent is not None:
                self._tell(connection, context, sent, ended - sent[0], error="", rows=rows_of(cursor, context))
        except Exception as error:
            tell_failure(query_executed.name, OURS, error)

    def _failed(self, failure: ExceptionContext) -> None:
        """Tell what failed; of a statement that was answered and fails as it is fetched, only that."""
        ended = perf_counter()
        try:
            context: Any = failure.execution_context
            connection = failure.connection
            sent: Sent | None = None if context is None else context.__dict__.pop("events_sent", None)
            exception = type(failure.sqlalchemy_exception or failure.original_exception).__name__
            table = NONE
            if sent is not None and connection is not None:
                table = self._tell(connection, context, sent, ended - sent[0], error=exception, rows=None)
            elif context is not None:
                table = getattr(context, "events_table", NONE)
            phase = self._phase(failure, answered=sent is None)
            database_failed.emit(
                pool=self._name,
                phase=phase,
                error=reason_of(failure.original_exception, phase, disconnected=failure.is_disconnect),
                table=table,
                exception=exception,
            )
        except Exception as error:
            tell_failure(database_failed.name, OURS, error)

    def _phase(self, failure: ExceptionContext, *, answered: bool) -> Phase:
        if failure.is_pre_ping:
            return "ping"
        if failure.connection is None:
            return "connect"
        context = failure.execution_context
        if context is not None:
            if not answered:
                return "execute"
            return "fetch" if hasattr(context, "events_table") else "compile"
        if failure.statement is not None:
            return "compile"
        kept = kept_of(failure.connection)
        ending: Phase = "execute"  # BEGIN, on drivers that send it
        if kept is not None and kept.failed_in is not None:
            ending, kept.failed_in = kept.failed_in, None
        return ending

    def _tell(
        self, connection: Connection, context: Any, sent: Sent, duration: float, *, error: str, rows: int | None
    ) -> str:
        """Tell a statement, and give its table."""
        _, statement, executemany = sent
        operation, table = meaning_of(context, statement, executemany)
        if self._metadata is not None:
            table = self._labels.get(table) or self._known(table, self._metadata)
        context.events_table = table
        kept = kept_of(connection)
        if kept is not None:
            kept.spend(duration)
            if kept.transaction is not None and (error or operation not in _READING):
                kept.transaction.matters = True
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
            without_literals(statement[:_LONGEST_LOGGED]),
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


def meaning_of(context: Any, statement: str, executemany: bool) -> Description:
    """Name operation and table of what a context sends.

    They are remembered on the compiled form, not for the text: an IN list changes the text each time. A context also
    sends what is not its own statement: the look-up of a sequence or a default, while its own is still being made. Only
    its own can be an executemany, and then it may be a batch of it with another text.
    """
    if executemany or statement is getattr(context, "statement", None):
        compiled = context.compiled
        if compiled is not None:
            meaning: Description | None = compiled.__dict__.get("events_meaning")
            if meaning is None:
                meaning = compiled.events_meaning = written_by(context) or remembered(statement)
            return meaning
    return remembered(statement)


def written_by(context: Any) -> Description | None:
    """Name the table of an INSERT, UPDATE or DELETE by the statement's own attributes, where it has plain ones."""
    table = getattr(context.compiled.statement, "table", None)
    if not isinstance(table, TableClause):
        return None
    label = label_of(table.schema or "", str(table.name))
    if context.isinsert:
        return "insert", label
    if context.isupdate:
        return "update", label
    return ("delete", label) if context.isdelete else None


def rows_of(cursor: Any, context: Any) -> int | None:
    """Read how many rows were returned or matched, where the driver knows."""
    rows = getattr(cursor, "rowcount", None)
    if type(rows) is not int or rows < 0:
        return None
    # SQLite says 0 of a statement that returns what it changed (up to its last row being fetched).
    return None if rows == 0 and context.dialect.name == "sqlite" else rows


def cache_of(context: Any) -> Cache:
    """Tell whether the statement was compiled before; text as the program wrote it needs no compiling."""
    if context.compiled is None:
        return "none"
    return _CACHES.get(getattr(context.cache_hit, "name", ""), "none")


def form_of(context: Any, statement: str) -> object:
    """Give what repeated statements have in common: an IN list changes the text, not the compiled form."""
    return context.compiled if cache_of(context) in {"hit", "miss"} else without_literals(statement)
