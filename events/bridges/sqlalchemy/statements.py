"""Statements as they are sent, told as `query_executed`; and whatever fails, told as `database_failed`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import dropwhile
from operator import attrgetter
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import MetaData
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from ...database import Operation, Phase, database_failed, query_executed
from ...failures import tell_failure
from ...scope import current
from .askers import account, tell_lazy_load, without_literals
from .errors import reason_of
from .kept import LENT, OURS, Kept, is_lent, kept_of
from .meanings import HIT, cache_of, form_of, meaning_of, rows_of
from .sql_words import NONE, OTHER, SYSTEM
from .streams import watch
from .transactions import check

log = logging.getLogger("events.sql")

_LONGEST_READ = 10_000  # characters; read before it is cut, since half a literal is no literal
_LONGEST_LOGGED = 500
_READING = frozenset({"select", "set", "savepoint"})
_STREAMING = frozenset({"stream_results", "yield_per"})
# Where SQLAlchemy has no statement, and yet something is sent: BEGIN, COMMIT, ROLLBACK, PREPARE TRANSACTION.
_WITHOUT_STATEMENT = frozenset({"execute", "commit", "rollback"})

Sent = tuple[float, str]


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
        for hook in ("do_execute", "do_executemany", "do_execute_no_params"):
            yield hook, self._around(hook), {}
        yield "handle_error", self._failed, {}

    def _around(self, hook: str) -> Callable[..., bool | None]:
        """Make a listener that executes in the dialect's place, as these events allow, with a clock around it.

        The pair of events before and after a statement has the same facts; but any listener of a connection's events
        makes each new connection gather all of them, which takes longer than all that is done here.
        """
        execute, listeners = attrgetter(hook), attrgetter(f"dispatch.{hook}.listeners")

        def executing(cursor: Any, statement: str, *more: Any) -> bool | None:
            context = more[-1]
            if context is None:
                return None
            dialect = context.dialect
            began = perf_counter()
            try:
                # To have executed is to be the last: who came later is asked from here, and may execute itself.
                if listeners(dialect)[-1] is executing or not handed_on(listeners(dialect), cursor, statement, *more):
                    execute(dialect)(cursor, statement, *more)
            except BaseException:
                context.events_sent = began, statement  # to be told by `_failed`, which knows the error
                raise
            ended = perf_counter()
            try:
                self._tell(context, cursor, statement, began, ended)
            except Exception as error:
                tell_failure(query_executed.name, OURS, error)
            return True

        def handed_on(listening: Iterable[Any], *execution: Any) -> bool:
            later = dropwhile(lambda each: each is not executing, tuple(listening))
            return any(each(*execution) for each in later if each is not executing)

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
                operation, _ = meaning_of(context, statement)
                table = self._tell(context, None, statement, began, ended, error=exception)
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
            tell_failure(database_failed.name, OURS, error)

    def _tell(self, context: Any, cursor: Any, statement: str, began: float, ended: float, *, error: str = "") -> str:
        """Tell a statement, and give its table."""
        connection = context._dbapi_connection  # noqa: SLF001 - the public way is two calls, and may connect again
        kept: Kept | None = getattr(connection, LENT, None) or kept_of(connection)
        if kept is None and not is_lent(connection):
            return NONE
        duration = ended - began
        operation, table = meaning_of(context, statement)
        table = self._labels.get(table) or self._label(table)
        if kept is not None:
            kept.busy += duration
            if kept.transaction is not None:
                if not kept.checked:
                    check(kept, context.root_connection)
                if error or operation not in _READING:
                    kept.matters = True
        slow = duration >= self._slow
        query_executed.emit(
            engine=self._name,
            operation=operation,
            table=table,
            duration=duration,
            error=error,
            rows=None if error else rows_of(cursor, context),
            cache="hit" if context.cache_hit is HIT else cache_of(context),
            slow=slow,
        )
        if current.get() is not None:
            account(duration, None if operation in {"savepoint", "set"} else form_of(context, statement), table)
        options = context.execution_options.get("_sa_orm_load_options")
        # Not "is_relationship_load", which is true as well for selectinload, the cure.
        if options is not None and options._lazy_loaded_from is not None:  # noqa: SLF001 - do_orm_execute tells it in public, at twice the cost
            tell_lazy_load(context)
        if slow:
            self._log(operation, table, duration, statement)
        # The driver streams, or SQLAlchemy does without its help, as on SQLite.
        if context._is_server_side or not _STREAMING.isdisjoint(context.execution_options):  # noqa: SLF001 - the same
            watch(context, self._name, kept, table)
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
        return "fetch" if is_answered(context.cursor) else "compile"
    if failure.statement is not None:
        return "compile"
    ending: Phase = "execute"  # BEGIN, on drivers that send it
    if kept is not None and kept.failed_in is not None:
        ending, kept.failed_in = kept.failed_in, None
    return ending


def is_answered(cursor: Any) -> bool:
    """Tell whether a statement was executed with a cursor; no mark is left where each statement would pay for it."""
    try:
        return cursor.description is not None or cursor.rowcount >= 0
    except Exception:
        return False
