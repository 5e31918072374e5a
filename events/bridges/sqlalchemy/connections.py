"""What happens to connections: made, held, given back, closed."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Iterator
from time import perf_counter, time
from typing import Any, Literal
from weakref import WeakSet, ref

from sqlalchemy import Pool
from sqlalchemy.exc import InvalidatePoolError

from ...database import (
    connection_acquired,
    connection_closed,
    connection_opened,
    connection_released,
    transaction_ended,
)
from .askers import innermost
from .kept import KEY, Hold, Kept, guarded
from .pools import Acquiring, doing

Reason = Literal["recycle", "overflow", "invalidated", "cancelled", "ping_failed", "detached", "leaked", "dispose"]


class Connections:
    """Watches the connections of one engine's pools."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._holds: dict[int, ref[Hold]] = {}
        # By record, weakly: a pool that was disposed of takes with it what it still had lent, without an event.
        self._open: WeakSet[Any] = WeakSet()

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Give the listeners, with what they listen to."""
        yield "do_connect", guarded(connection_opened.name, self._connecting), {"insert": True}
        # Before what others do at the start of a connection, which is none of the time it takes to make one.
        yield "connect", guarded(connection_opened.name, self._opened), {"insert": True}
        yield "checkout", guarded(connection_acquired.name, self._taken), {}
        yield "checkin", guarded(connection_released.name, self._returned), {}
        yield "invalidate", guarded(connection_closed.name, self._invalidated), {}
        yield "close", guarded(connection_closed.name, self._closed), {}
        yield "detach", guarded(connection_closed.name, self._detached), {}

    def state(self, pool: Pool) -> tuple[int, int, int, int | None]:
        """Read how many connections are used and idle, how many of them are overflow, and how many there can be."""
        asked: Any = pool
        try:
            size, used, idle, overflow = asked.size(), asked.checkedout(), asked.checkedin(), asked.overflow()
        except (AttributeError, TypeError):  # NullPool, StaticPool and SingletonThreadPool do not keep count
            used = len(self._holds)
            return used, max(0, len(self._open) - used), 0, None
        most = getattr(pool, "_max_overflow", -1)  # there is no public way to ask
        return used, idle, max(0, overflow), None if most < 0 else size + most  # below 0 it means "not full yet"

    def oldest_hold(self) -> float:
        """Tell for how long the connection that has been out longest has been."""
        now = perf_counter()
        holds = [hold() for hold in list(self._holds.values())]
        return max((now - hold.began for hold in holds if hold is not None), default=0.0)

    def _connecting(self, _dialect: Any, record: Any, *_: Any) -> None:
        if record is not None:
            record.info[KEY] = Kept()

    def _opened(self, _connection: Any, record: Any) -> None:
        kept: Kept | None = record.info.get(KEY)
        now = perf_counter()
        if kept is None or kept.opened is not None:  # a creator of the program's own: there is no do_connect
            kept = record.info[KEY] = Kept()
            duration = max(0.0, time() - record.last_connect_time)
        else:
            duration = now - kept.opening
        kept.opened = now
        self._open.add(record)
        connection_opened.emit(pool=self._name, duration=duration)

    def _taken(self, _connection: Any, record: Any, proxy: Any) -> None:
        kept: Kept = record.info.setdefault(KEY, Kept())
        self._open.add(record)
        if kept.hold is not None:
            kept.hold.times += 1
            return
        scope, asker = innermost()
        fields = scope.fields if scope is not None else {}
        hold = kept.hold = Hold(proxy, asker, str(fields.get("agent_name", "unknown")), str(fields.get("run_id", "")))
        key = id(hold)
        self._holds[key] = ref(hold, lambda _: self._holds.pop(key, None))

    def _returned(self, _connection: Any, record: Any) -> None:
        self._release(record)

    def _release(self, record: Any) -> bool:
        """Tell the end of a hold; answer whether it was the garbage collector that ended it."""
        kept: Kept | None = record.info.get(KEY)
        hold = kept.hold if kept is not None else None
        if kept is None or hold is None:
            return False
        hold.times -= 1
        if hold.times:
            return False
        kept.hold = None
        self._holds.pop(id(hold), None)
        duration = perf_counter() - hold.began
        transaction, kept.transaction = kept.transaction, None
        if transaction is not None:  # neither committed nor rolled back: the connection was lost
            transaction_ended.emit(
                pool=self._name,
                outcome="failed",
                duration=perf_counter() - transaction.began,
                agent_name=hold.agent_name,
                run_id=hold.run_id,
            )
        leaked = hold.proxy() is None
        connection_released.emit(
            pool=self._name,
            scope=hold.scope,
            duration=duration,
            idle=max(0.0, duration - hold.busy),
            leaked=leaked,
            agent_name=hold.agent_name,
            run_id=hold.run_id,
        )
        return leaked

    def _invalidated(self, _connection: Any, record: Any, error: BaseException | None) -> None:
        kept: Kept = record.info.setdefault(KEY, Kept())
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
        self._gone(record, kept, reason)

    def _detached(self, _connection: Any, record: Any) -> None:
        kept: Kept | None = record.info.get(KEY)
        leaked = self._release(record)
        self._gone(record, kept, "leaked" if leaked else "detached")

    def _gone(self, record: Any, kept: Kept | None, reason: Reason) -> None:
        self._open.discard(record)
        opened = kept.opened if kept is not None else None
        if kept is not None:
            kept.opened, kept.why = None, ""
        connection_closed.emit(
            pool=self._name, reason=reason, lifetime=None if opened is None else perf_counter() - opened
        )
