"""The classes of bodies that an SDK's HTTP client reads: one for each of httpx's and httpx2's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from events.bridges.pydantic_ai.error_bodies import ReadAhead, replayed_body
from events.bridges.pydantic_ai.http_attempts import HTTPAttempt
from events.bridges.pydantic_ai.http_client import observed_body


class AsyncByteStream:
    """As httpx's."""


class Body:
    """A body of three pieces, which may break off."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            yield piece
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("make", [replayed_body, observed_body])
def test_a_class_is_derived_from_the_clients_once(make: Any) -> None:
    made = make(AsyncByteStream)
    assert issubclass(made, AsyncByteStream)
    assert make(AsyncByteStream) is made
    assert make(Body) is not made


async def test_a_body_that_is_read_to_its_end_ends_the_attempt() -> None:
    body, attempt = Body(), HTTPAttempt("POST", "/chat")
    observed = observed_body(AsyncByteStream)(body, attempt)
    assert attempt.ended_at is None
    assert [piece async for piece in observed] == [b"a", b"b", b"c"]
    assert (attempt.ended_at is not None, attempt.error) == (True, None)
    await observed.aclose()
    assert body.is_closed


async def test_a_body_that_breaks_off_ends_the_attempt_by_its_error() -> None:
    error, attempt = LookupError(), HTTPAttempt("POST", "/chat")
    with pytest.raises(LookupError):
        [piece async for piece in observed_body(AsyncByteStream)(Body(error), attempt)]
    assert (attempt.ended_at is not None, attempt.error) == (True, error)


async def test_a_body_that_is_not_read_to_its_end_leaves_the_attempt() -> None:
    attempt = HTTPAttempt("POST", "/chat")
    reader = aiter(observed_body(AsyncByteStream)(Body(), attempt))
    await anext(reader)
    await reader.aclose()
    assert attempt.ended_at is None


async def test_what_was_read_ahead_comes_first_and_then_the_rest() -> None:
    body = Body()
    ahead = ReadAhead(aiter(body))
    ahead.pieces += [await anext(ahead.rest), await anext(ahead.rest)]
    replayed = replayed_body(AsyncByteStream)(body, ahead)
    assert [piece async for piece in replayed] == [b"a", b"b", b"c"]
    await replayed.aclose()
    assert body.is_closed


async def test_an_error_that_was_met_ahead_is_met_after_what_came_before_it() -> None:
    ahead = ReadAhead(aiter(Body()), pieces=[b"a"], error=LookupError())
    reader = aiter(replayed_body(AsyncByteStream)(Body(), ahead))
    assert await anext(reader) == b"a"
    with pytest.raises(LookupError):
        await anext(reader)
