"""The body of a response that is read piece by piece: its end, a failure to read it, and that its reader leaves.

Every way to leave a stream closes the body of its response: the ``close`` of a stream, of a helper around one and of a
raw response, and dropping it.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache
from json import loads
from typing import Any, Protocol

BASES = ("SyncByteStream", "AsyncByteStream")
"""The classes of httpx and httpx2 that a body is an instance of, of one or both of them."""


class Reader(Protocol):
    """Takes what becomes of a body."""

    def end_body(self, whole: Any) -> None:
        """Record that a body was read to its end; ``whole`` is the JSON value in it, None where it was not kept."""

    def fail_body(self, error: BaseException) -> None:
        """Record that a body could not be read."""

    def leave_body(self) -> None:
        """Record that nobody reads on."""


def observe_body(http_response: Any, reader: Reader, *, is_kept: bool) -> None:
    """Have the body of an HTTP response that was not read yet report to a reader.

    Args:
        http_response: The response of httpx or httpx2.
        reader: Who takes it.
        is_kept: Whether its pieces are kept until its end, to be read as JSON.
    """
    body = http_response.stream
    bases = tuple(each for each in type(body).__mro__ if each.__name__ in BASES)
    if bases:
        # Without the response, which refers to its body.
        kept = Pieces(type(http_response), http_response.headers) if is_kept else None
        observed = _observed_class(bases)()
        vars(observed).update(_body=body, _reader=reader, _kept=kept)
        http_response.stream = observed


class Pieces:
    """The pieces of a body so far, as they were sent; HTTP may have them compressed."""

    def __init__(self, response_class: Any, headers: Any) -> None:
        self.pieces: list[bytes] = []
        self._response_class = response_class
        self._headers = headers

    def as_json(self) -> Any:
        """Return the JSON value that they make; None where they make none."""
        return json_of(self._response_class(200, headers=self._headers, content=b"".join(self.pieces)))


def json_of(http_response: Any) -> Any:
    """Return the JSON value in a response that was read; None where it is not JSON."""
    try:
        return loads(http_response.content)
    except Exception:  # what is wrong with it is for its reader to say
        return None


def body_of(http_response: Any) -> Mapping[str, Any] | None:
    """Return the JSON object in a response that was read; None of any other."""
    body = json_of(http_response) if http_response.is_closed else None
    return body if isinstance(body, Mapping) else None


class _Observed:
    """The part of a body that reports to a reader which is not httpx's own."""

    _body: Any
    _reader: Reader
    _kept: Pieces | None

    def __getattr__(self, name: str) -> Any:
        if name == "_body":  # of one that is not made yet, as in a copy
            raise AttributeError(name)
        # httpx2 has the time elapsed there, and anthropic its own observer.
        return getattr(self._body, name)

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._body:
                self._keep(piece)
                yield piece
        except Exception as error:
            self._reader.fail_body(error)
            raise
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._body.__aiter__()
        try:
            async for piece in pieces:
                self._keep(piece)
                yield piece
        except (Exception, CancelledError) as error:
            self._reader.fail_body(error)
            raise
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()  # in the task that reads, not in one of the event loop's own
        self._end()

    def _keep(self, piece: bytes) -> None:
        if self._kept is not None:
            self._kept.pieces.append(piece)

    def _end(self) -> None:
        self._reader.end_body(None if self._kept is None else self._kept.as_json())

    def close(self) -> None:
        self._reader.leave_body()
        self._body.close()

    async def aclose(self) -> None:
        self._reader.leave_body()
        await self._body.aclose()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._reader.leave_body()


@cache
def _observed_class(bases: tuple[Any, ...]) -> Any:
    """Return a class of bodies that httpx or httpx2 takes for its own."""
    return type("ObservedBody", (_Observed, *bases), {})
