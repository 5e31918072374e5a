"""The audit trail: what workflows, agents, models and tools did, as rows of the table ``audit_events``.

An event is put into a queue where it is emitted, which takes microseconds, and stored by a task, many in one
transaction. While the database is away the queue fills up; past its size the newest events are dropped, and counted.
The rows have what `events.bus.records` lets out of the process: no prompt, no answer, nothing that somebody wrote.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any

from app.database import Database, is_passing, retry_passing
from app.database.repositories import audit_events
from events import (
    Signal,
    access_refused,
    component_checked,
    event_dropped,
    http_request_finished,
    limit_reached,
    listener_delivered,
    llm_configured,
    receiver_failed,
    setup_fault_found,
)
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle
from events.bus.records import Record, record_of

from .audit_retention import delete_forever
from .signals import STORY, connected

log = logging.getLogger("app.listeners")

NAME = "audit_trail"
"""What the trail is called in ``listener_events_total``."""

NOT_AUDITED = frozenset(
    {
        access_refused,
        component_checked,
        event_dropped,
        http_request_finished,
        limit_reached,
        llm_configured,
        receiver_failed,
        setup_fault_found,
    }
)
"""The signals of other things than the work of workflows, agents, models and tools."""

AUDITED: tuple[Signal[..., Any], ...] = tuple(signal for signal in STORY if signal not in NOT_AUDITED)
"""The signals whose events are stored. No statement of the database is one of them, so that storing an event brings
forth no other."""

QUEUE_SIZE = 10_000
"""How many events wait at most, which is about 20 MB."""

BATCH = 100
"""How many events one transaction stores: to serialize these takes the event loop a few milliseconds."""

FLUSH_SECONDS = 0.5
"""How long an event waits for others to be stored with it."""

DRAIN_SECONDS = 3.0
"""How long the end waits for events to be stored."""


class AuditTrail:
    """Stores events in batches; `receive` takes them, `write_forever` is the task that writes.

    Args:
        database: Where they are stored.
        process: What tells this process from all others that ever wrote to the trail.
        size: How many events may wait.
    """

    def __init__(self, database: Database, process: str, size: int = QUEUE_SIZE) -> None:
        self._database = database
        self._process = process
        self._size = size
        # Appending to a deque and counting are atomic: no lock, which an event emitted by the garbage collector in the
        # middle of another one's `receive` would wait for.
        self._queue: deque[Record] = deque()
        self._numbers = count(1)
        self._writing: list[dict[str, Any]] = []
        self._wake, self._closing = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._throttle = LogThrottle()

    def receive(self, event: Any) -> None:
        """Put an event into the queue, in whichever thread it was emitted; drop it where there is no room."""
        if len(self._queue) >= self._size:
            self._count("dropped", 1)
            self._warn("the audit trail has no room for more than %d events that wait: others are dropped", self._size)
            return
        self._queue.append(record_of(event))
        if len(self._queue) >= BATCH and not self._wake.is_set():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def write_forever(self) -> None:
        """Store the events that wait, twice a second or when there are enough of them, until `close` is called."""
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), FLUSH_SECONDS)
            self._wake.clear()
            is_last = self._closing.is_set()
            while self._queue:
                await self._write_batch()

    async def _write_batch(self) -> None:
        size = min(len(self._queue), BATCH)
        rows = self._writing = [self._row_of(self._queue.popleft()) for _ in range(size)]
        attempts = count()

        async def store() -> None:
            if next(attempts):
                self._count("retried", len(rows))
            async with self._database.writing() as session:
                await audit_events.add(session, rows)

        try:
            await retry_passing(store, self._closing)
            outcome = "delivered"
        except Exception as error:
            outcome = "dropped" if is_passing(error) else "failed"  # a passing one is raised where there is no time
            name, place = type(error).__name__, error_location(error)
            self._warn("the audit trail cannot store %d events: %s at %s", len(rows), name, place)
        self._writing = []
        self._count(outcome, len(rows))

    def _row_of(self, record: Record) -> dict[str, Any]:
        fields: Mapping[str, Any] = record["fields"]
        return {
            "id": f"{self._process}-{next(self._numbers):09}",
            "time": datetime.fromtimestamp(record["time"], UTC),
            "process": self._process,
            "signal": record["signal"],
            **{name: _text_of(fields.get(name)) for name in ("run_id", "workflow_type", "agent_name")},
            "record": record,
        }

    async def close(self, writer: asyncio.Task[None]) -> None:
        """Store what waits, within `DRAIN_SECONDS`, and count the rest as dropped."""
        self._closing.set()
        self._wake.set()
        await asyncio.wait({writer}, timeout=DRAIN_SECONDS)
        if not writer.done():
            writer.cancel()
            await asyncio.wait({writer}, timeout=1.0)  # a connection that hangs is not waited for
        if left := len(self._writing) + len(self._queue):
            log.warning("the audit trail ends without %d events that there was no time to store", left)
            self._count("dropped", left)

    def _count(self, outcome: Any, events: int) -> None:
        listener_delivered.emit(listener=NAME, outcome=outcome, count=events)

    def _warn(self, message: str, *values: object) -> None:
        if self._throttle.is_due((NAME, message)):
            log.warning(message, *values)


def _text_of(value: Any) -> str | None:
    """Return what a column of text takes: a label may be a number."""
    return None if value is None else str(value)


def new_process_id() -> str:
    """Return what tells this process from all others: its host and its number, and a random part, as numbers recur."""
    return f"{socket.gethostname()[:20]}-{os.getpid()}-{secrets.token_hex(4)}"


@asynccontextmanager
async def listen(database: Database, days: int, process: str | None = None) -> AsyncGenerator[AuditTrail]:
    """Store the events of the block, and delete those that are older than some days.

    At its end, what waits is stored within `DRAIN_SECONDS`.
    """
    trail = AuditTrail(database, process or new_process_id())
    writer = asyncio.create_task(trail.write_forever(), name=NAME)
    retention = asyncio.create_task(delete_forever(database, days))
    try:
        with connected(trail.receive, AUDITED):
            yield trail
    finally:
        retention.cancel()
        await trail.close(writer)
