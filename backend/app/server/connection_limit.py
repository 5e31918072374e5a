"""A listening socket that holds no more connections than it may, and what happens when descriptors run out anyway."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from typing import Any

from events import limit_reached
from events.bus.log_throttle import LogThrottle

DESCRIPTORS_OF_OTHERS = 100
"""Descriptors that are left to databases, models and files: SQLite has three of them for each of its connections."""

MIN_CONNECTIONS = 8
"""The least limit, however few descriptors there are."""

_REFUSAL_BODY = b'{"detail":"Too many connections are open; try again soon."}'
REFUSAL = b"\r\n".join(
    (
        b"HTTP/1.1 503 Service Unavailable",
        b"Connection: close",
        b"Retry-After: 1",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(_REFUSAL_BODY),
        b"",
        _REFUSAL_BODY,
    )
)

log = logging.getLogger("app")
_throttle = LogThrottle()


class Listener(socket.socket):
    """A listening socket; a connection over ``max_connections`` is answered with 503 and closed as it is accepted.

    uvicorn's ``limit_concurrency`` is not used: it accepts every connection, however many descriptors there are, and
    logs a line for each request that it refuses.
    """

    max_connections: int | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._accepted: set[socket.socket] = set()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its address.

        Raises:
            BlockingIOError: There is none, or the next one was refused.
        """
        connection, address = super().accept()
        if self.max_connections is not None and len(self._accepted) >= self.max_connections:
            self._accepted = {other for other in self._accepted if other.fileno() != -1}
            if len(self._accepted) >= self.max_connections:
                self._refuse(connection)
                raise BlockingIOError(errno.EAGAIN, "a connection was refused")
        self._accepted.add(connection)
        return connection, address

    def _refuse(self, connection: socket.socket) -> None:
        limit_reached.emit(limit="connections")
        if _throttle.is_due("connections"):
            log.warning(
                "%s connections are open, which is as many as may be: others are refused; "
                "SPARKLIO_MAX_CONNECTIONS and the number of file descriptors (ulimit -n) say how many",
                self.max_connections,
            )
        with connection:
            connection.setblocking(False)
            try:
                connection.send(REFUSAL)
            except OSError:
                return  # it is gone already


def connection_limit(wanted: int) -> int:
    """Return how many connections a listener may hold: as many as are wanted, or as the descriptors allow."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(descriptors - DESCRIPTORS_OF_OTHERS, MIN_CONNECTIONS))


def report_lack_of_descriptors(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle an exception of the event loop: log a lack of descriptors once a minute, and others without their text.

    asyncio pauses for a second where a connection cannot be accepted for want of a descriptor, after it has called this
    handler up to a thousand times.
    """
    error = context.get("exception")
    if not isinstance(error, OSError) or error.errno not in {errno.EMFILE, errno.ENFILE}:
        # Not by asyncio's own handler, which logs the task or future too, and with it what the exception says.
        logging.getLogger("asyncio").error(context["message"], exc_info=error)
    elif _throttle.is_due("descriptors"):
        limit_reached.emit(limit="connections")
        log.error("no file descriptors are left (%s): connections wait; raise ulimit -n", error.strerror)
