"""Puts the bridge's listeners on an engine, and takes them off again."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet, ref

from sqlalchemy import Engine, MetaData, NullPool, event

from ...bus.after_fork import call_after_fork, free_after_fork
from ...bus.announcements import add_announcer
from ...bus.pollers import add_poller
from ...bus.signal import Signal
from ...database import (
    PoolRead,
    connection_acquired,
    connection_closed,
    connection_opened,
    connection_released,
    database_failed,
    pool_read,
    transaction_ended,
)
from .connections import ConnectionTracker
from .fetch import computes_rows
from .internals.computed_rows import replace_context_class
from .internals.engines import root_engine
from .pool import PoolTracker
from .statements import StatementTracker
from .transactions import TransactionTracker

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # needs greenlet, which sync engines do without

ATTRIBUTE = "events_instrumentation"
"""Where the handle stands on the dialect of its engine, which those made of it by ``execution_options`` share.

Anywhere else it would keep the engine alive, by way of other listeners that refer to it.
"""

POOL_SIGNALS: tuple[Signal[..., Any], ...] = (
    connection_acquired,
    connection_closed,
    connection_opened,
    connection_released,
    database_failed,
    transaction_ended,
)
"""Signals whose events have the name of an engine as their ``pool``: what it does, and what trouble it has."""

SLOW_SECONDS = 1.0
"""Seconds from which a statement counts as slow and is logged."""

HOLD_SECONDS = 60.0
"""Seconds from which a connection that is out of its pool is logged, with who took it."""


def instrument(
    engine: Engine | AsyncEngine,
    name: str = "main",
    metadata: MetaData | None = None,
    slow_seconds: float = SLOW_SECONDS,
    *,
    hold_seconds: float = HOLD_SECONDS,
    statements: bool = True,
    own: bool = True,
) -> Instrumentation:
    """Emit what an engine does as events: statements, transactions, connections, failures.

    What the pool holds is read before each render of metrics, and emitted as `pool_read`: of all engines of one name
    together.

    An engine that is instrumented already has one handle, which is returned again, with the ``slow_seconds`` and
    ``hold_seconds`` that it was made with. An engine made of it by
    ``execution_options`` is the same engine.

    Statements are timed around the dialect's methods ``do_execute``, ``do_executemany`` and ``do_execute_no_params``. A
    statement that a listener to the events of these names answers without calling them is not emitted.

    Args:
        engine: what to listen to, sync or async.
        name: the events' ``pool`` (``engine`` of `query_executed`).
        metadata: the tables to name, any other is ``other``; without it every table is named.
        slow_seconds: a statement that takes this long or longer is logged, with its SQL and without literals.
        hold_seconds: a connection that is out of its pool this long or longer is logged, with the scope, the agent and
            the run that took it: at the next render, and when it is returned.
        statements: False to emit only what happens to connections, as for an engine of another library whose pool
            matters and whose statements are not the program's. How long connections were idle is not known then.
        own: False for an engine of another library whose statements are to be watched: its events have ``own`` unset,
            and the metrics count them by pool alone, in no family with a ``table`` and at no scope.

    Returns:
        a handle; its ``close()``, or a ``with`` block, undoes this. Its ``read_pool()`` emits the pool's state at once.

    Raises:
        TypeError: ``engine`` is no engine, ``name`` no text, ``metadata`` no `MetaData`, or seconds are no number.
        ValueError: the engine is instrumented under another name, with other metadata, ``statements`` or ``own``.
    """
    target = getattr(engine, "sync_engine", engine)
    if not isinstance(target, Engine):
        raise TypeError(f"instrument() takes an Engine or an AsyncEngine, not {engine!r}")
    check_name(name)
    check_metadata(metadata)
    check_seconds(slow_seconds=slow_seconds, hold_seconds=hold_seconds)
    target = root_engine(target)
    with _instrumenting:
        existing: Instrumentation | None = getattr(target.dialect, ATTRIBUTE, None)
        if existing is None:
            existing = Instrumentation(
                target, name, metadata, slow_seconds, hold_seconds=hold_seconds, statements=statements, own=own
            )
            setattr(target.dialect, ATTRIBUTE, existing)
            _instrumentations.add(existing)
            add_poller(read_pools)
            add_announcer(announce_pools)
            announce_pools()
        elif existing.settings != (name, statements, own) or existing.metadata is not metadata:
            raise ValueError(f"the engine is instrumented as {existing.name!r} already: close that handle first")
        return existing


def is_instrumented(engine: Engine | AsyncEngine) -> bool:
    """Return whether an engine, sync or async, emits events already."""
    target = getattr(engine, "sync_engine", engine)
    return isinstance(target, Engine) and hasattr(root_engine(target).dialect, ATTRIBUTE)


def check_name(name: object) -> None:
    """Raise `TypeError` for what is no text, such as the metadata in the place of the name: it is a label's value."""
    if not isinstance(name, str):
        fix = "metadata=... comes by name" if isinstance(getattr(name, "metadata", name), MetaData) else 'as in "main"'
        raise TypeError(f"name of instrument() is a text, not {name!r}: {fix}")


