"""Connections that are opened, checked out of their pool, released and closed; and the state of the pool."""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter, time
from typing import Any, Literal
from weakref import finalize, ref

from sqlalchemy import Pool
from sqlalchemy.exc import InvalidatePoolError

from ...bus.failures import report_failure
from ...bus.scope import get_effective_scope
from ...database import (
    connection_acquired,
    connection_closed,
    connection_opened,
    connection_released,
)
from .attribution import innermost_caller
from .connection_state import BRIDGE, INFO_KEY, ConnectionState, swallow_errors
from .detached import DetachedConnections
from .fetch import end_dropped
from .hold_log import log_long_hold
from .internals.pools import max_overflow, pool_invalidated_at
from .peak import Peak
from .pool import CheckoutAttempt, pool_operation
from .transactions import emit_lost_transaction

CloseReason = Literal[
    "recycle", "overflow", "unpooled", "invalidated", "cancelled", "ping_failed", "detached", "leaked", "dispose"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PoolState:
    """How many connections of a pool are used and idle, how many are overflow, and how many there can be."""

    used: int
    idle: int
    overflow: int
    capacity: int | None  # None without a limit, or where it is not known


class ConnectionTracker:
    """Follows the connections of one engine's pools."""

    def __init__(self, name: str, *, statements: bool, keeps_connections: bool, own: bool, hold_seconds: float) -> None:
        self._name = name
        self._own = own
        self._hold_seconds = hold_seconds
        self._keeps_connections = keeps_connections  # once they are returned: all pools but `NullPool`
        self._statements = statements  # are tracked, so that it is known when a connection is busy
        # By the id of the record, while it lives; with what is called when it no longer does.
        self._tracked: dict[int, tuple[ConnectionState, finalize[[int], Any]]] = {}
        self._out: dict[int, None] = {}  # the ids of the records that are checked out
        self.peak_used = Peak()
        self._collected: deque[float | None] = deque()  # lifetimes, still to be emitted
        self._detached = DetachedConnections(name, statements=statements, own=own)

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Return event names, listeners and options."""
        yield "do_connect", swallow_errors(connection_opened.name, self._on_connecting), {"insert": True}
        # First, since the time that other listeners spend on a new connection is not the time it takes to open it.
        yield "connect", swallow_errors(connection_opened.name, self._on_connected), {"insert": True}
        yield "checkout", self._on_checkout, {}
        yield "checkin", self._on_checkin, {}
        yield "soft_invalidate", swallow_errors(connection_closed.name, self._on_invalidate), {}
        yield "invalidate", swallow_errors(connection_closed.name, self._on_invalidate), {}
        yield "close", swallow_errors(connection_closed.name, self._on_close), {}
        yield "detach", swallow_errors(connection_closed.name, self._on_detach), {}
        yield "close_detached", swallow_errors(connection_released.name, self._detached.on_closed), {}

    def pool_state(self, pool: Pool) -> PoolState:
        """Return how a pool's connections are used."""
        counting: Any = pool
        try:
            size, used = counting.size(), counting.checkedout()
            idle, overflow = counting.checkedin(), counting.overflow()
        except (AttributeError, TypeError):  # NullPool, StaticPool and SingletonThreadPool do not count
            states = self._states()
            used = sum(state.checked_out for state in states)
            return PoolState(used, sum(state.is_open for state in states) - used, 0, None)
        limit = max_overflow(pool)
        capacity = None if limit is None or limit < 0 else size + limit
        return PoolState(used, idle, max(0, overflow), capacity)  # below 0 it means "not full yet"

    def oldest_hold(self) -> float:
        """Return for how many seconds the connection has been checked out that was so longest, 0 without one.

        Those that are out for too long are logged, once each, since they may never be returned.
        """
        now, oldest = perf_counter(), 0.0
        for state in self._states():
            if state.checked_out:
                held = now - state.checked_out_at
                oldest = max(oldest, held)
                if held >= self._hold_seconds and not state.hold_logged:
                    state.hold_logged = True
                    log_long_hold(self._name, held, state, so_far=True)
        return oldest

    def reset(self) -> None:
        """Take every connection for closed until it is checked out: a process that was forked off does not own them."""
        for state in self._states():
            state.checked_out, state.is_open, state.transaction_began = False, False, None
            state.busy_seconds, state.statements = 0.0, 0
            state.fetches.clear()
        self._collected.clear()
        self._detached.clear()
        self._out.clear()
        self.peak_used = Peak()

    def stop(self) -> None:
        """Remove what is stored of connections, so that another tracker starts anew."""
        for _, finalizer in list(self._tracked.values()):
            if (alive := finalizer.detach()) is not None:
                alive[0].info.pop(INFO_KEY, None)
        self._tracked.clear()
        self._detached.clear()

    def end_dropped_fetches(self) -> None:
        """Emit `rows_streamed` for results that the program dropped before their end."""
        for state in [*self._states(), *self._detached.states()]:
            end_dropped(state)

    def forget_used(self) -> None:
        """Count no more, for the peak of a new pool, which connections of the old one are checked out."""
        self._out.clear()

    def emit_detached(self) -> None:
        """Emit what connections did that were detached from the pool."""
        self._detached.emit_news()

    def emit_collected(self) -> None:
        """Emit `connection_closed` for connections that the garbage collector took with a pool that was disposed of."""
        while self._collected:
            try:
                lifetime = self._collected.popleft()
            except IndexError:  # another thread was quicker
                return
            connection_closed.emit(pool=self._name, reason="dispose", lifetime=lifetime)

    def _states(self) -> list[ConnectionState]:
        return [state for state, _ in list(self._tracked.values())]

    def _track(self, record: Any) -> ConnectionState:
        key = id(record)
        state = record.info[INFO_KEY] = ConnectionState()
        tracked = self._tracked.get(key)
        if tracked is None:
            finalizer = finalize(record, self._on_collected, key)
            finalizer.atexit = False
        else:
            finalizer = tracked[1]
        self._tracked[key] = state, finalizer
        return state

    def _on_collected(self, key: int, /) -> None:
        """Note that a record is gone.

        `Engine.dispose` leaves connections that are checked out to the old pool, which takes them back, or hands them
        to a caller that still waits there; with ``close=False`` it leaves all. SQLAlchemy has no event for the end of
        such a connection: it ends with its record, which the garbage collector takes with the pool. It may come at any
        moment, whatever locks are held then, so nothing is emitted here.
        """
        state, _ = self._tracked.pop(key)
        self._out.pop(key, None)
        if state.is_open:
            self._collected.append(None if state.opened_at is None else perf_counter() - state.opened_at)

    def _on_connecting(self, _dialect: Any, record: Any, *_: Any) -> None:
        if record is not None:
            self._track(record)

    def _on_connected(self, _connection: Any, record: Any) -> None:
        state: ConnectionState | None = record.info.get(INFO_KEY)
        now = perf_counter()
        if state is None or state.opened_at is not None:  # a creator of the program's own: there is no do_connect
            state = self._track(record)
            duration = max(0.0, time() - record.last_connect_time)
        else:
            duration = now - state.connecting_since
        state.opened_at = now
        connection_opened.emit(pool=self._name, duration=duration)
        self.emit_collected()  # else they would pile up where nobody reads the pool

    def _on_checkout(self, _connection: Any, record: Any, proxy: Any) -> None:
        try:
            state: ConnectionState = record.info.get(INFO_KEY) or self._track(record)
            proxy.events_state = state
            if state.checked_out:  # a StaticPool hands it out to several callers, and reports one return
                return
            state.checked_out, state.is_open, state.proxy = True, True, ref(proxy)
            state.hold_logged = False
            out = self._out
            out[id(record)] = None
            self.peak_used.highest = max(self.peak_used.highest, len(out))
            state.scope = scope = get_effective_scope()
            if scope is None:
                state.caller, state.agent_name, state.run_id = "none", "unknown", ""
            else:
                state.caller = innermost_caller(scope)
                state.agent_name = str(scope.fields.get("agent_name", "unknown"))
                state.run_id = str(scope.fields.get("run_id", ""))
            state.checked_out_at = perf_counter()
        except Exception as error:
            report_failure(connection_acquired.name, BRIDGE, error)

    def _on_checkin(self, _connection: Any, record: Any) -> None:
        try:
            self._release(record)
        except Exception as error:  # raised, it would cost the pool a place for good
            report_failure(connection_released.name, BRIDGE, error)

    def _release(self, record: Any, *, detached: Any = None) -> bool:
        """Emit `connection_released`; return whether it was the garbage collector that released it.

        ``detached`` is the driver's connection that left the pool: it is used on, unless it is collected.
        """
        state: ConnectionState | None = record.info.get(INFO_KEY)
        if state is None:
            return False
        leaked = state.checked_out and state.proxy is not None and state.proxy() is None
        goes_on = detached is not None and not leaked and state.checked_out and state.proxy is not None
        if not goes_on:
            for timer in list(state.fetches.values()):  # left before their end, which is this one
                timer.finish()
        if not state.checked_out:
            return False
        now = perf_counter()
        state.checked_out = False
        self._out.pop(id(record), None)
        proxy, state.proxy = state.proxy, None
        if not goes_on:
            emit_lost_transaction(state, self._name, own=self._own)
        duration = now - state.checked_out_at
        if duration >= self._hold_seconds:
            log_long_hold(self._name, duration, state)
        state.scope = None
        connection_released.emit(
            pool=self._name,
            scope=state.caller,
            duration=duration,
            idle=max(0.0, duration - state.busy_seconds) if self._statements else None,
            busy=state.busy_seconds if self._statements else None,
            statements=state.statements if self._statements else None,
            leaked=leaked,
            agent_name=state.agent_name,
            run_id=state.run_id,
        )
        # Not at the next check-out: a StaticPool with several callers reports the first return alone.
        state.busy_seconds, state.statements = 0.0, 0
        if goes_on and proxy is not None:
            self._detached.add(detached, state, proxy)
        return leaked

    def _on_invalidate(self, _connection: Any, record: Any, error: BaseException | None) -> None:
        state: ConnectionState = record.info.get(INFO_KEY) or self._track(record)
        if isinstance(error, InvalidatePoolError):
            state.close_reason = "ping_failed"
        elif isinstance(error, CancelledError):
            state.close_reason = "cancelled"
        else:
            state.close_reason = "invalidated"

    def _on_close(self, _connection: Any, record: Any) -> None:
        state: ConnectionState | None = record.info.get(INFO_KEY)
        operation = pool_operation.get()
        reason: CloseReason
        if state is not None and state.close_reason:
            reason = state.close_reason
        elif operation == "dispose":
            reason = "dispose"
        elif isinstance(operation, CheckoutAttempt):
            is_lost = pool_invalidated_at(operation.pool) > record.last_connect_time
            reason = "invalidated" if is_lost else "recycle"
        else:
            reason = "overflow" if self._keeps_connections else "unpooled"
        self._emit_closed(state, reason)

    def _on_detach(self, connection: Any, record: Any) -> None:
        state: ConnectionState | None = record.info.get(INFO_KEY)
        leaked = self._release(record, detached=connection)
        self._emit_closed(state, "leaked" if leaked else "detached")

    def _emit_closed(self, state: ConnectionState | None, reason: CloseReason) -> None:
        opened_at = state.opened_at if state is not None else None
        if state is not None:
            state.opened_at, state.is_open, state.close_reason = None, False, ""
        connection_closed.emit(
            pool=self._name, reason=reason, lifetime=None if opened_at is None else perf_counter() - opened_at
        )
