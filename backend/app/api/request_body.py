"""The limits of a request's body: how many bytes it may have, and how long they may take to come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from events import limit_reached


def announced_body(scope: Scope, headers: Mapping[bytes, bytes]) -> int | None:
    """Return the bytes that a request's body has as announced: 0 for none, None where it may be any number."""
    if b"transfer-encoding" in headers:
        return None
    if (length := headers.get(b"content-length")) is not None:
        return int(length) if length.isdigit() else None
    # HTTP/2 may leave the length out.
    return 0 if scope["http_version"].startswith("1") or scope["method"] in {"GET", "HEAD"} else None


def body_too_large(limit: int) -> HTTPException:
    """Count a body over the limit, and return the error to answer with."""
    limit_reached.emit(limit="request_body")
    detail = f"The body has more than {limit} bytes; send less, or raise SPARKLIO_MAX_BODY."
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


class RequestBody:
    """Stands between the server and the application until the body of a request is received whole.

    Starlette's ``RequestBodyLimitMiddleware`` has no deadline, and stands between them for every request.
    """

    __slots__ = ("_deadline", "_http_version", "_is_whole", "_limit", "_receive", "_received", "_timeout")

    def __init__(self, scope: Scope, receive: Receive, limit: int, timeout: float) -> None:
        self._receive = receive
        self._limit = limit
        self._timeout = timeout
        self._http_version = scope["http_version"]
        self._deadline = asyncio.get_running_loop().time() + timeout
        self._received = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """Return the next message from the server.

        Raises:
            HTTPException: The body has too many bytes (413), or takes too long (408).
        """
        if self._is_whole:
            return await self._receive()  # it waits for the client to go
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            limit_reached.emit(limit="receive_time")
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The request did not come within {self._timeout:g} seconds; send it faster.",
                # The rest of the body must not be taken for another request. HTTP/2 has streams, and no such header.
                {"Connection": "close"} if self._http_version.startswith("1") else None,
            ) from None
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise body_too_large(self._limit)
        self._is_whole = not message.get("more_body", False)
        return message
