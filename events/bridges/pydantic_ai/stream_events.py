"""The events of a provider's stream while its consumer reads it: when tokens come, the pauses, and the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from time import perf_counter
from typing import Any

from pydantic_ai.models import StreamedResponse

from ..model_calls.reader_pauses import ReaderPauses
from ..model_calls.token_times import TokenTimes
from .reported import observe_stream
from .stream_tokens import record_tokens

NO_TOKENS = TokenTimes()
"""Of a request none of whose events was read: none is added to it."""

OnEnd = Callable[[StreamedResponse, BaseException | None], None]
"""Takes a stream whose events have ended, by an error or without one."""


class StreamEvents:
    """The events of the stream of one request, and of none if it is not streamed."""

    __slots__ = ("_pause_seconds", "are_tracked", "ended_at", "has_any", "interruption", "pauses", "token_times")

    def __init__(self) -> None:
        self.token_times = NO_TOKENS
        self.pauses: ReaderPauses | None = None
        self._pause_seconds = 0.0
        self.are_tracked = False
        self.has_any = False
        self.interruption: BaseException | None = None
        """What interrupted the consumer; who did it, and why, is known when the stream is closed."""
        self.ended_at: float | None = None
        """When it was interrupted, or whoever tracked the events saw their end."""

    def track(self, stream: StreamedResponse, on_end: OnEnd) -> None:
        """Have ``on_end`` be called at the end of the events, which may be long before the consumer closes the stream.

        The method that is replaced is the one that every provider's stream implements. Nothing is replaced in a stream
        whose events are being read already: `FallbackModel` waits for a first one.
        """
        observe_stream(stream)
        if stream._event_iterator is None:  # noqa: SLF001  # see above
            source = stream._get_event_iterator  # noqa: SLF001
            self.pauses = ReaderPauses()
            stream._get_event_iterator = lambda: self._track(source(), stream, on_end)  # type: ignore[method-assign]  # noqa: SLF001
            self.are_tracked = True

    async def _track(self, source: Any, stream: StreamedResponse, on_end: OnEnd) -> AsyncIterator[Any]:
        self.pauses = pauses = self.pauses or ReaderPauses()
        self.token_times = times = TokenTimes()
        try:
            async with aclosing(source) as items:
                pauses.end()
                async for item in items:
                    self.has_any = True
                    arrived_at = pauses.arrive()
                    record_tokens(times, item, arrived_at, sees_arrival=pauses.sees_arrival)
                    pauses.begin()
                    yield item
                    pauses.end()
        except Exception as error:
            on_end(stream, error)
            raise
        except BaseException as interruption:
            self.interruption, self.ended_at = interruption, perf_counter()
            pauses.stop()
            raise
        on_end(stream, None)

    def end_as(self, ended_at: float, reader_pauses: float) -> None:
        """End as the attempt did that has tracked these events."""
        self.ended_at, self._pause_seconds = ended_at, reader_pauses

    def pause_seconds(self) -> float:
        """Return the seconds of the reader's pauses, which end now at the latest."""
        return self._pause_seconds if self.pauses is None else self.pauses.stop()


NOT_STREAMED = StreamEvents()
"""The events of a request that is not streamed: there are none."""
