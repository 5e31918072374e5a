"""A client of the live feed of a running studio, which connects again after a break and goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import sleep
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from httpx_sse import EventSource, ServerSentEvent, connect_sse

FEED_PATH = "/api/v1/events"
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
SILENCE = 60.0
"""Seconds without a byte after which the connection counts as broken: a feed sends a comment every 15 seconds."""

_WAYS_OUT: Mapping[int, str] = {
    401: "it wants a key: set SPARKLIO_API_KEY, or name a file with it by --key-file",
    404: "there is no live feed: give the address of a studio, with SPARKLIO_LIVE on",
    421: "it does not know that name: add it to SPARKLIO_ALLOWED_HOSTS, or ask localhost",
    422: "it does not know a signal that was asked for: docs/live-feed.md says which it has",
    503: "it takes no more clients (SPARKLIO_LIVE_CLIENTS), or is about to stop: try again later",
}


class FeedUnreachable(Exception):
    """The feed cannot be read; the message names the reason, and nothing that may be a secret."""


@dataclass(frozen=True, slots=True)
class FeedConnected:
    """A connection was made. ``is_again`` is whether it is not the first one."""

    is_again: bool


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """The studio's word on the connection: whether it went on where it was, and how many events are missing."""

    resumed: bool
    missed: int | None


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """The record of an event, and its id in the feed."""

    id: str
    record: dict[str, Any]


FeedMessage = FeedConnected | FeedStatus | FeedRecord


class FeedClient:
    """A client of one studio.

    Args:
        url: The address of the studio.
        key: A key of its API, if it wants one.
        query: What is asked for, as pairs of the query of the feed.
        on_break: Is called after a break with the reason, and the seconds until the next connection.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        query: Sequence[tuple[str, str]] = (),
        on_break: Callable[[str, float], object] = lambda _reason, _wait: None,
    ) -> None:
        base = url.rstrip("/").removesuffix(FEED_PATH)
        self._url = f"{base}{FEED_PATH}"
        self.address = address_of(self._url)
        self._query = query
        self._on_break = on_break
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=httpx.Timeout(10.0, read=SILENCE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def follow(self, last_id: str = "") -> Iterator[FeedMessage]:
        """Yield what the feed sends, for ever: after a break it connects again, ever later.

        Args:
            last_id: The id of the last event that is known, after which it is to begin.

        Raises:
            FeedUnreachable: The first connection fails, or the studio refuses one in a way that does not pass.
        """
        was_connected, wait = False, FIRST_WAIT
        while True:
            reason = "the studio ended it"
            try:
                headers = {"Last-Event-ID": last_id} if last_id else {}
                with connect_sse(self._client, "GET", self._url, params=[*self._query], headers=headers) as source:
                    self._validate(source.response, is_again=was_connected)
                    yield FeedConnected(was_connected)
                    was_connected = True
                    for message in read_messages(source):
                        wait = FIRST_WAIT
                        if isinstance(message, FeedRecord):
                            last_id = message.id or last_id
                        yield message
            except httpx.TransportError as error:
                reason = reason_of(error)
            except _Busy as error:
                reason = str(error)
                wait = max(wait, min(error.retry_after, LONGEST_WAIT))
            except httpx.InvalidURL:
                raise FeedUnreachable(f"{self.address} is no address, give one such as http://127.0.0.1:8000") from None
            if not was_connected:
                raise FeedUnreachable(f"{self.address} cannot be read: {reason}")
            self._on_break(reason, wait)
            sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _validate(self, response: httpx.Response, *, is_again: bool) -> None:
        """Raise where a response is no feed: a `FeedUnreachable`, or what makes the client try again."""
        status = response.status_code
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if status == httpx.codes.OK and kind == "text/event-stream":
            return
        if status == httpx.codes.OK:
            raise FeedUnreachable(f"{self.address} answers, but not with events: {_WAYS_OUT[404]}")
        way_out = _WAYS_OUT.get(status, "see its log")
        if is_again and (status == httpx.codes.TOO_MANY_REQUESTS or status >= 500):
            after = response.headers.get("retry-after", "")
            raise _Busy(f"the studio answers {status}", float(after) if after.isdecimal() else 0.0)
        raise FeedUnreachable(f"{self.address} answers {status}: {way_out}")


class _Busy(Exception):
    """The studio refuses a connection for now."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def read_messages(source: EventSource) -> Iterator[FeedMessage]:
    """Yield the messages of a connection; comments and messages of other kinds are left out."""
    for sent in source.iter_sse():
        message = parse(sent) if sent.data else None  # a comment comes as an empty message
        if message is not None:
            yield message


def parse(sent: ServerSentEvent) -> FeedMessage | None:
    """Return what a server-sent event says, None where it is of another kind."""
    try:
        data = json.loads(sent.data)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    if sent.event == "status":
        missed = data.get("missed")
        return FeedStatus(bool(data.get("resumed")), missed if type(missed) is int else None)
    return FeedRecord(sent.id, data) if sent.event == "message" and "signal" in data else None


def reason_of(error: httpx.TransportError) -> str:
    """Return what is wrong with a connection, in words without the address."""
    match error:
        case httpx.UnsupportedProtocol():
            return "give an address such as http://127.0.0.1:8000"
        case httpx.ConnectError():
            return "nothing answers there; start the studio, or give its address by --url"
        case httpx.ReadTimeout():
            return f"nothing came for {SILENCE:g} seconds"
        case httpx.TimeoutException():
            return "it does not answer in time"
    return "the connection broke"


def address_of(url: str) -> str:
    """Return a URL without its user, password and query, which may be secrets."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{parts.path}" if parts.scheme and host else "the address"