def check_seconds(**settings: object) -> None:
    """Raise `TypeError` for what cannot be compared with a duration, such as the text of an environment variable."""
    for setting, seconds in settings.items():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or isnan(seconds):
            fix = f": {setting}=float(...)" if isinstance(seconds, str) else "; math.inf logs nothing"
            raise TypeError(f"{setting} of instrument() is a number of seconds, not {seconds!r}{fix}")


def check_metadata(metadata: object) -> None:
    """Raise `TypeError` for what is no `MetaData`, such as the class of the models: it would lose every statement."""
    if metadata is None or isinstance(metadata, MetaData):
        return
    owner = getattr(metadata, "__name__", type(metadata).__name__)
    has_metadata = isinstance(getattr(metadata, "metadata", None), MetaData)
    fix = f": metadata={owner}.metadata" if has_metadata else "; it is as in metadata=Base.metadata"
    raise TypeError(f"metadata of instrument() is a MetaData, not {metadata!r}{fix}")


_instrumenting = free_after_fork(Lock())
_instrumentations: WeakSet[Instrumentation] = WeakSet()


def announce_pools() -> None:
    """Announce what the pools of instrumented engines may emit: their first trouble is to be seen."""
    for name in sorted({instrumentation.name for instrumentation in list(_instrumentations)}):
        for signal in POOL_SIGNALS:
            signal.announce(pool=name)


_names_read: set[str] = set()


def read_pools(only: str | None = None) -> None:
    """Emit `pool_read` for each name of instrumented engines, and once more, without values, for each that is gone.

    With ``only``, for that name alone.
    """
    reads: dict[str, list[PoolRead]] = {}
    for instrumentation in list(_instrumentations):
        if only in (None, instrumentation.name) and (state := instrumentation.pool_state()) is not None:
            reads.setdefault(state.pool, []).append(state)
    gone = {name for name in _names_read if only in (None, name)} - reads.keys()
    _names_read.difference_update(gone)
    _names_read.update(reads)
    for name in sorted(gone):
        pool_read.emit(pool=name)
    for name, pools in sorted(reads.items()):
        capacities = [pool.capacity for pool in pools if pool.capacity is not None]
        pool_read.emit(
            pool=name,
            used=sum(pool.used or 0 for pool in pools),
            idle=sum(pool.idle or 0 for pool in pools),
            overflow=sum(pool.overflow or 0 for pool in pools),
            capacity=sum(capacities) if len(capacities) == len(pools) else None,
            pending=sum(pool.pending or 0 for pool in pools),
            peak_used=sum(pool.peak_used or 0 for pool in pools),
            peak_pending=sum(pool.peak_pending or 0 for pool in pools),
            oldest_hold=max(pool.oldest_hold or 0.0 for pool in pools),
        )


