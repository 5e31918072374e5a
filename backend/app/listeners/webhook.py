"""The webhook: chosen events as CloudEvents to an address of somebody else, signed, in their order, tried again.

A message that cannot be delivered holds up those behind it until it is given up, so that the receiver sees the events
in their order. What waits is bounded: past it new events are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from app.webhook_secrets import parse_webhook_secrets
from events.bus.log_throttle import LogThrottle
from events.bus.signal import Signal

from .record_queue import Batch, RecordQueue
from .signals import connected
from .webhook_message import Message
from .webhook_sender import Gone, Persistence, QuietClient, Undelivered, WebhookSender

log = logging.getLogger("app")

NAME = "webhook"
FLUSH_SECONDS = 2.0
"""How long a stop waits for what is to be sent."""


@asynccontextmanager
async def listen(
    url: str, secret: str, signals: Collection[Signal[..., Any]], persistence: Persistence | None = None
) -> AsyncGenerator[None]:
    """Send the events of some signals while the block runs, and those that wait at its end.

    Args:
        url: The address.
        secret: The secret that messages are signed with, or several, see `app.webhook_secrets`.
        signals: Whose events are sent.
        persistence: How long a message is tried; by default two minutes.
    """
    listener = Webhook(url, parse_webhook_secrets(secret), persistence or Persistence())
    try:
        with connected(listener, signals):
            yield
    finally:
        await asyncio.to_thread(listener.close)


class Webhook:
    """A receiver that sends events to an address, in a thread of its own.

    Args:
        url: The address; only its host is ever logged, for the rest may be a secret.
        secrets: The keys of the signatures.
        persistence: How long a message is tried.
        size: How many events may wait.
    """

    def __init__(self, url: str, secrets: tuple[bytes, ...], persistence: Persistence, size: int = 1000) -> None:
        self.__qualname__ = NAME  # how a failure names it
        self._host = urlsplit(url).hostname or ""
        self._source = f"//{quote(socket.gethostname())}/sparklio"
        self._sender = WebhookSender(url, secrets, persistence, lambda: self._queue.count("retried", 1))
        self._quiet: QuietClient | None = None
        self._is_gone = False
        self._lost = 0  # since the last line in the log
        self._throttle = LogThrottle()
        self._queue = RecordQueue(NAME, self._send, size=size)

    def __call__(self, event: Any) -> None:
        """Take an event; it is sent when those before it were."""
        self._queue.put(event)

    def close(self, within: float = FLUSH_SECONDS) -> None:
        """Send what waits, within so many seconds; it blocks meanwhile."""
        self._sender.hurry(within)
        if self._queue.close(within + 0.5):
            self._sender.close()
        if self._quiet is not None:
            logging.getLogger("httpx").removeFilter(self._quiet)

    def _send(self, batch: Batch) -> None:
        if self._quiet is None:
            self._quiet = QuietClient()
            logging.getLogger("httpx").addFilter(self._quiet)
        for taken in batch:
            if self._is_gone:
                self._queue.count("dropped", 1)
                continue
            if not self._sender.has_time:
                self._queue.drop(1)
                continue
            try:
                self._sender.send(Message.of(taken.record, self._source))
            except Undelivered as reason:
                self._is_gone = isinstance(reason, Gone)
                self._queue.count("dead_letter", 1)
                self._log(reason)
            else:
                self._queue.count("delivered", 1)

    def _log(self, reason: Undelivered) -> None:
        self._lost += 1
        if self._is_gone:
            log.warning("the webhook at %s is gone (410): no more events are sent until the next start", self._host)
        elif self._throttle.is_due("lost"):
            lost, self._lost = self._lost, 0
            log.warning("the webhook at %s did not take %d events, the last since %s", self._host, lost, reason)
