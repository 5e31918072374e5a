"""A request between an application and a server that are both in the test: each message, on a clock of the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from events import HTTPRequestFinished
from events.bridges.asgi import HTTPEventsMiddleware, disconnects, open_requests, request
from events.bridges.asgi.disconnects import (
    MAX_PREFETCH_BYTES,
    client_disconnected,
    may_prefetch_body,
)
from events.bridges.asgi.message_bodies import unread_body_size
from events.bridges.asgi.outcomes import outcome_of_status
from tests.support.asgi_apps import receive_nothing


def test_so_much_of_a_body_is_read_ahead_as_the_server_holds() -> None:
    assert MAX_PREFETCH_BYTES == HIGH_WATER_LIMIT


Requests = list[HTTPRequestFinished]

START = {"type": "http.response.start", "status": 200, "headers": []}
LAST = {"type": "http.response.body", "body": b"last"}
CHUNK = {"type": "http.response.body", "body": b"chunk", "more_body": True}
EMPTY = {"type": "http.response.body", "body": b"", "more_body": True}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that stands still until its only item is changed."""
    now = [1000.0]
    monkeypatch.setattr(request, "perf_counter", lambda: now[0])
    return now


def start(status: int = 200, length: int | None = None) -> dict[str, Any]:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": status, "headers": headers}


async def serve(
    app: Callable[[Any, Any], Awaitable[None]], *incoming: Any, method: str = "GET", **changed: Any
) -> list[Any]:
    """Call an application inside the middleware; return what reached the server."""
    waiting, sent = list(incoming), []

    async def receive() -> Any:
        return waiting.pop(0) if waiting else await receive_nothing()

    async def send(message: Any) -> None:
        sent.append(message)

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        await app(receive, send)

    scope = {"type": "http", "method": method, "path": "/", "headers": [], "http_version": "1.1", **changed}
    await HTTPEventsMiddleware(application)(scope, receive, send)
    return sent


async def test_a_response_lasts_until_its_last_chunk(clock: list[float], requests: Requests) -> None:
    """What the application does after that is not the client's waiting time."""

    async def app(_receive: Any, send: Any) -> None:
        for message in (START, EMPTY, CHUNK, CHUNK, LAST):
            clock[0] += 0.01
            await send(message)
        clock[0] += 100

    await serve(app)
    [event] = requests
    assert event.duration == pytest.approx(0.05)
    assert event.first_byte == pytest.approx(0.03)
    assert (event.streamed, event.response_size, event.outcome, event.error) == (True, 14, "ok", "")


async def test_a_response_in_one_piece_has_its_first_byte_at_its_end(clock: list[float], requests: Requests) -> None:
    async def app(_receive: Any, send: Any) -> None:
        clock[0] += 0.02
        await send(START)
        await send(LAST)

    await serve(app)
    [event] = requests
    assert event.first_byte == pytest.approx(0.02)
    assert (event.streamed, event.response_size) == (False, 4)


@pytest.mark.parametrize(
    ("messages", "method", "ends_with"),
    [
        ([start(length=10), CHUNK, CHUNK], "GET", 3),
        ([start(length=11), CHUNK, CHUNK, LAST], "GET", 4),
        ([start(length=9), CHUNK, CHUNK], "GET", 3),
        ([start(length=0)], "GET", 1),
        ([start(204)], "GET", 1),
        ([start(304)], "GET", 1),
        ([start(length=10)], "HEAD", 1),
        ([start(205), LAST], "GET", 2),
        ([START, {"type": "http.response.pathsend", "path": "/x"}], "GET", 2),
        ([START, {"type": "http.response.zerocopysend", "more_body": True},
          {"type": "http.response.zerocopysend"}], "GET", 3),
    ],
)  # fmt: skip
async def test_a_response_ends_with_the_message_that_completes_it(
    messages: list[Any], method: str, ends_with: int, requests: Requests
) -> None:
    ended: list[int] = []

    async def app(_receive: Any, send: Any) -> None:
        for number, message in enumerate(messages, 1):
            await send(message)
            if requests and not ended:
                ended.append(number)

    assert await serve(app, method=method) == messages
    assert ended == [ends_with]
    assert [(each.outcome, each.error) for each in requests] == [("ok", "")]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (399, "ok"), (400, "client_error"), (499, "client_error"), (500, "server_error")],
)
async def test_the_outcome_of_a_whole_response_is_that_of_its_status(
    status: int, outcome: str, requests: Requests
) -> None:
    async def app(_receive: Any, send: Any) -> None:
        await send(start(status))
        await send(LAST)

    await serve(app)
    assert [(each.status_code, each.outcome) for each in requests] == [(status, outcome)]
    assert outcome_of_status(status) == outcome


