"""One client of the live feed: what it asked for, and the messages that wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from events.bus.records import Record

from .live_buffer import FeedEvent

QUEUE_SIZE = 256
"""How many messages may wait for a client; one that does not read is left behind when there are more."""

CHUNK_BYTES = 16_384
"""Messages that wait are sent together, up to about so many bytes."""


@dataclass(frozen=True)
class Wanted:
    """Which events a client asked for: those that meet every condition that is set.

    Attributes:
        signals: The names of their signals; empty for all.
        run_id: The run that they are of.
        workflow_type: The workflow that they are of.
    """

    signals: frozenset[str] = frozenset()
    run_id: str | None = None
    workflow_type: str | None = None

    def takes(self, record: Record) -> bool:
        """Return whether the client gets an event."""
        if self.signals and record["signal"] not in self.signals:
            return False
        fields = record["fields"]
        if self.run_id is not None and fields.get("run_id") != self.run_id:
            return False
        return self.workflow_type is None or fields.get("workflow_type") == self.workflow_type


class FeedClient:
    """A client that follows the feed. All of it runs on the event loop.

    Args:
        wanted: Which events it asked for.
        first: The message that it gets first.
        missed: The events that it missed; it gets those that it asked for.
        wants_numbers: Whether it asked for the numbers too.
    """

    def __init__(
        self, wanted: Wanted, first: bytes, missed: Iterable[FeedEvent] = (), *, wants_numbers: bool = False
    ) -> None:
        self.wanted = wanted
        self.wants_numbers = wants_numbers
        self._first = first
        self._missed = deque(event for event in missed if wanted.takes(event.record))
        self._queue: deque[bytes] = deque()
        self._has_news = asyncio.Event()
        self._has_ended = False

    def put(self, message: bytes) -> bool:
        """Queue a message; return False where too many wait for the client: then it gets none of them, and no more."""
        if self._has_ended:
            return True
        if len(self._queue) >= QUEUE_SIZE:
            self._queue.clear()
            self._missed.clear()
            self.end()
            return False
        self._queue.append(message)
        self._has_news.set()
        return True

    def end(self) -> None:
        """End the stream after the messages that wait."""
        self._has_ended = True
        self._has_news.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the messages for the client, several at once where they wait."""
        yield self._first
        while True:
            while chunk := self._next_chunk():
                yield chunk
                await asyncio.sleep(0)  # others have their turn, and it shows where the client is gone
            if self._has_ended:
                return
            self._has_news.clear()
            await self._has_news.wait()

    def _next_chunk(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size < CHUNK_BYTES and (self._missed or self._queue):
            parts.append(self._missed.popleft().message if self._missed else self._queue.popleft())
            size += len(parts[-1])
        return b"".join(parts)
