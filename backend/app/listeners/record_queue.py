"""A bounded queue of records with a thread of its own that takes them: whoever emits is never held up.

`events.background` does it for events. A listener of records makes them where they are emitted, which is their time,
and counts what becomes of them by `listener_delivered`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from time import monotonic
from typing import Any

from events import listener_delivered
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle
from events.listeners import Delivery

log = logging.getLogger("app")

Batch = list[Any]


class RecordQueue:
    """A queue that a thread empties.

    Args:
        listener: The listener's name, which its deliveries are counted by.
        take: Takes some records, in the thread, and counts what became of them.
        size: How many records may wait; past that the newest is dropped.
        batch: How many records ``take`` gets at once.
        gather: Seconds for which the thread lets records come together before it takes them.
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
        self._records: deque[Any] = deque()
        self._taken = 0  # of the batch that the thread is at
        self._dropped = 0  # since the last line in the log
        self._is_closed = False
        # On an RLock: the garbage collector may end a span, which emits, while this thread holds it.
        self._changed = Condition()
        self._thread = Thread(target=self._run, name=f"app.listeners.{listener}", daemon=True)
        self._thread.start()

    def put(self, record: Any) -> None:
        """Add a record, or drop it where there is no room or the queue is closed."""
        with self._changed:
            has_room = not self._is_closed and len(self._records) < self._size
            if has_room:
                self._records.append(record)
                if len(self._records) == 1:
                    self._changed.notify()
        if not has_room:
            self._drop(1)

    def close(self, within: float) -> bool:
        """Have the records that wait taken, for so many seconds at most, and drop the rest; it blocks meanwhile.

        Return whether the thread has ended.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(within)
        with self._changed:
            left = len(self._records) + self._taken
            self._records.clear()
        if left:
            self._drop(left)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._take(batch)
            except Exception as error:  # a bug of a listener ends neither its thread nor the count
                self.count("failed", len(batch))
                if self._throttle.is_due("failed"):
                    name = type(error).__name__
                    log.warning("listener %s failed with %s at %s", self._listener, name, error_location(error))
            finally:
                self._taken = 0

    def _next_batch(self) -> Batch:
        with self._changed:
            self._changed.wait_for(lambda: self._records or self._is_closed)
            if self._gather:
                deadline = monotonic() + self._gather
                self._changed.wait_for(
                    lambda: len(self._records) >= self._batch or self._is_closed, deadline - monotonic()
                )
            batch = [self._records.popleft() for _ in range(min(self._batch, len(self._records)))]
            self._taken = len(batch)
            return batch

    def count(self, outcome: Delivery, number: int) -> None:
        """Count what became of some records."""
        if number:
            listener_delivered.emit(listener=self._listener, outcome=outcome, count=number)

    def _drop(self, number: int) -> None:
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
