"""The body of an HTTP response with an error: whether it says that a quota is used up, which its status does not.

OpenAI, Moonshot, Z.ai and Gemini answer 429 to that as to too many requests. What they raise in the end is told apart
by the body, and so are the attempts before it that an SDK retries.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import cache
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

AMBIGUOUS_STATUS = 429


async def exceeds_quota(response: Any) -> bool:
    """Return whether the body of httpx's response says that a quota is used up; the response stays to be read."""
    size = response.headers.get("content-length", "0")
    if response.status_code != AMBIGUOUS_STATUS or not (size.isdigit() and int(size) <= MAX_BYTES):
        return False
    base = next((each for each in type(response.stream).__mro__ if each.__name__ == "AsyncByteStream"), None)
    if base is None:
        return False
    pieces: list[bytes] = []
    error: Exception | None = None
    body = aiter(response.stream)
    try:
        async for piece in body:
            pieces.append(piece)
            if sum(map(len, pieces)) > MAX_BYTES:
                break
    except Exception as failure:  # whoever reads the body meets it there
        error = failure
    response.stream = replayed_body(base)(response.stream, pieces, body, error)
    read = type(response)(response.status_code, headers=response.headers, content=b"".join(pieces))
    return USED_UP.search(read.text) is not None


@cache
def replayed_body(base: Any) -> Any:
    """Return a class of bodies of which some was read already, derived from httpx's or httpx2's."""

    class ReplayedBody(base):  # type: ignore[misc]  # see above
        def __init__(self, body: Any, pieces: list[bytes], rest: AsyncIterator[bytes], error: Exception | None) -> None:
            self._body, self._pieces, self._rest, self._error = body, pieces, rest, error

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in self._pieces:
                yield piece
            if self._error is not None:
                raise self._error
            async for piece in self._rest:
                yield piece

        async def aclose(self) -> None:
            await self._body.aclose()

    return ReplayedBody
