"""Every statement that a SQLAlchemy engine sends, told as `query_executed`; the only module here that knows SQLAlchemy.

>>> from events.bridges.sqlalchemy import instrument
>>> handle = instrument(engine, metadata=Base.metadata)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Engine, MetaData, TableClause, event
from sqlalchemy.engine import Connection, ExceptionContext

from ..database import query_executed
from ..signal import tell_failure
from .sql_text import Description, describe, remembered
from .sql_words import NONE, OTHER, SYSTEM, label_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # wants greenlet, which sync engines do without

__all__ = ["Instrumentation", "describe", "instrument"]


def instrument(engine: Engine | AsyncEngine, name: str = "main", metadata: MetaData | None = None) -> Instrumentation:
    """Tell `query_executed` once for every statement that the engine sends, answered or failed.

    ``name`` becomes the event's ``engine``. With ``metadata`` only its tables are told by name, any other is ``other``;
    without it every table is. An engine that is instrumented already keeps the handle it has.

    Returns:
        a handle; its ``close()``, or a ``with`` block, undoes this.

    Raises:
        TypeError: this is no engine.
        ValueError: the engine is instrumented under another name or with other metadata.
    """
    target = getattr(engine, "sync_engine", engine)
    if not isinstance(target, Engine):
        raise TypeError(f"instrument() takes an Engine or an AsyncEngine, not {engine!r}")
    with _instrumenting:
        known = _instrumented.get(target)
        if known is None:
            known = _instrumented[target] = Instrumentation(target, name, metadata)
        elif known.name != name or known.metadata is not metadata:
            raise ValueError(f"the engine is instrumented as {known.name!r} already: close that handle first")
        return known


_instrumenting = Lock()
_instrumented: WeakKeyDictionary[Engine, Instrumentation] = WeakKeyDictionary()


class Instrumentation:
    """The listeners of one engine: made by `instrument`, undone by `close`.

    None of them lets a failure of its own reach the query; it becomes `receiver_failed`.
    """

    def __init__(self, engine: Engine, name: str, metadata: MetaData | None) -> None:
        self.name = name
        self.metadata = metadata
        self._labels: dict[str, str] = {}
        self._tables = -1
        self._engine = ref(engine)  # the engine holds its listeners: the other way round it would live for ever
        self._listeners: dict[str, Callable[..., Any]] = {
            "before_cursor_execute": self._before,
            "after_cursor_execute": self._after,
            "handle_error": self._failed,
        }
        for hook, listener in self._listeners.items():
            # With retval SQLAlchemy does not wrap the listener: one call less for each query.
            event.listen(engine, hook, listener, retval=hook == "before_cursor_execute")

    def close(self) -> None:
        """Tell nothing more. Call it while no query is under way: SQLAlchemy may be going through its listeners."""
        with _instrumenting:
            listeners, self._listeners = self._listeners, {}
            engine = self._engine()
            if engine is None or not listeners:
                return
            for hook, listener in listeners.items():
                event.remove(engine, hook, listener)
            del _instrumented[engine]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _before(
        self, _connection: Connection, _cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        try:
            # On the context of this one execution: nothing else is surely not shared with another query.
            context.events_sent = perf_counter(), statement, executemany
        except Exception as error:
            tell_failure(query_executed.name, "sqlalchemy", error)
        return statement, parameters

    def _after(
        self, _connection: Connection, _cursor: Any, _statement: str, _parameters: Any, context: Any, _executemany: bool
    ) -> None:
        ended = perf_counter()
        try:
            sent = context.__dict__.pop("events_sent", None)
            if sent is not None:
                self._tell(context, sent, ended, "")
        except Exception as error:
            tell_failure(query_executed.name, "sqlalchemy", error)

    def _failed(self, failure: ExceptionContext) -> None:
        """Tell a statement that failed; one that was answered, and fails as it is fetched, was told before."""
        ended = perf_counter()
        try:
            context: Any = failure.execution_context
            sent = None if context is None else context.__dict__.pop("events_sent", None)
            if sent is not None:
                self._tell(
                    context, sent, ended, type(failure.sqlalchemy_exception or failure.original_exception).__name__
                )
        except Exception as error:
            tell_failure(query_executed.name, "sqlalchemy", error)

    def _tell(self, context: Any, sent: tuple[float, str, bool], ended: float, error: str) -> None:
        started, statement, executemany = sent
        operation, table = meaning_of(context, statement, executemany)
        if self.metadata is not None:
            table = self._labels.get(table) or self._known(table, self.metadata)
        query_executed.emit(engine=self.name, operation=operation, table=table, duration=ended - started, error=error)

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
