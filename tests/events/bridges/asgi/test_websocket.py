"""The ASGI bridge emits one event for each websocket, or for its failed handshake."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketException
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import events
from events import HTTPRequestFinished, WebsocketFinished
from events.bridges.asgi import HTTPEventsMiddleware
from metrics import CATALOGUE, subscribe
from tests.support.asgi_apps import receive_nothing, send_nowhere, with_middleware
from tests.support.asgi_server import running_server
from tests.support.wait import until

Requests = list[HTTPRequestFinished]
Sessions = list[WebsocketFinished]

pytestmark = pytest.mark.slow

SERVERS = pytest.mark.parametrize("server", ["websockets-sansio", "wsproto"])


async def echo(socket: WebSocket) -> None:
    """Send each message back twice, until the client disconnects."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
        await socket.send_bytes(text.encode())


async def closes(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(4001)


async def returns(socket: WebSocket) -> None:
    await socket.accept()


async def breaks(socket: WebSocket) -> None:
    await socket.accept()
    raise LookupError("secret")


async def violates(socket: WebSocket) -> None:
    await socket.accept()
    raise WebSocketException(1008)


async def talks(socket: WebSocket) -> None:
    """Send until the client is gone, and never receive."""
    await socket.accept()
    while True:
        await socket.send_text("tick")
        await asyncio.sleep(0.002)


async def refuses(socket: WebSocket) -> None:
    await socket.close()


async def denies(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("no", status_code=401))


async def fails(socket: WebSocket) -> None:
    raise LookupError("secret")


ENDPOINTS = (echo, closes, returns, breaks, violates, talks, refuses, denies, fails)


def websocket_app() -> FastAPI:
    """Return an application with websockets in every place where FastAPI and Starlette have them."""
    app = FastAPI()
    for endpoint in ENDPOINTS:
        app.websocket(f"/{endpoint.__name__}/{{key}}")(endpoint)
    router = APIRouter(prefix="/routed")
    router.websocket("/echo/{key}")(echo)
    app.include_router(router, prefix="/api")
    app.mount("/star/{name}", Starlette(routes=[WebSocketRoute("/echo/{key}", echo)]))
    return app


def websocket_url(http: str, path: str) -> str:
    return f"ws{http.removeprefix('http')}{path}"


@SERVERS
async def test_a_session_is_emitted_when_the_client_closes_it(
    server: Any, sessions: Sessions, requests: Requests
) -> None:
    """With its template, its messages in both directions and its close code."""
    async with running_server(with_middleware(websocket_app()), ws=server) as http:
        for path in ("/echo/1", "/api/routed/echo/2", "/star/me/echo/3"):
            async with connect(websocket_url(http, path)) as socket:
                for text in ("one", "two"):
                    await socket.send(text)
                    assert [await socket.recv(), await socket.recv()] == [text, text.encode()]
                assert len(sessions) == 0 or sessions[-1].channel != path
        await until(lambda: len(sessions) == 3)
    assert [
        (session.channel, session.close_code, session.received, session.sent, session.error) for session in sessions
    ] == [
        ("/echo/{key}", "1000", 2, 4, ""),
        ("/api/routed/echo/{key}", "1000", 2, 4, ""),
        ("/star/{name}/echo/{key}", "1000", 2, 4, ""),
    ]
    assert not requests


@SERVERS
@pytest.mark.parametrize(
    ("endpoint", "code", "error"),
    [("closes", "4001", ""), ("returns", "1006", ""), ("breaks", "1006", "LookupError"), ("violates", "1008", "")],
)
async def test_a_session_that_the_application_ends_has_its_code(
    *, server: Any, endpoint: str, code: str, error: str, sessions: Sessions
) -> None:
    async with running_server(with_middleware(websocket_app()), ws=server) as http:
        async with connect(websocket_url(http, f"/{endpoint}/1")) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        await until(lambda: sessions)
    assert [(session.channel, session.close_code, session.error) for session in sessions] == [
        (f"/{endpoint}/{{key}}", code, error)
    ]
    assert "secret" not in str(sessions)


@SERVERS
@pytest.mark.parametrize(("sent", "expected"), [(1001, "1001"), (4000, "other"), (4999, "other")])
async def test_a_private_close_code_of_the_client_is_other(
    *, server: Any, sent: int, expected: str, sessions: Sessions
) -> None:
    async with running_server(with_middleware(websocket_app()), ws=server) as http:
        socket = await connect(websocket_url(http, "/echo/1"))
        await socket.close(sent)
        await until(lambda: sessions)
    assert [session.close_code for session in sessions] == [expected]


@SERVERS
async def test_the_close_code_is_found_though_the_application_never_receives(server: Any, sessions: Sessions) -> None:
    """The application only sends, and `send` raises an error without the code."""
    async with running_server(with_middleware(websocket_app()), ws=server) as http:
        socket = await connect(websocket_url(http, "/talks/1"))
        assert await socket.recv() == "tick"
        await socket.close(1001)
        await until(lambda: sessions)
    [session] = sessions
    assert session.close_code == "1001"
    assert session.sent > 0


@SERVERS
async def test_a_connection_that_breaks_is_1006(server: Any, sessions: Sessions) -> None:
    async with running_server(with_middleware(websocket_app()), ws=server) as http:
        socket = await connect(websocket_url(http, "/echo/1"))
        socket.transport.abort()
        await until(lambda: sessions)
    assert [session.close_code for session in sessions] in (["1006"], ["1005"])  # servers differ in what they call it


@SERVERS
@pytest.mark.parametrize(
    ("path", "endpoint", "code", "outcome", "error"),
    [
        ("/refuses/1", "/refuses/{key}", 403, "client_error", ""),
        ("/denies/1", "/denies/{key}", 401, "client_error", ""),
        ("/nothing", "unmatched", 403, "client_error", ""),
        ("/fails/1", "/fails/{key}", 500, "server_error", "LookupError"),
    ],
)
async def test_a_rejected_handshake_is_emitted_as_a_request(
    *,
    server: Any,
    path: str,
    endpoint: str,
    code: int,
    outcome: str,
    error: str,
    sessions: Sessions,
    requests: Requests,
) -> None:
    async with running_server(with_middleware(websocket_app()), ws=server) as http:
        with pytest.raises(InvalidStatus) as rejection:
            await connect(websocket_url(http, path))
        assert rejection.value.response.status_code == code
        await until(lambda: requests)
    assert [
        (request.method, request.endpoint, request.status_code, request.outcome, request.error) for request in requests
    ] == [("GET", endpoint, code, outcome, error)]
    assert not sessions


async def test_a_client_that_does_not_wait_for_the_handshake_is_a_499(sessions: Sessions, requests: Requests) -> None:
    async def impatient() -> Any:
        return {"type": "websocket.disconnect", "code": 1006}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    await HTTPEventsMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, impatient, send_nowhere)
    assert [(request.status_code, request.outcome) for request in requests] == [(499, "client_disconnect")]
    assert not sessions