BODY = {"type": "http.request", "body": b"12345", "more_body": False}
PART = {"type": "http.request", "body": b"123", "more_body": True}
GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("incoming", "headers", "size"),
    [
        ([BODY], [], 5),
        ([PART, BODY], [], 8),
        ([PART], [], 3),
        ([PART], [(b"content-length", b"100")], 100),
        ([PART], [(b"transfer-encoding", b"chunked")], None),
        ([BODY], [(b"content-length", b"100")], 5),
        ([{"type": "http.request", "body": b"12"}], [(b"content-length", b"100")], 2),
        ([{"type": "http.request"}], [(b"content-length", b"100")], 0),
    ],
)
async def test_the_size_of_a_request_is_what_was_read_or_is_announced(
    incoming: list[Any], headers: Any, size: int | None, requests: Requests
) -> None:
    async def app(receive: Any, send: Any) -> None:
        for _ in incoming:
            await receive()
        await send(START)
        await send(LAST)

    await serve(app, *incoming, headers=headers)
    assert [each.request_size for each in requests] == [size]


@pytest.mark.parametrize(
    ("headers", "version", "size"),
    [
        ([], "1.1", 3),
        ([], "1.0", 3),
        ([], "2", None),
        ([(b"content-length", b"7")], "2", 7),
        ([(b"content-length", b"-7")], "1.1", None),
        ([(b"host", b"a"), (b"transfer-encoding", b"chunked")], "1.1", None),
    ],
)
def test_an_unread_body_has_the_size_that_is_announced(headers: Any, version: str, size: int | None) -> None:
    assert unread_body_size({"headers": headers, "http_version": version}, 3) == size


@pytest.mark.parametrize(
    ("elapsed", "outcome", "code"),
    [(0.5, "ok", 200), (0.75, "client_disconnect", 499)],
)
async def test_a_response_that_took_long_is_checked_for_its_client(
    *,
    elapsed: float,
    outcome: str,
    code: int,
    clock: list[float],
    requests: Requests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which says so only to an application that receives."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.5)

    async def app(receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        clock[0] += elapsed
        await send(LAST)
        if outcome == "client_disconnect":
            assert await receive() == GONE  # it is still the application's

    sent = await serve(app, BODY, GONE)
    assert [(each.outcome, each.status_code) for each in requests] == [(outcome, code)]
    assert sent == [START, LAST]


@pytest.mark.parametrize(("receives", "expected"), [(True, 2), (False, 3)])
async def test_a_check_receives_nothing_beside_the_application_nor_after_the_disconnect(
    receives: bool, expected: int, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that receive at once, the server would give the disconnect to one alone."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.5)
    messages, received = [BODY, GONE, GONE, GONE], 0

    async def receive() -> Any:
        nonlocal received
        received += 1
        return messages.pop(0) if not receives or received == 1 else await receive_nothing()

    async def send(_message: Any) -> None: ...

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        receiving = asyncio.create_task(receive()) if receives else None
        await asyncio.sleep(0)
        await send(START)
        clock[0] += 1.0
        await send(LAST)
        if receiving is not None:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        else:
            assert [await receive(), await receive()] == [GONE, GONE]

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "http_version": "1.1"}
    await HTTPEventsMiddleware(application)(scope, receive, send)
    assert received == expected


async def test_an_open_request_is_one_until_its_response_ends() -> None:
    before = len(open_requests.requests)

    async def app(_receive: Any, send: Any) -> None:
        await send(START)
        assert len(open_requests.requests) == before + 1
        await send(LAST)
        assert len(open_requests.requests) == before

    await serve(app)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ([], True),
        ([(b"content-length", str(MAX_PREFETCH_BYTES).encode())], True),
        ([(b"content-length", str(MAX_PREFETCH_BYTES + 1).encode())], False),
        ([(b"transfer-encoding", b"chunked")], False),
        ([(b"expect", b"100-continue")], False),
    ],
)
def test_only_a_small_body_that_is_announced_is_read_ahead(headers: Any, allowed: bool) -> None:
    assert may_prefetch_body({"headers": headers}) is allowed


def test_a_server_that_says_nothing_of_its_client_has_one() -> None:
    class Uvicorn:
        disconnected: Any = False

    server = Uvicorn()
    assert not client_disconnected(server)
    server.disconnected = True
    assert client_disconnected(server)
    server.disconnected = "yes"
    assert not client_disconnected(server)
    assert not client_disconnected(None)


@pytest.mark.parametrize(
    ("asgi", "raises"),
    [
        ({"spec_version": "2.3"}, False),
        ({"spec_version": "2.4"}, True),
        ({"spec_version": "2.5"}, True),
        ({}, True),
        (None, True),
    ],
)
async def test_a_send_that_raises_is_a_disconnect_since_asgi_2_4(
    requests: list[HTTPRequestFinished], asgi: dict[str, str] | None, raises: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(OSError):
            await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        raise OSError("the client is gone")

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": asgi}
    await HTTPEventsMiddleware(app)(scope, receive_nothing, send)
    [request] = requests
    assert request.outcome == ("client_disconnect" if raises else "stream_aborted")
