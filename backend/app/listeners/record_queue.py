"""A bounded queue of events with a thread of its own that takes them as records: whoever emits is never held up.

`events.background` passes events on one by one. This one keeps the time at which each was emitted, makes records in its
thread, passes on several at once, and counts what becomes of them by `listener_delivered`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic, time
from typing import Any

from events import listener_delivered
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle
from events.bus.records import Record, record_of
from events.listeners import Delivery

log = logging.getLogger("app")

NO_CONTEXT: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Taken:
    """A record of an event, and what else was known where it was emitted."""

    record: Record
    context: Mapping[str, Any]


Batch = list[Taken]
Waiting = tuple[float, Any, Mapping[str, Any]]
"""When an event was emitted, as Unix time, the event, and what else was known there."""


class RecordQueue:
    """A queue that a thread empties.

    Args:
        listener: The listener's name, which its deliveries are counted by.
        take: Takes some records, in the thread, and counts what became of them.
        size: How many events may wait; past that the newest is dropped.
        batch: How many records ``take`` gets at once.
        gather: Seconds for which the thread lets events come together before it takes them.
    """

    def __init__(
        self, listener: str, take: Callable[[Batch], None], *, size: int = 10_000, batch: int = 1, gather: float = 0.0
    ) -> None:
        self._listener = listener
        self._take = take
        self._size = size
        self._batch = batch
        self._gather = gather
        self._throttle = LogThrottle()
        self._waiting: deque[Waiting] = deque()
        self._taken = 0  # of the batch that the thread is at
        self._dropped = 0  # since the last line in the log
        self._is_closed = False
        # On an RLock: the garbage collector may end a span, which emits, while this thread holds it.
        self._changed = Condition()
        self._thread = Thread(target=self._run, name=f"app.listeners.{listener}", daemon=True)
        self._thread.start()

    def put(self, event: Any, context: Mapping[str, Any] = NO_CONTEXT) -> None:
        """Add an event, emitted now, or drop it where there is no room or the queue is closed."""
        with self._changed:
            has_room = not self._is_closed and len(self._waiting) < self._size
            if has_room:
                self._waiting.append((time(), event, context))
                if len(self._waiting) == 1:
                    self._changed.notify()
        if not has_room:
            self.drop(1)

    def close(self, within: float) -> bool:
        """Have the events that wait taken, for so many seconds at most, and drop the rest; it blocks meanwhile.

        Return whether the thread has ended.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(within)
        with self._changed:
            left = len(self._waiting) + self._taken
            self._waiting.clear()
        if left:
            self.drop(left)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while waited := self._next_batch():
            batch = [taken for each in waited if (taken := self._as_record(each)) is not None]
            try:
                self._take(batch)
            except Exception as error:  # a bug of a listener ends neither its thread nor the count
                self._fail(error, len(batch))
            finally:
                self._taken = 0

    def _as_record(self, waiting: Waiting) -> Taken | None:
        moment, event, context = waiting
        try:
            return Taken({**record_of(event), "time": moment}, context)
        except Exception as error:  # an event with values that cannot be read: the others can
            self._fail(error, 1)
            return None

    def _fail(self, error: Exception, number: int) -> None:
        self.count("failed", number)
        if self._throttle.is_due("failed"):
            name = type(error).__name__
            log.warning("listener %s failed with %s at %s", self._listener, name, error_location(error))

    def _next_batch(self) -> list[Waiting]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._gather:
                deadline = monotonic() + self._gather
                self._changed.wait_for(
                    lambda: len(self._waiting) >= self._batch or self._is_closed, deadline - monotonic()
                )
            batch = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            self._taken = len(batch)
            return batch

    def count(self, outcome: Delivery, number: int) -> None:
        """Count what became of some events."""
        if number:
            listener_delivered.emit(listener=self._listener, outcome=outcome, count=number)

    def drop(self, number: int) -> None:
        """Count events that are left out, and log it once a minute at most."""
        self.count("dropped", number)
        self._dropped += number
        if self._throttle.is_due("dropped"):
            dropped, self._dropped = self._dropped, 0
            log.warning(
                "listener %s %s: %d events dropped",
                self._listener,
                "stopped" if self._is_closed else "is full",
                dropped,
            )
