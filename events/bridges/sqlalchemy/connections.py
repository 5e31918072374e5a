"""What happens to connections: made, held, given back, closed."""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from collections.abc import Iterator
from time import perf_counter, time
from typing import Any, Literal
from weakref import finalize, ref

from sqlalchemy import Pool
from sqlalchemy.exc import InvalidatePoolError

from ...bus.context import current_scope
from ...bus.failures import report_failure
from ...database import (
    connection_acquired,
    connection_closed,
    connection_opened,
    connection_released,
    transaction_ended,
)
from .attribution import innermost
from .connection_state import KEY, OURS, Kept, guarded
from .pool import Acquiring, doing

Reason = Literal["recycle", "overflow", "invalidated", "cancelled", "ping_failed", "detached", "leaked", "dispose"]


class Connections:
    """Watches the connections of one engine's pools."""

    def __init__(self, name: str, *, statements: bool) -> None:
        self._name = name
        self._statements = statements  # are watched, so that it is known when a connection is busy
        # By the record, as long as it lives; with what happens when it no longer does.
        self._known: dict[int, tuple[Kept, finalize[[int], Any]]] = {}
        self._dropped: deque[float | None] = deque()

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Give the listeners, with what they listen to."""
        yield "do_connect", guarded(connection_opened.name, self._connecting), {"insert": True}
        # Before what others do at the start of a connection, which is none of the time it takes to make one.
        yield "connect", guarded(connection_opened.name, self._opened), {"insert": True}
        yield "checkout", self._taken, {}
        yield "checkin", self._returned, {}
        yield "invalidate", guarded(connection_closed.name, self._invalidated), {}
        yield "close", guarded(connection_closed.name, self._closed), {}
        yield "detach", guarded(connection_closed.name, self._detached), {}

    def state(self, pool: Pool) -> tuple[int, int, int, int | None]:
        """Read how many connections are used and idle, how many of them are overflow, and how many there can be."""
        asked: Any = pool
        try:
            size, used, idle, overflow = asked.size(), asked.checkedout(), asked.checkedin(), asked.overflow()
        except (AttributeError, TypeError):  # NullPool, StaticPool and SingletonThreadPool do not keep count
            kept = self._living()
            used = sum(each.held for each in kept)
            return used, sum(each.present for each in kept) - used, 0, None
        most = getattr(pool, "_max_overflow", -1)  # there is no public way to ask
        return used, idle, max(0, overflow), None if most < 0 else size + most  # below 0 it means "not full yet"

    def oldest_hold(self) -> float:
        """Tell for how long the connection that has been out longest has been."""
        now = perf_counter()
        return max((now - kept.began for kept in self._living() if kept.held), default=0.0)

    def forget(self) -> None:
        """Take every connection for one that nobody holds and that is not here, until it is taken."""
        for kept in self._living():
            kept.held, kept.present, kept.transaction = False, False, None
        self._dropped.clear()

    def leave(self) -> None:
        """Watch no more: what is remembered of connections goes, so that another handle begins anew."""
        for _, end in list(self._known.values()):
            if (watched := end.detach()) is not None:
                watched[0].info.pop(KEY, None)
        self._known.clear()

    def tell_dropped(self) -> None:
        """Tell of connections that ended since with a pool that their engine no longer has."""
        while self._dropped:
            try:
                lifetime = self._dropped.popleft()
            except IndexError:  # another thread was quicker
                return
            connection_closed.emit(pool=self._name, reason="dispose", lifetime=lifetime)

    def _living(self) -> list[Kept]:
        return [kept for kept, _ in list(self._known.values())]

    def _keep(self, record: Any) -> Kept:
        key = id(record)
        kept = record.info[KEY] = Kept()
        known = self._known.get(key)
        if known is None:
            end = finalize(record, self._drop, key)
            end.atexit = False
        else:
            end = known[1]
        self._known[key] = kept, end
        return kept

    def _drop(self, key: int, /) -> None:
        """Note that a record is no more.

        `Engine.dispose` leaves what is out to the old pool, which takes it back, or lends it to who waits there still;
        with ``close=False`` it leaves all. SQLAlchemy has no event for the end of such a connection: it ends with its
        record, which the garbage collector takes with the pool. It may come at any moment, whatever locks are held
        then, so nothing is told here.
        """
        kept, _ = self._known.pop(key)
        if kept.present:
            self._dropped.append(None if kept.opened is None else perf_counter() - kept.opened)

    def _connecting(self, _dialect: Any, record: Any, *_: Any) -> None:
        if record is not None:
            self._keep(record)

    def _opened(self, _connection: Any, record: Any) -> None:
        kept: Kept | None = record.info.get(KEY)
        now = perf_counter()
        if kept is None or kept.opened is not None:  # a creator of the program's own: there is no do_connect
            kept = self._keep(record)
            duration = max(0.0, time() - record.last_connect_time)
        else:
            duration = now - kept.opening
        kept.opened = now
        connection_opened.emit(pool=self._name, duration=duration)
        self.tell_dropped()  # where nobody reads the pool, they would be more and more

    def _taken(self, _connection: Any, record: Any, proxy: Any) -> None:
        try:
            kept: Kept = record.info.get(KEY) or self._keep(record)
            proxy.events_kept = kept
            if kept.held:  # a StaticPool hands it out to several, and tells of the return of one
                return
            kept.held, kept.busy, kept.present, kept.proxy = True, 0.0, True, ref(proxy)
            scope = current_scope.get()
            if scope is None:
                kept.scope, kept.agent_name, kept.run_id = "none", "unknown", ""
            else:
                kept.scope = innermost(scope)
                kept.agent_name = str(scope.fields.get("agent_name", "unknown"))
                kept.run_id = str(scope.fields.get("run_id", ""))
            kept.began = perf_counter()
        except Exception as error:
            report_failure(connection_acquired.name, OURS, error)

    def _returned(self, _connection: Any, record: Any) -> None:
        try:
            self._release(record)
        except Exception as error:  # it would lose the pool a place for ever
            report_failure(connection_released.name, OURS, error)

    def _release(self, record: Any) -> bool:
        """Tell the end of a hold; answer whether it was the garbage collector that ended it."""
        kept: Kept | None = record.info.get(KEY)
        if kept is None or not kept.held:
            return False
        now = perf_counter()
        kept.held = False
        leaked = kept.proxy is not None and kept.proxy() is None
        kept.proxy = None
        if kept.transaction is not None:  # neither committed nor rolled back: the connection was lost
            duration, kept.transaction = now - kept.transaction, None
            transaction_ended.emit(
                pool=self._name, outcome="failed", duration=duration, agent_name=kept.agent_name, run_id=kept.run_id
            )
        duration = now - kept.began
        connection_released.emit(
            pool=self._name,
            scope=kept.scope,
            duration=duration,
            idle=max(0.0, duration - kept.busy) if self._statements else None,
            leaked=leaked,
            agent_name=kept.agent_name,
            run_id=kept.run_id,
        )
        return leaked

    def _invalidated(self, _connection: Any, record: Any, error: BaseException | None) -> None:
        kept: Kept = record.info.get(KEY) or self._keep(record)
        if isinstance(error, InvalidatePoolError):
            kept.why = "ping_failed"
        elif isinstance(error, CancelledError):
            kept.why = "cancelled"
        else:
            kept.why = "invalidated"

    def _closed(self, _connection: Any, record: Any) -> None:
        kept: Kept | None = record.info.get(KEY)
        under_way = doing.get()
        reason: Reason
        if kept is not None and kept.why:
            reason = kept.why  # type: ignore[assignment]  # set above
        elif under_way == "dispose":
            reason = "dispose"
        else:
            reason = "recycle" if isinstance(under_way, Acquiring) else "overflow"
        self._gone(kept, reason)

    def _detached(self, _connection: Any, record: Any) -> None:
        kept: Kept | None = record.info.get(KEY)
        leaked = self._release(record)
        self._gone(kept, "leaked" if leaked else "detached")

    def _gone(self, kept: Kept | None, reason: Reason) -> None:
        opened = kept.opened if kept is not None else None
        if kept is not None:
            kept.opened, kept.present, kept.why = None, False, ""
        connection_closed.emit(
            pool=self._name, reason=reason, lifetime=None if opened is None else perf_counter() - opened
        )
