"""The intake of the live feed: events come in any thread, and are taken by the event loop, some at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from threading import RLock
from time import time
from typing import Any, Literal

from events import listener_delivered
from events.bus.records import Record, record_of

MAX_WAITING = 20_000
"""How many events may wait for the event loop; more are dropped."""

BATCH_INTERVAL = 0.05
"""Seconds between two batches of events."""

BATCH_SIZE = 200
"""Events in a batch, fewer than may wait for a client: one that reads is not left behind by a burst."""


class Intake:
    """Takes events from the threads that emit them, in less than a microsecond, and counts what becomes of them.

    Args:
        listener: The name under which they are counted.
        take: Takes an event as a record, on the event loop.
    """

    def __init__(self, listener: str, take: Callable[[Record], None]) -> None:
        self._listener = listener
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._lock = RLock()  # a garbage collection while it is held may end a span, which emits
        self._waiting: deque[tuple[float, Any]] = deque()
        self._overflowed = 0
        self._is_scheduled = False

    def put(self, event: Any) -> None:
        """Take an event, in the thread that emits it."""
        if len(self._waiting) >= MAX_WAITING:
            with self._lock:
                self._overflowed += 1
            return
        self._waiting.append((time(), event))
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._loop.call_later, BATCH_INTERVAL, self._pass_batch_on)

    def _pass_batch_on(self) -> None:
        self._is_scheduled = False  # before the first is taken: one that comes from here on schedules the next batch
        self._pass_on(BATCH_SIZE)
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_later(BATCH_INTERVAL, self._pass_batch_on)

    def pass_rest_on(self) -> None:
        """Pass on what waits, at the end: its batch is not due."""
        self._pass_on(MAX_WAITING)

    def _pass_on(self, most: int) -> None:
        delivered = failed = 0
        for _ in range(min(most, len(self._waiting))):
            at, event = self._waiting.popleft()
            try:
                record: Record = {**record_of(event), "time": at}
            except Exception:  # an event with values that cannot be read: the others can
                failed += 1
                continue
            self._take(record)
            delivered += 1
        with self._lock:
            dropped, self._overflowed = self._overflowed, 0
        count(self._listener, "delivered", delivered)
        count(self._listener, "dropped", dropped)
        count(self._listener, "failed", failed)


def count(listener: str, outcome: Literal["delivered", "dropped", "failed"], events: int) -> None:
    """Count what became of events, if there are any."""
    if events:
        listener_delivered.emit(listener=listener, outcome=outcome, count=events)
