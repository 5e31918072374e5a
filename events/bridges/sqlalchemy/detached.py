"""Connections that the program took out of their pool for good, by ``detach()``: what they do counts all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import ref

from ...database import connection_released
from .connection_state import ConnectionState
from .transactions import emit_lost_transaction


@dataclass(slots=True)
class Detached:
    """A connection that has left its pool, and how much of what it did is emitted."""

    state: ConnectionState
    proxy: ref[Any]  # dead once the program dropped the connection
    statements: int
    busy_seconds: float


class DetachedConnections:
    """The detached connections of one engine.

    They may be used for as long as the program runs, so what they did is emitted at each reading of the pool, and when
    they are closed.
    """

    def __init__(self, name: str, *, statements: bool, own: bool) -> None:
        self._name = name
        self._own = own
        self._statements = statements
        self._by_id: dict[int, Detached] = {}  # of the driver's connection, which lives as long as the proxy

    def add(self, connection: Any, state: ConnectionState, proxy: ref[Any]) -> None:
        """Follow a connection, of which all that it did until now is emitted."""
        self.emit_news()
        self._by_id[id(connection)] = Detached(state, proxy, state.statements, state.busy_seconds)

    def states(self) -> list[ConnectionState]:
        """Return the states of the connections that are open."""
        return [detached.state for detached in list(self._by_id.values())]

    def clear(self) -> None:
        """Follow none any more."""
        self._by_id.clear()

    def emit_news(self) -> None:
        """Emit what was done since the last time; forget the connections that the program dropped."""
        for key, detached in list(self._by_id.items()):
            if detached.proxy() is None:
                self._end(key)
            else:
                self._emit(detached)

    def on_closed(self, connection: Any) -> None:
        """Emit what a connection did that is closed: a listener to ``close_detached``."""
        self._end(id(connection))

    def _end(self, key: int) -> None:
        detached = self._by_id.pop(key, None)
        if detached is None:  # it was detached before the engine was instrumented
            return
        state = detached.state
        for timer in list(state.fetches.values()):
            timer.finish()
        emit_lost_transaction(state, self._name, own=self._own)
        self._emit(detached)

    def _emit(self, detached: Detached) -> None:
        state = detached.state
        statements, busy = state.statements - detached.statements, state.busy_seconds - detached.busy_seconds
        if not self._statements or (not statements and not busy):
            return
        detached.statements += statements
        detached.busy_seconds += busy
        connection_released.emit(
            pool=self._name,
            scope=state.caller,
            duration=None,
            idle=None,
            busy=busy,
            statements=statements,
            agent_name=state.agent_name,
            run_id=state.run_id,
        )
