"""The ASGI bridge tells a websocket as the session that it was."""

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
from events.bridges.asgi import HTTPEventsMiddleware, read_in_flight
from metrics import CATALOGUE, subscribe
from tests.support.asgi_apps import ignore, inside, nothing
from tests.support.asgi_server import running_server
from tests.support.wait import until

Told = list[HTTPRequestFinished]
Sessions = list[WebsocketFinished]

pytestmark = pytest.mark.slow

SERVERS = pytest.mark.parametrize("server", ["websockets-sansio", "wsproto"])


async def echo(socket: WebSocket) -> None:
    """Answer everything twice, until the client leaves."""
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
    """Send until the client is gone, never listening."""
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


def live() -> FastAPI:
    """Make an application with websockets in every place where FastAPI and Starlette have them."""
    app = FastAPI()
    for endpoint in ENDPOINTS:
        app.websocket(f"/{endpoint.__name__}/{{key}}")(endpoint)
    router = APIRouter(prefix="/routed")
    router.websocket("/echo/{key}")(echo)
    app.include_router(router, prefix="/api")
    app.mount("/star/{name}", Starlette(routes=[WebSocketRoute("/echo/{key}", echo)]))
    return app


def address_of(http: str, path: str) -> str:
    return f"ws{http.removeprefix('http')}{path}"


@SERVERS
async def test_a_session_is_told_when_the_client_closes_it(server: Any, sessions: Sessions, told: Told) -> None:
    """With its template, its messages in both directions and the code that it was closed with."""
    async with running_server(inside(live()), ws=server) as http:
        for path in ("/echo/1", "/api/routed/echo/2", "/star/me/echo/3"):
            async with connect(address_of(http, path)) as socket:
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
    assert not told


@SERVERS
@pytest.mark.parametrize(
    ("endpoint", "code", "error"),
    [("closes", "4001", ""), ("returns", "1006", ""), ("breaks", "1006", "LookupError"), ("violates", "1008", "")],
)
async def test_a_session_that_the_application_ends_has_its_code(
    *, server: Any, endpoint: str, code: str, error: str, sessions: Sessions
) -> None:
    async with running_server(inside(live()), ws=server) as http:
        async with connect(address_of(http, f"/{endpoint}/1")) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        await until(lambda: sessions)
    assert [(session.channel, session.close_code, session.error) for session in sessions] == [
        (f"/{endpoint}/{{key}}", code, error)
    ]
    assert "secret" not in str(sessions)


@SERVERS
@pytest.mark.parametrize(("sent", "told_as"), [(1001, "1001"), (4000, "other"), (4999, "other")])
async def test_a_code_that_the_client_made_up_makes_no_series(
    *, server: Any, sent: int, told_as: str, sessions: Sessions
) -> None:
    async with running_server(inside(live()), ws=server) as http:
        socket = await connect(address_of(http, "/echo/1"))
        await socket.close(sent)
        await until(lambda: sessions)
    assert [session.close_code for session in sessions] == [told_as]


@SERVERS
async def test_who_never_listens_is_still_told_why_the_client_left(server: Any, sessions: Sessions) -> None:
    """The application only sends, and the server says no more than that nobody is there."""
    async with running_server(inside(live()), ws=server) as http:
        socket = await connect(address_of(http, "/talks/1"))
        assert await socket.recv() == "tick"
        await socket.close(1001)
        await until(lambda: sessions)
    [session] = sessions
    assert session.close_code == "1001"
    assert session.sent > 0


@SERVERS
async def test_a_connection_that_breaks_is_1006(server: Any, sessions: Sessions) -> None:
    async with running_server(inside(live()), ws=server) as http:
        socket = await connect(address_of(http, "/echo/1"))
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
async def test_a_refused_handshake_is_an_answered_request(
    *, server: Any, path: str, endpoint: str, code: int, outcome: str, error: str, sessions: Sessions, told: Told
) -> None:
    async with running_server(inside(live()), ws=server) as http:
        with pytest.raises(InvalidStatus) as refused:
            await connect(address_of(http, path))
        assert refused.value.response.status_code == code
        await until(lambda: told)
    assert [
        (request.method, request.endpoint, request.status_code, request.outcome, request.error) for request in told
    ] == [("GET", endpoint, code, outcome, error)]
    assert not sessions


async def test_a_client_that_does_not_wait_for_the_handshake_is_a_499(sessions: Sessions, told: Told) -> None:
    async def impatient() -> Any:
        return {"type": "websocket.disconnect", "code": 1006}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    await HTTPEventsMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, impatient, ignore)
    assert [(request.status_code, request.outcome) for request in told] == [(499, "client_disconnect")]
    assert not sessions


async def test_a_cancelled_session_is_told_and_stays_cancelled(sessions: Sessions) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()

    task = asyncio.create_task(
        HTTPEventsMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, nothing, ignore)
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(session.close_code, session.error) for session in sessions] == [("1006", "CancelledError")]


async def test_what_was_read_in_search_of_the_code_is_handed_on(sessions: Sessions) -> None:
    """An application that learns from a failed send that nobody is there may still listen to what was said before."""
    said = [{"type": "websocket.receive", "text": "last"}, {"type": "websocket.disconnect", "code": 1001}]
    heard: list[Any] = []

    async def receive() -> Any:
        return said.pop(0) if said else await nothing()

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            raise BrokenPipeError

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        with pytest.raises(BrokenPipeError):
            await send({"type": "websocket.send", "text": "tick"})
        heard.extend([await receive(), await receive()])

    await HTTPEventsMiddleware(app)({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in heard] == ["websocket.receive", "websocket.disconnect"]
    assert [(session.close_code, session.received) for session in sessions] == [("1001", 1)]


@SERVERS
async def test_open_sessions_are_counted(server: Any, sessions: Sessions) -> None:
    """The rows of the catalogue, fed by real websockets."""
    registry = CollectorRegistry()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"sparklio_{name}", labels)

    with subscribe(CATALOGUE, registry, namespace="sparklio") as subscription:
        subscription.poll(read_in_flight)
        async with running_server(inside(live()), ws=server) as http:
            async with connect(address_of(http, "/echo/1")) as socket, connect(address_of(http, "/echo/2")):
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
    async def odd(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        scope["endpoint"], scope["app_root_path"], scope["root_path"] = odd, "", None
        await send({"no": "type"})
        assert await receive() == "nothing that a server says"
        await send({"type": "websocket.close"})

    async def receive() -> Any:
        return "nothing that a server says"

    with events.receiver_failed.captured() as failed:
        await HTTPEventsMiddleware(odd)({"type": "websocket", "path": "/", "headers": []}, receive, ignore)
    assert [(session.channel, session.close_code) for session in sessions] == [("unknown", "1000")]
    assert {failure.receiver for failure in failed} == {"HTTPEventsMiddleware"}


async def test_the_message_of_a_disconnect_reaches_the_application(sessions: Sessions) -> None:
    """What the bridge notes it does not keep: the application learns how its client left."""
    heard: list[Any] = []

    async def listens(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await socket.receive_text()
        except WebSocketDisconnect as left:
            heard.append(left.code)

    app = Starlette(routes=[Mount("/", routes=[WebSocketRoute("/{key}", listens)])])
    async with running_server(HTTPEventsMiddleware(app), ws="websockets-sansio") as http:
        socket = await connect(address_of(http, "/1"))
        await socket.close(1001)
        await until(lambda: heard)
    assert heard == [1001]
    assert [(session.channel, session.close_code) for session in sessions] == [("/{key}", "1001")]
