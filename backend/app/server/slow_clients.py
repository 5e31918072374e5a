"""Closes the connections of clients that take too long to send a request, or to read an answer.

uvicorn has no deadline for either: its ``timeout_keep_alive`` ends with the first byte of a request.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from events import limit_reached
from events.limits import Limit

STALL = 1.0
"""Seconds after which the event loop is held to have stood still."""

_REFUSAL_BODY = b'{"detail":"The request did not come within SPARKLIO_RECEIVE_TIMEOUT seconds; send it faster."}'
REFUSAL = b"\r\n".join(
    (
        b"HTTP/1.1 408 Request Timeout",
        b"Connection: close",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(_REFUSAL_BODY),
        b"",
        _REFUSAL_BODY,
    )
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait of the server for a client: it is the same wait for as long as ``what`` stays the same."""

    limit: Limit
    what: Hashable
    since: float


class SlowClients:
    """Watches the connections of one server; `close` is to be called every ``interval`` seconds, or more often.

    A client has ``timeout`` seconds for the head of a request, from its first connection or its last answer on, and as
    many to read some of an answer that waits for it. The body of a request has its deadline in the application, which
    answers; here a connection is closed where the answer did not wait for the body.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.interval = min(1.0, timeout / 4)
        self._next = 0.0
        self._waits: dict[H11Protocol, Waiting] = {}

    def close(self, connections: Iterable[Any], now: float) -> None:
        """Close the connections that have waited for their client for too long, if it is time to look again."""
        if now < self._next:
            return
        if now > self._next + STALL:
            self._waits = {}  # this process did nothing in between: what clients sent may not have been read
        self._next = now + self.interval
        waits: dict[H11Protocol, Waiting] = {}
        for connection in tuple(connections):
            if not isinstance(connection, H11Protocol) or (wait := awaited(connection, now)) is None:
                continue  # a websocket, or a request that is being answered
            before = self._waits.get(connection)
            if before is not None and (before.limit, before.what) == (wait.limit, wait.what):
                wait = before
            if now - wait.since >= self._timeout:
                limit_reached.emit(limit=wait.limit)
                end(connection, wait.limit)
            else:
                waits[connection] = wait
        self._waits = waits


def awaited(connection: H11Protocol, now: float) -> Waiting | None:
    """Return what the server waits for on a connection, as of now; None if it waits for nothing."""
    unread = connection.transport.get_write_buffer_size()
    if unread:
        return Waiting("send_time", unread, now)
    state, cycle = connection.conn.their_state, connection.cycle
    if cycle is not None and not cycle.response_complete:
        return None
    # uvicorn closes a connection that idles between two requests, but not one whose client has sent what nobody read.
    idles = state is h11.IDLE and connection.timeout_keep_alive_task is None
    return Waiting("receive_time", (state, cycle), now) if idles or state is h11.SEND_BODY else None


def end(connection: H11Protocol, limit: Limit) -> None:
    """Close a connection, with an answer if half of a request is there; one that is not read is lost."""
    if limit == "send_time":
        connection.transport.abort()
        return
    has_part_of_a_head = connection.conn.their_state is h11.IDLE and connection.conn.trailing_data[0]
    if has_part_of_a_head:
        connection.transport.write(REFUSAL)
    connection.transport.close()
