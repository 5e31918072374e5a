"""Whether the client is still connected, for servers that say so only to an application that calls `receive`.

Most servers silently drop what is sent after the client disconnected. Only `receive` reports it, and most applications
stop calling `receive` once they have read the request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..asgi_types import Scope, content_length, has_header
from ..async_library import running_trio

CHECK_AFTER_SECONDS = 0.05
"""A response that took less is sent without a check: a check costs some turns of the event loop (80 microseconds)."""

MAX_PREFETCH_BYTES = 65_536
"""The largest unread request body that may be read ahead: servers buffer as much (uvicorn's high-water mark)."""


def client_disconnected(server: Any) -> bool:
    """Return whether uvicorn has seen its client disconnect; False for other servers.

    ``server`` is the object that the ASGI callable `receive` is a method of. Reading its attribute costs next to
    nothing and consumes no message, so it is done for the fastest response too.
    """
    return getattr(server, "disconnected", False) is True


async def poll_socket(server: Any) -> None:
    """Yield to the event loop, which then reads its sockets, so that uvicorn notices a client that has disconnected."""
    if isinstance(getattr(server, "disconnected", None), bool) and running_trio() is None:
        for _ in range(3):  # one turn each: the socket is read, the connection is closed, the protocol is notified
            await asyncio.sleep(0)


def may_prefetch_body(scope: Scope) -> bool:
    """Return whether `receive` may be called while the request body is unread, which may fetch some of it.

    Not where the body is large, or of unannounced length, or where the client waits with it for a ``100 Continue``,
    which `receive` would make the server send (RFC 9110, section 10.1.1).
    """
    headers = scope["headers"]
    small = (content_length(headers) or 0) <= MAX_PREFETCH_BYTES
    return small and not has_header(headers, b"transfer-encoding") and not has_header(headers, b"expect")
