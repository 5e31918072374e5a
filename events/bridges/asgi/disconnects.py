"""Whether the client is still there, asked of a server that tells it to nobody who does not ask.

Most servers drop what is sent to nobody in silence. `receive` alone says that the client left, and most applications
call it no more once they have read the request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..asgi_types import Message, Receive, Scope, content_length, has_header

WORTH_ASKING = 0.05
"""Seconds that an answer must have taken to be worth some turns of the event loop (80 microseconds here)."""

SMALL = 65_536
"""Bytes of an unread body that may be read ahead: what a server keeps in memory anyhow (uvicorn's high-water mark)."""


def known_gone(server: Any) -> bool:
    """Tell whether uvicorn knows that its client left; ``server`` is what the given `receive` is a method of.

    A look that costs nothing and moves nothing, so that even the fastest answer is told truly. False for other servers.
    """
    return getattr(server, "disconnected", False) is True


async def let_it_learn(server: Any) -> None:
    """Let the event loop read what came over its sockets, so that uvicorn learns that its client left."""
    if isinstance(getattr(server, "disconnected", None), bool) and on_asyncio():
        for _ in range(3):  # the socket is read, the connection closed, the protocol told
            await asyncio.sleep(0)


def may_ask(scope: Scope) -> bool:
    """Tell whether asking does no harm while the body is unread: it may fetch some of it.

    Not a large one, nor one that the client sends only when it is asked to (RFC 9110, section 10.1.1).
    """
    headers = scope["headers"]
    small = (content_length(headers) or 0) <= SMALL
    return small and not has_header(headers, b"transfer-encoding") and not has_header(headers, b"expect")


async def ready(receive: Receive) -> Message | None:
    """Give the message that the server has for the application by now; None while there is none."""
    if not on_asyncio():
        return None
    question = asyncio.ensure_future(receive())
    try:
        await asyncio.sleep(0)
    finally:
        question.cancel()  # nothing to one that is answered
    [answer] = await asyncio.gather(question, return_exceptions=True)
    return None if isinstance(answer, BaseException) else answer


def on_asyncio() -> bool:
    """Tell whether asyncio's is the event loop that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
