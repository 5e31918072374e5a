"""The buffer of the live feed: the last events, from which a client that comes back gets what it missed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from events.bus.records import Record

from .live_messages import event_message

WHOLE_BUFFER = "0"
"""The id that asks for everything that the buffer has."""

MAX_DIGITS = 18
"""Digits that the number of an event may have; a client may send any."""


@dataclass(frozen=True)
class FeedEvent:
    """An event as the feed has it.

    Attributes:
        number: Its place in the order of this process, from 1 on.
        id: The process that emitted it and its number there: the same in every process that has it.
        process: The process that emitted it.
        record: The event.
    """

    number: int
    id: str
    process: str
    record: Record

    @cached_property
    def message(self) -> bytes:
        """The event as a server-sent event, the same for all clients."""
        return event_message(self.id, self.process, self.record)


@dataclass(frozen=True)
class Resumption:
    """The events for a client that names the last one that it has.

    Attributes:
        events: The events since then, as far as the buffer has them.
        resumed: Whether it is known which event that was.
        missed: How many events since then the buffer has no more; None where that is not known.
    """

    events: tuple[FeedEvent, ...]
    resumed: bool
    missed: int | None


NOTHING_TO_RESUME = Resumption((), resumed=False, missed=0)
"""What a client gets that names no event."""


class EventBuffer:
    """The last events, those of this process and those that others relayed, in the order in which they came.

    Args:
        process: The id of this process.
        size: How many events are kept.
    """

    def __init__(self, process: str, size: int) -> None:
        self._process = process
        self._events: deque[FeedEvent] = deque(maxlen=size)
        self._last = 0

    def add(self, record: Record) -> FeedEvent:
        """Add an event of this process, and return it as the feed has it."""
        return self._add(self._process, self._last + 1, record)

    def add_relayed(self, process: str, number: int, record: Record) -> FeedEvent:
        """Add an event of another process, which has that number there, and return it as the feed has it."""
        return self._add(process, number, record)

    def _add(self, process: str, number: int, record: Record) -> FeedEvent:
        self._last += 1
        event = FeedEvent(self._last, f"{process}-{number}", process, record)
        self._events.append(event)
        return event

    def since(self, last_event_id: str) -> Resumption:
        """Return what came after an event, or everything where that is not known: it may all be new to the client."""
        events = self._events
        first = events[0].number if events else self._last + 1
        if last_event_id == WHOLE_BUFFER:
            return Resumption(tuple(events), resumed=True, missed=0)
        number = self._number_of(last_event_id)
        if number is None:
            return Resumption(tuple(events), resumed=False, missed=None)
        return Resumption(
            tuple(islice(events, max(0, number + 1 - first), None)), resumed=True, missed=max(0, first - number - 1)
        )

    def _number_of(self, event_id: str) -> int | None:
        """Return the number that an event has or had here; None where it was never here, or left when is not known."""
        for event in reversed(self._events):
            if event.id == event_id:
                return event.number
        process, _, number = event_id.rpartition("-")
        if process != self._process or not number.isdecimal() or len(number) > MAX_DIGITS:
            return None
        return int(number) if int(number) <= self._last else None  # ids of this process have its numbers
