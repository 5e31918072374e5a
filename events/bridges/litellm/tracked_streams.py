"""The stream that the reader of a call gets: it takes each chunk on its way, and sees the end.

The class of LiteLLM's stream is replaced by one that is derived from it, on that one object. A stream ends when it is
exhausted or raises, and before that when its reader closes or drops it. A loop over it that is left may be followed by
another one, so that alone ends nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from weakref import finalize

from .inner_calls import Running
from .litellm_call import LiteLLMCall

_CALL = "_events_call"


def is_stream(result: Any) -> bool:
    """Return whether the result of a function is a stream."""
    return hasattr(type(result), "__next__") or hasattr(type(result), "__anext__")


def track_stream(stream: Any, call: LiteLLMCall) -> None:
    """Have a stream end its call."""
    call.model_call.open_stream()
    vars(stream)[_CALL] = Reading(call)
    kind: Any = type(stream)
    stream.__class__ = _tracked_class(kind)
    finalize(stream, call.cancel)


class Reading:
    """The reading of a stream, from one chunk to the next."""

    def __init__(self, call: LiteLLMCall) -> None:
        self.call = call
        self.is_waiting = False
        """Whether the reader waits for a chunk, or has had the last: what LiteLLM closes then, the reader does not."""

    def begin(self) -> Running:
        """Return a block in which the next chunk is waited for."""
        self.is_waiting = True
        self.call.model_call.pauses.end()
        return Running(self.call.last)

    def end(self, error: BaseException) -> None:
        """Record that there is no next chunk: the stream is exhausted, or it raised."""
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            self.call.finish()
        else:
            self.call.fail(error)

    def add(self, chunk: Any) -> None:
        """Record the next chunk."""
        self.is_waiting = False
        call = self.call
        if call.has_ended:
            return
        try:
            told = call.model_call
            arrived_at = told.pauses.arrive()
            size, is_reasoning = call.answer.add_chunk(chunk)
            if size:
                told.token_times.add(arrived_at, size, sees_arrival=told.pauses.sees_arrival, is_reasoning=is_reasoning)
            told.pauses.begin()
        except Exception as failure:
            call.report(failure)

    def leave(self) -> None:
        """Record that the reader closes the stream."""
        if not self.is_waiting:
            self.call.cancel()


@cache
def _tracked_class(cls: Any) -> Any:
    """Return a class of streams that end their call; it has the methods that the class has."""
    body: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    if hasattr(cls, "__next__"):
        body["__next__"] = _next(cls)
    if hasattr(cls, "__anext__"):
        body["__anext__"] = _anext(cls)
    if hasattr(cls, "close"):
        body["close"] = _close(cls)
    if hasattr(cls, "aclose"):
        body["aclose"] = _aclose(cls)
    return type(cls.__name__, (cls,), body)


def _next(cls: Any) -> Any:
    def __next__(self: Any) -> Any:  # noqa: N807  # it becomes one
        reading: Reading = vars(self)[_CALL]
        if reading.is_waiting:  # one of its two ways asks by the other
            return cls.__next__(self)
        try:
            with reading.begin():
                chunk = cls.__next__(self)
        except BaseException as error:
            reading.end(error)
            raise
        reading.add(chunk)
        return chunk

    return __next__


def _anext(cls: Any) -> Any:
    async def __anext__(self: Any) -> Any:  # noqa: N807  # the same
        reading: Reading = vars(self)[_CALL]
        try:
            with reading.begin():
                chunk = await cls.__anext__(self)
        except BaseException as error:
            reading.end(error)
            raise
        reading.add(chunk)
        return chunk

    return __anext__


def _close(cls: Any) -> Any:
    def close(self: Any) -> Any:
        vars(self)[_CALL].leave()
        return cls.close(self)

    return close


def _aclose(cls: Any) -> Any:
    async def aclose(self: Any) -> Any:
        vars(self)[_CALL].leave()
        return await cls.aclose(self)

    return aclose
