"""Puts the bridge's listeners on an engine, and takes them off again."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet, ref

from sqlalchemy import Engine, MetaData, event

from ...database import pool_read
from .connections import Connections
from .pool import Pools
from .statements import Statements
from .transactions import Transactions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # wants greenlet, which sync engines do without

HANDLE = "events_instrumentation"
"""Where the handle stands on its engine: anywhere else it would keep it alive, through what else listens to it."""

SLOW = 1.0
"""Seconds from which a statement counts as slow and is logged."""


def instrument(
    engine: Engine | AsyncEngine,
    name: str = "main",
    metadata: MetaData | None = None,
    slow: float = SLOW,
    *,
    statements: bool = True,
) -> Instrumentation:
    """Tell what the engine does: statements, transactions, connections, failures.

    ``name`` becomes the events' ``pool`` (``engine`` of `query_executed`). With ``metadata`` only its tables are told
    by name, any other is ``other``; without it every table is. A statement that takes ``slow`` seconds or more is
    logged, with its SQL and without literals. An engine that is instrumented already keeps the handle it has; one made
    of it by ``execution_options`` is the same engine.

    Statements are executed by a listener of SQLAlchemy's ``do_execute`` and its kin, which asks those that came later
    first. What a listener that came before executes itself is not told: SQLAlchemy asks nobody else then.

    Without ``statements`` only what becomes of connections is told, as for an engine of somebody else's whose pool
    matters and whose statements are not the program's. How long they were idle is not known then.

    Returns:
        a handle; its ``close()``, or a ``with`` block, undoes this. Its ``read()`` tells the pool's state.

    Raises:
        TypeError: this is no engine.
        ValueError: the engine is instrumented under another name, with other metadata or other ``statements``.
    """
    target = getattr(engine, "sync_engine", engine)
    if not isinstance(target, Engine):
        raise TypeError(f"instrument() takes an Engine or an AsyncEngine, not {engine!r}")
    while (made_of := getattr(target, "_proxied", None)) is not None:
        target = made_of
    with _instrumenting:
        known: Instrumentation | None = getattr(target, HANDLE, None)
        if known is None:
            known = Instrumentation(target, name, metadata, slow, statements=statements)
            setattr(target, HANDLE, known)
            _instrumentations.add(known)
        elif (known.name, known.statements) != (name, statements) or known.metadata is not metadata:
            raise ValueError(f"the engine is instrumented as {known.name!r} already: close that handle first")
        return known


_instrumenting = Lock()
_instrumentations: WeakSet[Instrumentation] = WeakSet()


def _forked() -> None:
    """Forget, in a process that was forked off, who holds and awaits connections: it is the parent that does."""
    global _instrumenting  # noqa: PLW0603 - a lock that another thread held stays locked in the child
    _instrumenting = Lock()
    for instrumentation in list(_instrumentations):
        instrumentation.forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)

Listener = tuple[str, Callable[..., Any], dict[str, bool]]


class Instrumentation:
    """The listeners of one engine: made by `instrument`, undone by `close`.

    None of them lets a failure of its own reach what the program does; it becomes `receiver_failed`.
    """

    def __init__(self, engine: Engine, name: str, metadata: MetaData | None, slow: float, *, statements: bool) -> None:
        self.name = name
        self.metadata = metadata
        self.statements = statements
        self._engine = ref(engine)  # whoever holds the handle does not hold the engine
        self._connections = Connections(name, statements=statements)
        self._pools = Pools(name)
        self._transactions = Transactions(name)
        self._listeners: list[Listener] = [*self._connections.listeners()]
        if statements:
            self._listeners += Statements(name, metadata, slow).listeners()
            self._transactions.wrap(engine.dialect)
        for hook, listener, options in self._listeners:
            event.listen(engine, hook, listener, **options)
        self._pools.wrap(engine.pool)

    def read(self) -> None:
        """Tell the state of the pool as `pool_read`; asks nothing of the database, so a scrape may call it.

        Tells too which connections ended with a pool that was disposed of.
        """
        self._connections.tell_dropped()
        engine = self._engine()
        if engine is None:
            return
        used, idle, overflow, capacity = self._connections.state(engine.pool)
        pool_read.emit(
            pool=self.name,
            used=used,
            idle=idle,
            overflow=overflow,
            capacity=capacity,
            pending=self._pools.pending,
            oldest_hold=self._connections.oldest_hold(),
        )

    def forget(self) -> None:
        """Know of no hold and no wait any more; what is done with the connections is told all the same."""
        self._connections.forget()
        self._pools.forget()

    def close(self) -> None:
        """Tell nothing more. Call it while no query is under way: SQLAlchemy may be going through its listeners."""
        with _instrumenting:
            listeners, self._listeners = self._listeners, []
            engine = self._engine()
            if engine is None or not listeners:
                return
            for hook, listener, _ in listeners:
                event.remove(engine, hook, listener)
            self._transactions.unwrap(engine.dialect)
            self._pools.unwrap(engine.pool)
            self._connections.leave()
            delattr(engine, HANDLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
