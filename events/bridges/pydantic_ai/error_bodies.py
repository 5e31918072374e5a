"""The body of an HTTP response with an error: whether it says that a quota is used up, which its status does not.

OpenAI, Moonshot, Z.ai and Gemini answer 429 to that as to too many requests. What they raise in the end is told apart
by the body, and so are the attempts before it that an SDK retries.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from typing import Any

# https://platform.openai.com/docs/guides/error-codes, https://docs.z.ai/api-reference/api-code,
# https://forum.moonshot.ai/t/429-insufficient-balance/244, https://ai.google.dev/gemini-api/docs/rate-limits
USED_UP = re.compile(
    r'"(?:code|type)"\s*:\s*"?(?:insufficient_quota|billing_hard_limit_reached|credit_balance_exhausted|billing_error'
    r"|(?:organization|project)_spend_limit_exceeded|organization_usage_limit_exceeded|exceeded_current_quota_error"
    r"|1113|13(?:08|09|1[013-9]|20))\b"
    r'|"quotaId"\s*:\s*"[^"]*PerDay'
)

MAX_BYTES = 65_536
"""More of a body is not read ahead."""

MAX_WAIT = 0.1
"""Seconds that are waited for a body, which an SDK that retries would not do. As a rule it comes with its headers."""

AMBIGUOUS_STATUS = 429


async def exceeds_quota(response: Any) -> bool:
    """Return whether the body of httpx's response says that a quota is used up; the response stays to be read.

    False also where the body does not come in `MAX_WAIT` seconds, or cannot be decoded, and on trio, which has no task
    to go on reading when they are over.
    """
    size = response.headers.get("content-length", "0")
    if response.status_code != AMBIGUOUS_STATUS or not (size.isdigit() and int(size) <= MAX_BYTES):
        return False
    base = next((each for each in type(response.stream).__mro__ if each.__name__ == "AsyncByteStream"), None)
    if base is None or not runs_asyncio():
        return False
    ahead = await read_ahead(response.stream)
    response.stream = replayed_body(base)(response.stream, ahead)
    try:
        read = type(response)(response.status_code, headers=response.headers, content=b"".join(ahead.pieces))
        return USED_UP.search(read.text) is not None
    except Exception:  # of a body in another encoding than it says
        return False


@dataclass(slots=True)
class ReadAhead:
    """The beginning of a body, and where to go on: with the piece that is being waited for, if any."""

    rest: AsyncIterator[bytes]
    pieces: list[bytes] = field(default_factory=list)
    pending: asyncio.Task[bytes | None] | None = None
    error: Exception | None = None


async def read_ahead(body: Any) -> ReadAhead:
    """Read a body until it ends, `MAX_BYTES` are there, or `MAX_WAIT` seconds are over."""
    ahead = ReadAhead(aiter(body))
    deadline = monotonic() + MAX_WAIT
    while sum(map(len, ahead.pieces)) <= MAX_BYTES:
        ahead.pending = asyncio.create_task(next_piece(ahead.rest))
        try:
            await asyncio.wait({ahead.pending}, timeout=max(0.0, deadline - monotonic()))
        except BaseException:  # nobody gets the response that could close it
            await stop_reading(ahead)
            await body.aclose()
            raise
        if not ahead.pending.done():
            break
        try:
            piece = ahead.pending.result()
        except Exception as failure:  # whoever reads the body meets it there
            ahead.error, piece = failure, None
        ahead.pending = None
        if piece is None:
            break
        ahead.pieces.append(piece)
    return ahead


def runs_asyncio() -> bool:
    """Return whether the event loop here is one of asyncio's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def next_piece(body: AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece of a body, None at its end."""
    return await anext(body, None)


async def stop_reading(ahead: ReadAhead) -> None:
    """Cancel the reading of a piece that is still waited for."""
    if ahead.pending is not None:
        ahead.pending.cancel()
        await asyncio.gather(ahead.pending, return_exceptions=True)
        ahead.pending = None


@cache
def replayed_body(base: Any) -> Any:
    """Return a class of bodies of which some was read already, derived from httpx's or httpx2's."""

    class ReplayedBody(base):  # type: ignore[misc]  # see above
        def __init__(self, body: Any, ahead: ReadAhead) -> None:
            self._body, self._ahead = body, ahead

        async def __aiter__(self) -> AsyncIterator[bytes]:
            ahead = self._ahead
            for piece in ahead.pieces:
                yield piece
            if ahead.error is not None:
                raise ahead.error
            if ahead.pending is not None:
                late, ahead.pending = ahead.pending, None
                if (piece_or_end := await late) is None:
                    return
                yield piece_or_end
            async for piece in ahead.rest:
                yield piece

        async def aclose(self) -> None:
            await stop_reading(self._ahead)
            await self._body.aclose()

    return ReplayedBody
