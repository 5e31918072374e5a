"""The ASGI bridge notices a client that disconnects before it has the whole response."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from events import HTTPRequestFinished
from events.bridges.asgi import HTTPEventsMiddleware, disconnects
from tests.support.asgi_apps import (
    EITHER_INSTALLATION,
    App,
    endless_ticks,
    forward,
    minimal_app,
    receive_nothing,
    request_and_disconnect,
    send_nowhere,
    with_middleware,
)
from tests.support.asgi_server import running_server
from tests.support.wait import until

Requests = list[HTTPRequestFinished]


async def test_a_server_whose_send_raises_oserror_reports_a_disconnect(requests: Requests) -> None:
    """ASGI 2.4: `send` raises OSError once the client has disconnected."""

    async def broken_send(message: Any) -> None:
        raise BrokenPipeError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.4"}}
    app = Starlette(routes=[Route("/", lambda _: StreamingResponse(endless_ticks()))])
    with pytest.raises((ClientDisconnect, ExceptionGroup)):  # older versions of Starlette let the group through
        await HTTPEventsMiddleware(app)(scope, receive_nothing, broken_send)
    [request] = requests
    assert (request.status_code, request.outcome) == (499, "client_disconnect")
    assert request.error in ("ClientDisconnect", "BrokenPipeError")


@pytest.mark.slow
@EITHER_INSTALLATION
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_client_that_disconnects_during_the_body_is_a_499(
    install: Any, wrapped: bool, requests: Requests
) -> None:
    """Also behind a BaseHTTPMiddleware, which hides the disconnect from the route."""
    app = FastAPI()
    app.get("/ticks")(lambda: StreamingResponse(endless_ticks()))
    if wrapped:
        app.add_middleware(BaseHTTPMiddleware, dispatch=forward)
    async with running_server(install(app)) as address:
        await request_and_disconnect(address, "GET /ticks HTTP/1.1\nHost: x\n\n", wait_for=b"tick")
        await until(lambda: requests)
    assert [(request.status_code, request.endpoint, request.outcome) for request in requests] == [
        (499, "/ticks", "client_disconnect")
    ]
    assert requests[0].first_byte is not None
    assert requests[0].streamed


def app_that_outlasts_its_client(*, body_is_read: bool, hidden: bool) -> App:
    """Return an application that works until its client has disconnected, and never calls `receive` to learn of it.

    Where uvicorn is ``hidden``, another middleware has wrapped its `receive`.
    """
    app = FastAPI()

    @app.api_route("/work", methods=["GET", "POST"])
    async def work(request: Request) -> str:
        if body_is_read:
            await request.body()
        cycle = request.scope["cycle"]
        await until(lambda: cycle.disconnected)
        return "too late"

    bridged = with_middleware(app)

    async def with_cycle(scope: Any, receive: Any, send: Any) -> None:
        scope["cycle"] = receive.__self__  # uvicorn's state of this request

        async def wrapped() -> Any:
            return await receive()

        await bridged(scope, wrapped if hidden else receive, send)

    return with_cycle


@pytest.mark.slow
@pytest.mark.parametrize("checks", [True, False])
@pytest.mark.parametrize("body_is_read", [True, False])
@pytest.mark.parametrize("request_text", ["GET /work HTTP/1.1\nHost: x\n\n",
                                          "POST /work HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc"])  # fmt: skip
async def test_a_client_that_disconnects_before_the_response_is_a_499(
    *, request_text: str, body_is_read: bool, checks: bool, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application does not notice and responds with 200.

    uvicorn knows, however fast the response was and whether or not the body was read. Other servers, and uvicorn behind
    a middleware that wraps `receive`, are checked where the response took long enough.
    """
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0 if checks else 5.0)
    async with running_server(app_that_outlasts_its_client(body_is_read=body_is_read, hidden=checks)) as address:
        await request_and_disconnect(address, request_text, wait_for=b"")
        await until(lambda: requests)
    assert [(request.status_code, request.endpoint, request.outcome) for request in requests] == [
        (499, "/work", "client_disconnect")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "order", [[HTTPEventsMiddleware, BaseHTTPMiddleware], [BaseHTTPMiddleware, HTTPEventsMiddleware]]
)
async def test_checking_for_a_disconnect_changes_no_response(
    order: list[Any], requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow responses of every kind, many at once on few connections, arrive complete and have their own status."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)
    app = FastAPI()

    @app.api_route("/read", methods=["GET", "POST"])
    async def read(request: Request) -> str:
        return (await request.body()).decode()

    @app.api_route("/unread", methods=["GET", "POST"])
    async def unread() -> str:
        return "unread"

    @app.post("/stream")
    async def stream(request: Request) -> StreamingResponse:
        body = await request.body()
        return StreamingResponse(iter([body[:1000], body[1000:]]))

    for middleware in order:
        app.add_middleware(middleware, **({"dispatch": forward} if middleware is BaseHTTPMiddleware else {}))
    limits = httpx.Limits(max_connections=4)
    async with running_server(app) as address, httpx.AsyncClient(base_url=address, limits=limits) as client:
        body = "x" * 300_000
        responses = await asyncio.gather(
            *(client.post("/read", content=body) for _ in range(10)),
            *(client.get("/read") for _ in range(10)),
            *(client.get("/unread") for _ in range(10)),
            *(client.post("/unread", content="x") for _ in range(10)),
            *(client.post("/stream", content=body) for _ in range(10)),
        )
    assert [len(response.content) for response in responses] == [300_002] * 10 + [2] * 10 + [8] * 20 + [300_000] * 10
    assert [(request.status_code, request.error) for request in requests] == [(200, "")] * 50


async def test_messages_read_by_a_check_still_reach_the_application(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check receives the body of a request that was not read; an application that reads it later still gets it."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)
    messages = [{"type": "http.request", "body": b"", "more_body": False}]
    read: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await minimal_app(scope, receive, send)
        read.append(await receive())

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await HTTPEventsMiddleware(late)(scope, receive, send_nowhere)
    assert read == [{"type": "http.request", "body": b"", "more_body": False}]
    assert [request.status_code for request in requests] == [200]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"65537")],
        [(b"transfer-encoding", b"chunked")],
        [(b"content-length", b"3"), (b"expect", b"100-continue")],
    ],
)
async def test_a_check_does_not_fetch_a_large_or_awaited_body(
    headers: Any, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would bring a large body into memory, or make the server send 100 Continue for one that waits."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)

    async def receive() -> Any:
        pytest.fail("the body was fetched")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    await HTTPEventsMiddleware(minimal_app)(scope, receive, send_nowhere)
    assert [request.outcome for request in requests] == ["ok"]


@pytest.mark.slow
async def test_a_client_that_expects_100_continue_gets_the_response_alone(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without the bridge: the response comes at once, and no 100 before it."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)
    app = FastAPI()
    app.post("/unread")(lambda: "unread")
    async with running_server(with_middleware(app)) as address:
        url = httpx.URL(address)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
    assert [(request.status_code, request.request_size) for request in requests] == [(200, 3)]
