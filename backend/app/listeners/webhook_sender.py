"""Sends messages to the address of a webhook, again and again where that may help, and says what became of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from threading import Event, get_ident
from time import monotonic, time
from typing import Any

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
    wait_random,
)

from .webhook_message import Message

MAX_ANSWER = 65_536  # bytes of an answer that are read, so that the connection can be used again
ANSWER_SECONDS = 2.0  # for that, after which the connection is closed


class Undelivered(Exception):
    """A message did not arrive; ``str`` says why, without anything of the address."""


class PassingFailure(Undelivered):
    """An attempt failed in a way that may pass; ``retry_after`` is how many seconds the receiver asks to wait."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Gone(Undelivered):
    """The receiver wants no messages any more (410)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persistence:
    """How long a message is tried: attempts, the wait after the first, which doubles, and limits in seconds.

    ``attempt_seconds`` is what one attempt may take as a whole: the specification recommends 15 to 30.
    ``longest_retry_after`` is how long at most a receiver can have the messages wait.
    """

    attempts: int = 8
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    attempt_seconds: float = 20.0


class WebhookSender:
    """Sends one message after the other; used by one thread, but for `hurry`.

    Args:
        url: The address. A user and a password in it are sent as Basic authorization.
        secrets: The keys of the signatures.
        persistence: How long a message is tried.
        on_retry: Is called before each attempt but the first.
    """

    def __init__(
        self, url: str, secrets: Sequence[bytes], persistence: Persistence, on_retry: Callable[[], object]
    ) -> None:
        self._url = httpx.URL(url)
        self._secrets = secrets
        self._persistence = persistence
        self._on_retry = on_retry
        self._stopping = Event()
        self._deadline: float | None = None
        self._timeout: asyncio.Timeout | None = None
        # With a factory, for without it the loop would become that of the thread that is here.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._client: httpx.AsyncClient | None = None

    @property
    def has_time(self) -> bool:
        """Whether there is time for an attempt."""
        return self._deadline is None or monotonic() < self._deadline

    def send(self, message: Message) -> None:
        """Send a message, and return once it has arrived.

        Raises:
            Undelivered: It was refused, or all attempts failed, or there is no time for another one.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type(PassingFailure),
            stop=stop_after_attempt(self._persistence.attempts) | stop_when_event_set(self._stopping),
            wait=self._wait,
            sleep=sleep_using_event(self._stopping),
            reraise=True,
        ):
            with attempt:
                if attempt.retry_state.attempt_number > 1:
                    self._on_retry()
                self._runner.run(self._attempt(message))

    def hurry(self, within: float) -> None:
        """Have each message tried once more at most, and end all after so many seconds. Called by any thread."""
        self._deadline = monotonic() + within
        self._stopping.set()
        with suppress(RuntimeError):  # the loop is closed: nothing is sent
            self._loop.call_soon_threadsafe(self._shorten)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._runner.run(self._client.aclose())
        self._runner.close()

    def _wait(self, state: RetryCallState) -> float:
        """Return how long to wait for the next attempt: ever longer, and as long as the receiver asks for."""
        persistence = self._persistence
        backoff = wait_exponential(persistence.first_wait, persistence.longest_wait)
        jitter = wait_random(0, persistence.first_wait)
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.retry_after if isinstance(failure, PassingFailure) else 0.0
        return max(backoff(state), min(asked, persistence.longest_retry_after)) + jitter(state)

    async def _attempt(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._persistence.attempt_seconds) as self._timeout:
                self._shorten()
                status, retry_after = await self._post(message)
        except (httpx.TransportError, TimeoutError) as error:
            raise PassingFailure(type(error).__name__) from None
        except httpx.HTTPError as error:
            raise Undelivered(type(error).__name__) from None
        finally:
            self._timeout = None
        if 200 <= status < 300:
            return
        if status == HTTPStatus.GONE:
            raise Gone("it is gone (410)")
        if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or status >= 500:
            raise PassingFailure(f"it answers {status}", retry_after)
        raise Undelivered(f"it answers {status}")

    async def _post(self, message: Message) -> tuple[int, float]:
        """Return the status of an answer, and how many seconds it asks to wait."""
        if self._client is None:
            self._client = make_client(self._persistence.attempt_seconds)
        headers = message.signed_headers(self._secrets, time())
        async with self._client.stream("POST", self._url, content=message.body, headers=headers) as response:
            answer = response.status_code, parse_retry_after(response.headers.get("retry-after"))
            with suppress(httpx.HTTPError, TimeoutError):  # the status is what counts
                async with asyncio.timeout(ANSWER_SECONDS):
                    size = 0
                    async for piece in response.aiter_raw():
                        size += len(piece)
                        if size > MAX_ANSWER:
                            break
        return answer

    def _shorten(self) -> None:
        """Have the attempt under way end by the deadline, if there is one."""
        timeout, deadline = self._timeout, self._deadline
        if timeout is not None and deadline is not None:
            left = max(deadline - monotonic(), 0.0)
            timeout.reschedule(min(timeout.when() or 0.0, self._loop.time() + left))


def make_client(seconds: float) -> httpx.AsyncClient:
    """Return a client for one address: no redirects, which would take the signed message elsewhere."""
    timeout = httpx.Timeout(seconds, connect=min(5.0, seconds))
    limits = httpx.Limits(max_connections=1, keepalive_expiry=30.0)
    return httpx.AsyncClient(
        timeout=timeout, limits=limits, follow_redirects=False, headers={"User-Agent": "sparklio-webhook"}
    )


def parse_retry_after(value: str | None) -> float:
    """Return the seconds that a Retry-After asks to wait, which is a number or a date (RFC 9110, 10.2.3); else 0."""
    if not value:
        return 0.0
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        return max(parsedate_to_datetime(value).timestamp() - time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0


class QuietClient(logging.Filter):
    """A filter of httpx's log without what a thread sends: its lines have the whole address, and that is a secret."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = get_ident()

    def filter(self, record: logging.LogRecord) -> Any:
        """Return whether to log a record."""
        return record.thread != self._thread
