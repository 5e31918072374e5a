"""A small application for any server, on asyncio or trio: ``uvicorn tests.support.server_matrix_app:app``.

``METRICS_DIR`` names the folder in which its worker processes share their numbers.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from events.bridges.asgi import HTTPEventsMiddleware, inbox
from metrics import HTTP, Endpoint, Workers, subscribe
from tests.support.asgi_servers import LARGE

inbox.WAIT_SHARE, inbox.MAX_WAIT = 0.2, 0.5  # on a machine that is busy with other tests

registry = CollectorRegistry()
workers = Workers(Path(os.environ["METRICS_DIR"])) if "METRICS_DIR" in os.environ else None
subscribe(HTTP, registry, namespace="acme", workers=workers)


async def plain(request: Request) -> Response:
    return PlainTextResponse("plain")


async def slow(request: Request) -> Response:
    await anyio.sleep(request.path_params["milliseconds"] / 1000)
    return PlainTextResponse("slow")


async def read(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def slow_read(request: Request) -> Response:
    await anyio.sleep(0.1)
    return PlainTextResponse(str(len(await request.body())))


async def slow_unread(request: Request) -> Response:
    await anyio.sleep(0.1)
    return PlainTextResponse("unread")


async def work(request: Request) -> Response:
    """Outlast a client that disconnects, without asking for it."""
    await anyio.sleep(1)
    return PlainTextResponse("too late")


async def large(request: Request) -> Response:
    return Response(LARGE)


async def empty(request: Request) -> Response:
    return Response(status_code=204)


async def broken(request: Request) -> Response:
    raise LookupError("expected")


async def stream(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"chunk"
            await anyio.sleep(0.02)

    return StreamingResponse(chunks())


async def ticks(request: Request) -> Response:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"tick\n"
            await anyio.sleep(0.01)

    return StreamingResponse(endless(), media_type="text/event-stream")


async def broken_stream(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        raise LookupError("expected")

    return StreamingResponse(chunks())


class Extensions:
    """Sends an early hint, pushes ``/pushed`` and ends with trailers, where the server can."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        extensions = scope.get("extensions") or {}
        if "http.response.early_hint" in extensions:
            await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
        trailers = "http.response.trailers" in extensions
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": trailers})
        if "http.response.push" in extensions:
            await send({"type": "http.response.push", "path": "/pushed", "headers": []})
        await send({"type": "http.response.body", "body": b"extended", "more_body": False})
        if trailers:
            await send({"type": "http.response.trailers", "headers": [(b"x-end", b"1")], "more_trailers": False})


async def echo(socket: WebSocket) -> None:
    """Send back what comes, until the client closes or says which code to close with."""
    await socket.accept()
    try:
        while not (text := await socket.receive_text()).isdigit():
            await socket.send_text(text)
        await socket.close(int(text))
    except WebSocketDisconnect:
        pass


async def refuse(socket: WebSocket) -> None:
    await socket.close()


async def deny(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("not yet", status_code=425))


async def broken_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.receive_text()
    raise LookupError("expected")


async def sending_socket(socket: WebSocket) -> None:
    """Send until the client is gone, and never receive."""
    await socket.accept()
    while True:
        await socket.send_text("tick")
        await anyio.sleep(0.01)


async def process(request: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(
    routes=[
        Route("/plain", plain),
        Route("/slow/{milliseconds:int}", slow),
        Route("/read", read, methods=["POST"]),
        Route("/slow-read", slow_read, methods=["POST"]),
        Route("/slow-unread", slow_unread, methods=["GET", "POST"]),
        Route("/work", work, methods=["GET", "POST"]),
        Route("/large", large),
        Route("/empty", empty),
        Route("/broken", broken),
        Route("/stream", stream),
        Route("/ticks", ticks),
        Route("/broken-stream", broken_stream),
        Route("/extensions", Extensions()),
        Route("/pushed", plain),
        Route("/many/{milliseconds:int}", slow),
        Route("/open/{milliseconds:int}", slow),
        Route("/process", process),
        Route("/metrics", Endpoint(registry)),
        WebSocketRoute("/socket/echo", echo),
        WebSocketRoute("/socket/refuse", refuse),
        WebSocketRoute("/socket/deny", deny),
        WebSocketRoute("/socket/broken", broken_socket),
        WebSocketRoute("/socket/sending", sending_socket),
    ],
    middleware=[Middleware(HTTPEventsMiddleware)],
)
