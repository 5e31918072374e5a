"""The chunks of a stream: each is read on its way to the reader, and so is the end.

A stream ends when it is exhausted or raises. A loop over it that is left may be followed by another one, so that alone
does not end it: its reader leaves when it drops the stream, or closes the body of its response, which `bodies` sees.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, Self

from ..model_calls.model_call import ModelCall
from .answer import Answer
from .sdk_parts import chunks_of, detach_chunks, replace_chunks


class StreamedRequest(Protocol):
    """The request whose answer is a stream."""

    call: ModelCall
    answer: Answer
    is_reading: bool
    """Whether a chunk is waited for: at the end the SDK closes the body by itself, before it says how that was."""

    def finish(self) -> None:
        """End the call: the stream is exhausted."""

    def fail(self, error: BaseException) -> None:
        """End the call: the stream raised."""

    def leave_body(self) -> None:
        """End the call: nobody reads on."""

    def report(self, failure: Exception) -> None:
        """Report a failure of the bridge."""


def track_stream(stream: Any, request: StreamedRequest) -> None:
    """Have a stream that was not read yet end the call of its request, unless it does."""
    if not isinstance(chunks_of(stream), Chunks | AsyncChunks):
        make = AsyncChunks if hasattr(stream, "__anext__") else Chunks
        replace_chunks(stream, make(detach_chunks(stream), request))


class _Tracked:
    """The part that both kinds of iterators have in common: how a chunk is read, and the end."""

    def __init__(self, chunks: Any, request: StreamedRequest) -> None:
        self._chunks = chunks
        self._request = request

    def _begin(self) -> None:
        self._request.is_reading = True
        self._request.call.pauses.end()

    def _add(self, chunk: Any) -> None:
        request, pauses = self._request, self._request.call.pauses
        request.is_reading = False
        try:
            arrived_at = pauses.arrive()
            size, is_reasoning = request.answer.add_chunk(chunk)
            if size:
                request.call.token_times.add(
                    arrived_at, size, sees_arrival=pauses.sees_arrival, is_reasoning=is_reasoning
                )
            pauses.begin()
        except Exception as failure:
            request.answer.has_ended = True  # as far as is known: it is not the answer that failed
            request.report(failure)

    def _end(self, error: BaseException | None) -> None:
        self._request.is_reading = False
        if error is None:
            self._request.finish()
        else:
            self._request.fail(error)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._request.leave_body()


class Chunks(_Tracked):
    """The chunks of a plain stream."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._request.call.has_ended:
            return next(self._chunks)
        self._begin()
        try:
            chunk = next(self._chunks)
        except BaseException as error:
            self._end(None if isinstance(error, StopIteration) else error)
            raise
        self._add(chunk)
        return chunk


class AsyncChunks(_Tracked):
    """The chunks of an asynchronous stream."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._request.call.has_ended:
            return await anext(self._chunks)
        self._begin()
        try:
            chunk = await anext(self._chunks)
        except BaseException as error:
            self._end(None if isinstance(error, StopAsyncIteration) else error)
            raise
        self._add(chunk)
        return chunk