@call_after_fork
def _reset_after_fork() -> None:
    """Clear, in a process that was forked off, which connections are checked out or waited for: its parent's are."""
    for instrumentation in list(_instrumentations):
        instrumentation.reset_after_fork()


Listener = tuple[str, Callable[..., Any], dict[str, bool]]


class Instrumentation:
    """The listeners of one engine: made by `instrument`, removed by `close`.

    None of them lets an error of its own reach the program; it is emitted as `receiver_failed`.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        metadata: MetaData | None,
        slow_seconds: float,
        *,
        hold_seconds: float,
        statements: bool,
        own: bool,
    ) -> None:
        self.name = name
        self.metadata = metadata
        self.settings = name, statements, own
        self._engine = ref(engine)  # whoever holds the handle does not hold the engine
        self._connections = ConnectionTracker(
            name,
            statements=statements,
            keeps_connections=not isinstance(engine.pool, NullPool),
            own=own,
            hold_seconds=hold_seconds,
        )
        self._pool = PoolTracker(name, statements=statements, own=own, on_recreate=self._connections.forget_used)
        self._transactions = TransactionTracker(name, own=own)
        self._statements: StatementTracker | None = None
        self._context_classes: tuple[Any, Any] | None = None  # of the dialect: before, and since
        self._listeners: list[Listener] = [*self._connections.listeners(), *self._pool.listeners()]
        if statements:
            self._statements = tracker = StatementTracker(name, metadata, slow_seconds, self._transactions, own=own)
            self._listeners += tracker.listeners()
            if computes_rows(engine.dialect):
                self._context_classes = replace_context_class(engine.dialect, tracker.on_fetched)
            tracker.wrap(engine.dialect)
            self._transactions.wrap(engine.dialect)
        for hook, listener, options in self._listeners:
            event.listen(engine, hook, listener, **options)
        self._pool.wrap(engine.pool)

    def read_pool(self) -> None:
        """Emit the state of the pools of this name as `pool_read`, as each render of metrics does by itself."""
        read_pools(self.name)

    def pool_state(self) -> PoolRead | None:
        """Return the state of the engine's pool, for which nothing is sent to the database; None if it is gone.

        Emits `connection_closed` for connections that ended with a pool that was disposed of, and what those did that
        were detached.
        """
        self._connections.emit_collected()
        self._connections.emit_detached()
        self._connections.end_dropped_fetches()
        engine = self._engine()
        if engine is None or not self._listeners:
            return None
        state = self._connections.pool_state(engine.pool)
        return PoolRead(
            pool=self.name,
            used=state.used,
            idle=state.idle,
            overflow=state.overflow,
            capacity=state.capacity,
            pending=self._pool.pending,
            peak_used=self._connections.peak_used.read(state.used),
            peak_pending=self._pool.peak_pending.read(self._pool.pending),
            oldest_hold=self._connections.oldest_hold(),
        )

    def reset_after_fork(self) -> None:
        """Clear which connections are checked out or waited for; what happens from now on is emitted all the same."""
        self._connections.reset()
        self._pool.reset()

    def close(self) -> None:
        """Remove the listeners; calling it again does nothing.

        Call it while no query is running: SQLAlchemy may be going through its listeners.
        """
        with _instrumenting:
            listeners, self._listeners = self._listeners, []
            engine = self._engine()
            if engine is None or not listeners:
                return
            for hook, listener, _ in listeners:
                event.remove(engine, hook, listener)
            if self._statements is not None:
                self._statements.unwrap(engine.dialect)
            self._transactions.unwrap(engine.dialect)
            if self._context_classes is not None and engine.dialect.execution_ctx_cls is self._context_classes[1]:
                engine.dialect.execution_ctx_cls = self._context_classes[0]
            self._pool.unwrap(engine.pool)
            self._connections.stop()
            delattr(engine.dialect, ATTRIBUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
