"""Applications with every kind of route that FastAPI and Starlette have, and ways to send requests to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastapi
import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from events.bridges.asgi import HTTPEventsMiddleware

App = Any
HAS_FRONTEND = hasattr(FastAPI, "frontend")
"""Newer versions of FastAPI serve directories of pages by themselves."""

KEEPS_INCLUDED_ROUTES = tuple(map(int, fastapi.__version__.split(".")[:2])) >= (0, 137)
"""Older versions of FastAPI lost mounts, and prefixes of plain routes, of routers that they included."""


async def plain_text(request: Request) -> PlainTextResponse:
    return PlainTextResponse("plain")


async def item(number: int) -> int:
    return number


async def missing() -> None:
    raise HTTPException(404, "there is no such thing")


async def refused() -> None:
    raise HTTPException(418)


async def broken() -> None:
    raise LookupError("secret")


async def slow() -> None:
    raise TimeoutError


async def broken_stream() -> AsyncIterator[bytes]:
    yield b"first"
    raise LookupError("secret")


def starlette_routes() -> list[Any]:
    return [
        Route("/deep/{key}", plain_text),
        Route("/files/{path:path}", plain_text),
        Mount("/more/{name}", routes=[Route("/{number:int}", plain_text)]),
        Mount("/router", Router([Route("/{number}", plain_text)])),
    ]


def app_with_every_route(files: Path) -> FastAPI:
    """Return a FastAPI application with every kind of route that FastAPI and Starlette have."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
    app.get("/items/{number}")(item)
    app.get("/missing/{number}")(missing)
    app.get("/refused")(refused)
    app.get("/broken")(broken)
    app.get("/slow")(slow)
    app.get("/stream")(lambda: StreamingResponse(broken_stream()))
    app.add_route("/plain/{key}", plain_text)
    app.add_route("/also/{key}", plain_text)

    inner = APIRouter()
    inner.get("/thing/{number}")(item)
    inner.add_route("/plain/{key}", plain_text)
    inner.mount("/mount/{who}", Starlette(routes=starlette_routes()))
    outer = APIRouter(prefix="/outer")
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/api")

    sub = FastAPI()
    sub.get("/direct/{number}")(item)
    sub.include_router(inner, prefix="/routed")
    sub.mount("/star", Starlette(routes=starlette_routes()))
    app.mount("/sub", sub)
    app.mount("/t/{tenant}", sub)
    app.mount("/star", Starlette(routes=starlette_routes()))
    app.mount("/files", StaticFiles(directory=files))
    app.host("{tenant}.example", Starlette(routes=[Mount("/hosted", routes=[Route("/{key}", plain_text)])]))
    if HAS_FRONTEND:
        app.frontend("/pages", directory=files)
    return app


def starlette_app_with_every_route(files: Path) -> Starlette:
    """Return a Starlette application with every kind of route that Starlette has, and mounted FastAPI ones."""
    sub = FastAPI()
    sub.get("/direct/{number}")(item)
    routes = [
        *starlette_routes(),
        Mount("/sub", sub),
        Mount("/t/{tenant}", Starlette(routes=starlette_routes())),
        Mount("/static", StaticFiles(directory=files)),
        Host("{tenant}.example", Router([Route("/hosted/{key}", plain_text)])),
        Mount("", routes=[Route("/last/{key}", plain_text)]),
    ]
    return Starlette(routes=routes)


def with_middleware(app: App) -> App:
    """Add the bridge to an application as a middleware of the framework."""
    app.add_middleware(HTTPEventsMiddleware)
    return app


EITHER_INSTALLATION = pytest.mark.parametrize("install", [with_middleware, HTTPEventsMiddleware])


def client_for(app: App, root_path: str = "", **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://test", **options)


async def endless_ticks() -> AsyncIterator[bytes]:
    while True:
        yield b"tick\n"
        await asyncio.sleep(0.005)


async def request_and_disconnect(address: str, request: str, *, wait_for: bytes) -> None:
    """Send a request over a socket, wait for the bytes ``wait_for`` of the response, then disconnect."""
    url = httpx.URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request.replace("\n", "\r\n").encode())
    await writer.drain()
    if wait_for:
        await reader.readuntil(wait_for)
    writer.close()
    await writer.wait_closed()


async def forward(request: Request, call_next: Any) -> Any:
    return await call_next(request)


async def minimal_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


async def receive_nothing() -> Any:
    return await asyncio.Event().wait()


async def send_nowhere(message: Any) -> None:
    pass


async def serve_get(app: App) -> None:
    """Call an application, inside the middleware, with a GET request of which nothing is received."""
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await HTTPEventsMiddleware(app)(scope, receive_nothing, send_nowhere)