async def test_a_cancelled_session_emits_an_event_and_stays_cancelled(sessions: Sessions) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()

    task = asyncio.create_task(
        HTTPEventsMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, receive_nothing, send_nowhere)
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(session.close_code, session.error) for session in sessions] == [("1006", "CancelledError")]


async def test_messages_read_in_search_of_the_close_code_still_reach_the_application(sessions: Sessions) -> None:
    """An application whose `send` failed may still receive what came before the disconnect."""
    incoming = [{"type": "websocket.receive", "text": "last"}, {"type": "websocket.disconnect", "code": 1001}]
    received: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0) if incoming else await receive_nothing()

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            raise BrokenPipeError

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        with pytest.raises(BrokenPipeError):
            await send({"type": "websocket.send", "text": "tick"})
        received.extend([await receive(), await receive()])

    await HTTPEventsMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in received] == ["websocket.receive", "websocket.disconnect"]
    assert [(session.close_code, session.received) for session in sessions] == [("1001", 1)]


@SERVERS
async def test_open_sessions_are_in_flight(server: Any, sessions: Sessions) -> None:
    """The rows of the catalogue, fed by real websockets."""
    registry = CollectorRegistry()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"sparklio_{name}", labels)

    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        async with running_server(with_middleware(websocket_app()), ws=server) as http:
            async with connect(websocket_url(http, "/echo/1")) as socket, connect(websocket_url(http, "/echo/2")):
                await socket.send("one")
                await socket.recv()
                assert value("websocket_active_sessions") == 2
                assert value("http_active_requests") == 0
            await until(lambda: len(sessions) == 2)
        assert value("websocket_active_sessions") == 0
        assert value("websocket_sessions_total", channel="/echo/{key}", close_code="1000") == 2
        assert value("websocket_session_duration_seconds_count", channel="/echo/{key}") == 2
        assert value("websocket_messages_total", channel="/echo/{key}", direction="received") == 1
        assert value("websocket_messages_total", channel="/echo/{key}", direction="sent") == 2


@pytest.mark.lenient
async def test_a_failure_inside_the_bridge_never_reaches_a_websocket(sessions: Sessions) -> None:
    async def malformed(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        scope["endpoint"], scope["app_root_path"], scope["root_path"] = malformed, "", None
        await send({"no": "type"})
        assert await receive() == "not a message"
        await send({"type": "websocket.close"})

    async def receive() -> Any:
        return "not a message"

    with events.receiver_failed.captured() as failed:
        await HTTPEventsMiddleware(malformed)({"type": "websocket", "path": "/", "headers": []}, receive, send_nowhere)
    assert [(session.channel, session.close_code) for session in sessions] == [("unknown", "1000")]
    assert {failure.receiver for failure in failed} == {"HTTPEventsMiddleware"}


async def test_the_disconnect_message_reaches_the_application(sessions: Sessions) -> None:
    """The bridge passes it on, so the application learns how its client disconnected."""
    received: list[Any] = []

    async def listens(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await socket.receive_text()
        except WebSocketDisconnect as disconnect:
            received.append(disconnect.code)

    app = Starlette(routes=[Mount("/", routes=[WebSocketRoute("/{key}", listens)])])
    async with running_server(HTTPEventsMiddleware(app), ws="websockets-sansio") as http:
        socket = await connect(websocket_url(http, "/1"))
        await socket.close(1001)
        await until(lambda: received)
    assert received == [1001]
    assert [(session.channel, session.close_code) for session in sessions] == [("/{key}", "1001")]
