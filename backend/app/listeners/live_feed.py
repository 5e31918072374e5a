"""The live feed: a listener that passes events on to whoever follows them just now, as server-sent events.

Events are taken in the thread that emits them, which costs less than a microsecond, and passed on by the event loop,
some at a time. A client that does not read is left behind, so that none can make the others wait or the memory grow.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Literal, Protocol

from app.settings import Settings
from events import add_poller, feed_clients_read, limit_reached, listener_delivered
from events.bus.failures import report_failure
from events.bus.records import Record

from .live_buffer import NOTHING_TO_RESUME, EventBuffer, FeedEvent, Resumption
from .live_client import FeedClient, Wanted
from .live_intake import Intake
from .live_messages import numbers_message, status_message
from .live_presence import ALONE, Reach
from .live_relay import LiveRelay
from .signals import STORY, connected

LISTENER = "live_feed"

RECONNECT_MS = 2000
"""Milliseconds after which a client that lost its connection comes back."""


class LiveNumbers(Protocol):
    """The numbers that clients of the feed get once a second, if they ask for them: what ``app.state.live_numbers`` is.

    Both methods are called on the event loop, so both have to be quick.
    """

    def watch(self) -> AbstractContextManager[None]:
        """Return a context in which at least one client looks at the numbers; it is entered once for all of them."""

    def current(self) -> Mapping[str, Any]:
        """Return the numbers as they are now, as JSON has them; called once a second for all clients together."""


class FeedUnavailable(Exception):
    """A client cannot follow the feed."""

    def __init__(self, reason: Literal["full", "stopping"]) -> None:
        super().__init__(reason)
        self.reason = reason


class LiveFeed:
    """The feed of one process. `receive` may be called in any thread, everything else on the event loop.

    Args:
        buffer: How many events are kept for clients that come back.
        max_clients: How many clients may follow it.
    """

    def __init__(self, *, buffer: int = 2000, max_clients: int = 200) -> None:
        self.process = secrets.token_hex(4)
        self.relay: LiveRelay | None = None
        self._max_clients = max_clients
        self.intake = Intake(LISTENER, self._take)
        self._buffer = EventBuffer(self.process, buffer)
        self._clients: dict[FeedClient, Resumption] = {}  # and how each began, without the events
        self._reach = ALONE
        self._ticker: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_watched(self) -> bool:
        """Whether a client of this process follows the feed."""
        return bool(self._clients)

    @property
    def reach(self) -> Reach:
        """Whose events it has."""
        return self._reach

    def receive(self, event: Any) -> None:
        """Take an event, in the thread that emits it."""
        self.intake.put(event)

    def _take(self, record: Record) -> None:
        event = self._buffer.add(record)
        if self.relay is not None:
            self.relay.offer(event)
        self._send(event)

    def take_relayed(self, process: str, number: int, record: Record) -> None:
        """Take an event that another process emitted."""
        self._send(self._buffer.add_relayed(process, number, record))

    def set_reach(self, reach: Reach) -> None:
        """Take note of whose events the feed has, and tell its clients where that has changed."""
        if reach != self._reach:
            self._reach = reach
            for client, resumption in tuple(self._clients.items()):
                self._put(client, self._status(resumption))

    def join(self, wanted: Wanted, last_event_id: str | None = None, numbers: LiveNumbers | None = None) -> FeedClient:
        """Add a client, which has to `leave`.

        Args:
            wanted: Which events it asks for.
            last_event_id: The id of the last event that it has; ``0`` for all that there are.
            numbers: The numbers, if it asks for them.

        Raises:
            FeedUnavailable: There are as many as may be, or the process stops.
        """
        if self._is_closed:
            raise FeedUnavailable("stopping")
        if len(self._clients) >= self._max_clients:
            limit_reached.emit(limit="live_clients")
            raise FeedUnavailable("full")
        resumption = NOTHING_TO_RESUME if last_event_id is None else self._buffer.since(last_event_id)
        client = FeedClient(
            wanted,
            self._status(resumption, retry=RECONNECT_MS),
            resumption.events,
            wants_numbers=numbers is not None,
        )
        self._clients[client] = replace(resumption, events=())
        if numbers is not None and self._ticker is None:
            self._ticker = asyncio.create_task(self._send_numbers(numbers))
        self._tell_relay()
        return client

    def leave(self, client: FeedClient) -> None:
        """Remove a client; one that is gone already is no error."""
        self._clients.pop(client, None)
        self._tell_relay()

    def close(self) -> None:
        """End the streams of all clients, and let no other join: the process stops."""
        self._is_closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        for client in self._clients:
            client.end()

    def emit_clients(self) -> None:
        """Emit how many clients there are."""
        feed_clients_read.emit(clients=len(self._clients))

    def _send(self, event: FeedEvent) -> None:
        for client in tuple(self._clients):
            if client.wanted.takes(event.record):
                self._put(client, event.message)

    def _put(self, client: FeedClient, message: bytes) -> None:
        if not client.put(message):
            self.leave(client)
            limit_reached.emit(limit="live_queue")

    def _status(self, resumption: Resumption, retry: int | None = None) -> bytes:
        status = {
            "resumed": resumption.resumed,
            "missed": resumption.missed,
            "reach": self._reach.of,
            "processes": self._reach.processes,
        }
        return status_message(status, retry)

    async def _send_numbers(self, numbers: LiveNumbers) -> None:
        """Send the numbers once a second, for as long as a client wants them."""
        try:
            with numbers.watch():
                while clients := [client for client in self._clients if client.wants_numbers]:
                    try:
                        message = numbers_message(numbers.current())
                    except Exception as error:  # the next ones may be well
                        report_failure("numbers", LISTENER, error)
                    else:
                        for client in clients:
                            self._put(client, message)
                    await asyncio.sleep(1)
        finally:
            self._ticker = None

    def _tell_relay(self) -> None:
        if self.relay is not None:
            self.relay.wake()


@asynccontextmanager
async def open_feed(settings: Settings) -> AsyncIterator[LiveFeed]:
    """Return a feed for as long as the block runs, relayed between the processes that share a PostgreSQL."""
    feed = LiveFeed(buffer=settings.live_buffer, max_clients=settings.live_clients)
    async with AsyncExitStack() as resources:
        if settings.sqlite_file is None:
            feed.relay = LiveRelay(
                settings.dbos_database_url,
                feed.process,
                receive=feed.take_relayed,
                set_reach=feed.set_reach,
                is_watched=lambda: feed.is_watched,
            )
            await resources.enter_async_context(feed.relay.running())
        resources.callback(feed.intake.pass_rest_on)
        resources.callback(feed.close)
        yield feed


@asynccontextmanager
async def listen(settings: Settings) -> AsyncIterator[LiveFeed]:
    """Connect a feed to the signals for as long as the block runs."""
    listener_delivered.announce(listener=LISTENER)
    async with open_feed(settings) as feed:
        with ExitStack() as resources:
            resources.callback(feed_clients_read.emit, clients=None)
            resources.callback(add_poller(feed.emit_clients))
            resources.enter_context(connected(feed.receive, STORY))
            yield feed
