"""The relay of the live feed: processes that share a PostgreSQL send each other their events, by NOTIFY.

They do so only while a client of another process watches. Each has one connection for it, of its own; while that is
lost, its feed has the events of the process alone, and nothing waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from psycopg import AsyncConnection, sql
from sqlalchemy.engine import make_url

from app.database import POSTGRESQL_OPTIONS
from events import listener_delivered
from events.bus.records import Record

from .live_buffer import FeedEvent
from .live_intake import count
from .live_notifications import Announcement, pack, parse
from .live_presence import ALONE, Presence, Reach

LISTENER = "live_relay"

CHANNEL = "sparklio_live"

SEND_INTERVAL = 0.05
"""Seconds between two notifications with events: 20 a second."""

MAX_WAITING = 1_000
"""How many events may wait to be sent; more are dropped."""

FIRST_DELAY = 0.5
MAX_DELAY = 30.0
"""Seconds from one attempt to connect to the next: they double."""

STOP_SECONDS = 1.0
"""Seconds that the last events have to be sent when the process stops."""

log = logging.getLogger("app")


class LiveRelay:
    """The relay of one process. All of it runs on the event loop.

    Args:
        url: The URL of the database, as libpq takes it.
        process: The id of this process.
        receive: Takes an event of another process: the process, the event's number there, and the event.
        set_reach: Takes whose events come, whenever it may have changed.
        is_watched: Returns whether this process has clients.
    """

    def __init__(
        self,
        url: str,
        process: str,
        *,
        receive: Callable[[str, int, Record], None],
        set_reach: Callable[[Reach], None],
        is_watched: Callable[[], bool],
    ) -> None:
        self._url = url
        self._process = process
        self._receive = receive
        self._set_reach = set_reach
        host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
        self._presence = Presence(process, host, is_watched)
        self._waiting: deque[FeedEvent] = deque()
        self._dropped = 0
        self._next_send = 0.0
        self._news = asyncio.Event()
        self._stop = asyncio.Event()
        self._connection: AsyncConnection | None = None

    @property
    def is_watched_elsewhere(self) -> bool:
        """Whether another process has clients, which get the events of this one."""
        return self._presence.is_watched_elsewhere

    def offer(self, event: FeedEvent) -> None:
        """Send an event of this process to the others, if one of them is watched."""
        if not self.is_watched_elsewhere:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            return
        self._waiting.append(event)
        self._news.set()

    def wake(self) -> None:
        """Look at once whether this process has clients, which the others have to know."""
        self._news.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Relay for as long as the block runs; then send what waits, for a second at most."""
        listener_delivered.announce(listener=LISTENER)
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._stop.set()
            self._news.set()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
            if self._connection is not None:  # the database hangs: psycopg would wait for it to cancel what it does
                await self._connection.close()
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_SECONDS)

    async def _run(self) -> None:
        delay = FIRST_DELAY
        while not self._stop.is_set():
            try:
                self._connection = connection = await self._connect()
                try:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                    delay = FIRST_DELAY
                    await self._serve(connection)
                finally:
                    self._connection = None
                    await connection.close()
            except Exception as error:  # of the driver, or not: events are lost, and nothing else is
                log.debug("the live feed has the events of this process alone: %s", type(error).__name__)
                self._lose_connection()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                delay = min(2 * delay, MAX_DELAY)

    async def _connect(self) -> AsyncConnection:
        options: dict[str, Any] = {"application_name": CHANNEL, **POSTGRESQL_OPTIONS}
        given = make_url(self._url).query
        own = {name: value for name, value in options.items() if name not in given}
        connection = await AsyncConnection.connect(self._url, autocommit=True, **own)
        connection.add_notify_handler(lambda notification: self._take(notification.payload))
        return connection

    def _lose_connection(self) -> None:
        self._count_dropped()
        count(LISTENER, "failed", len(self._waiting))
        self._waiting.clear()
        self._presence.forget_all()
        self._set_reach(ALONE)

    async def _serve(self, connection: AsyncConnection) -> None:
        """Send and receive until the process stops; then send the last ones."""
        now = asyncio.get_running_loop().time
        while True:
            self._news.clear()
            is_stopping = self._stop.is_set()
            await self._send_due(connection, now(), everything=is_stopping)
            if is_stopping:
                return
            self._read(connection)
            self._presence.forget_old(now())
            self._set_reach(self._presence.reach)
            await self._wait(connection, now())

    async def _send_due(self, connection: AsyncConnection, now: float, *, everything: bool) -> None:
        """Send what is due: an announcement of this process, and events; of these not more than one notification."""
        announcement = self._presence.next_announcement()
        if announcement is not None and announcement <= now and not everything:
            await _notify(connection, self._presence.announce(now).to_json())
        if not self.is_watched_elsewhere:
            self._waiting.clear()
        while self._waiting and (everything or now >= self._next_send):
            self._next_send = now + SEND_INTERVAL
            batch = pack(self._process, self._waiting)
            self._dropped += batch.left_out
            if batch.packed:
                try:
                    await _notify(connection, batch.payload)
                except BaseException:
                    count(LISTENER, "failed", batch.packed)
                    raise
                count(LISTENER, "delivered", batch.packed)
        self._count_dropped()

    def _count_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        count(LISTENER, "dropped", dropped)

    def _read(self, connection: AsyncConnection) -> None:
        """Take the notifications that came; psycopg passes on those that come with an answer."""
        connection.pgconn.consume_input()
        while (notification := connection.pgconn.notifies()) is not None:
            self._take(notification.extra.decode("utf-8", "replace"))

    def _take(self, payload: str) -> None:
        message = parse(payload)
        if message is None or message.process == self._process:
            return
        if isinstance(message, Announcement):
            self._presence.hear(message, asyncio.get_running_loop().time())
            return
        for number, record in message.events:
            self._receive(message.process, number, record)

    async def _wait(self, connection: AsyncConnection, now: float) -> None:
        """Wait for a notification, for something to send, or until something is due."""
        times = [self._presence.next_announcement(), self._next_send if self._waiting else None]
        due = [time - now for time in times if time is not None]
        loop, descriptor = asyncio.get_running_loop(), connection.fileno()
        loop.add_reader(descriptor, self._news.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(due)) if due else None):
                    await self._news.wait()
        finally:
            loop.remove_reader(descriptor)


async def _notify(connection: AsyncConnection, payload: str) -> None:
    await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
