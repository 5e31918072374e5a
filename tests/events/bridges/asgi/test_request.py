"""The ASGI bridge measures the durations and sizes of requests, and emits before the client has the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

import events
from events import HTTPRequestFinished
from events.bridges.asgi import read_in_flight
from metrics import CATALOGUE, subscribe
from tests.support.asgi_apps import (
    EITHER_INSTALLATION,
    app_with_every_route,
    forward,
    serve_get,
    with_middleware,
)
from tests.support.asgi_server import running_server
from tests.support.wait import until

Requests = list[HTTPRequestFinished]


@pytest.mark.slow
@EITHER_INSTALLATION
async def test_the_event_is_emitted_before_the_client_has_the_response(
    install: Any, files: Path, requests: Requests
) -> None:
    """A client that reads its response and then the metrics sees its own request: every time, on one connection."""
    async with (
        running_server(install(app_with_every_route(files))) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        for number in range(1, 51):
            await client.get("/items/1")
            assert len(requests) == number
        await client.get("/broken")
        assert requests[-1].status_code == 500


@pytest.mark.slow
async def test_background_tasks_are_not_in_the_duration(requests: Requests) -> None:
    is_answered, done = asyncio.Event(), asyncio.Event()

    async def later() -> None:
        await is_answered.wait()
        done.set()

    async def respond(request: Request) -> PlainTextResponse:
        return PlainTextResponse("now", background=BackgroundTask(later))

    app = with_middleware(Starlette(routes=[Route("/", respond)]))
    async with running_server(app) as address, httpx.AsyncClient() as client:
        await client.get(address)
        assert [request.status_code for request in requests] == [200]
        assert not done.is_set()
        is_answered.set()
        await until(done.is_set)
    assert len(requests) == 1


@pytest.mark.slow
async def test_a_stream_lasts_until_its_last_chunk_and_has_its_first_byte_before(requests: Requests) -> None:
    released = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b""
        yield b"first"
        await released.wait()
        yield b"last"

    app = with_middleware(Starlette(routes=[Route("/", lambda _: StreamingResponse(body()))]))
    sent_at = perf_counter()
    async with running_server(app) as address, httpx.AsyncClient() as client, client.stream("GET", address) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        first_chunk_at = perf_counter()
        assert not requests
        await until(lambda: perf_counter() - first_chunk_at > 0.05)
        released.set()
        assert [chunk async for chunk in chunks] == [b"last"]
    [request] = requests
    assert (request.status_code, request.error, request.outcome, request.streamed) == (200, "", "ok", True)
    assert request.first_byte is not None
    assert request.first_byte < first_chunk_at - sent_at
    assert request.duration > request.first_byte + 0.05
    assert request.response_size == len(b"firstlast")


@pytest.mark.slow
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_response_with_a_content_length_is_not_streamed(
    wrapped: bool, tmp_path: Path, requests: Requests
) -> None:
    """However many messages it takes: a file, and what a BaseHTTPMiddleware cuts into chunks.

    A client with as many bytes as announced has the whole response: the event comes before an empty last chunk.
    """
    size = 300_000
    (tmp_path / "file").write_bytes(b"x" * size)
    routes: list[Any] = [
        Route("/file", lambda _: FileResponse(tmp_path / "file")),
        Route("/text", lambda _: PlainTextResponse("x" * size)),
        Route("/empty", lambda _: Response(status_code=204)),
        Route("/moved", lambda _: RedirectResponse("/text")),
    ]
    app = Starlette(routes=routes)
    if wrapped:
        app.add_middleware(BaseHTTPMiddleware, dispatch=forward)
    async with running_server(with_middleware(app)) as address, httpx.AsyncClient(base_url=address) as client:
        for number, path in enumerate(("/file", "/text", "/empty", "/moved") * 5, start=1):
            await client.get(path)
            assert len(requests) == number
        await client.head("/text")
    assert [(request.streamed, request.response_size) for request in requests] == [
        *[(False, size), (False, size), (False, 0), (False, 0)] * 5,
        (False, 0),
    ]
    assert all(request.first_byte is not None and request.first_byte <= request.duration for request in requests)


async def chunked_body() -> AsyncIterator[bytes]:
    yield b"a" * 1000
    yield b"b" * 500


@pytest.mark.slow
async def test_the_size_of_a_request_is_as_read_or_as_announced(requests: Requests) -> None:
    """A chunked body that was not read may be of any size."""
    app = FastAPI()

    @app.api_route("/read", methods=["GET", "POST"])
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.api_route("/unread", methods=["GET", "POST"])
    async def unread() -> int:
        return 0

    async with running_server(with_middleware(app)) as address, httpx.AsyncClient(base_url=address) as client:
        for path in ("/read", "/unread"):
            await client.get(path)
            await client.post(path, content=b"x" * 1500)
            await client.post(path, content=chunked_body())
    assert [request.request_size for request in requests] == [0, 1500, 1500, 0, 1500, None]


@pytest.mark.slow
async def test_the_size_of_a_response_is_that_of_the_bytes_sent(requests: Requests) -> None:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("x" * 100_000))])
    app.add_middleware(GZipMiddleware)
    async with running_server(with_middleware(app)) as address, httpx.AsyncClient(base_url=address) as client:
        compressed = await client.get("/")
        await client.get("/", headers={"Accept-Encoding": "identity"})
    assert [request.response_size for request in requests] == [int(compressed.headers["content-length"]), 100_000]


async def test_a_file_that_the_server_sends_has_the_announced_size(requests: Requests) -> None:
    """ASGI's extensions `http.response.pathsend` and `http.response.zerocopysend`."""
    for kind, announced in product(("pathsend", "zerocopysend"), ([(b"content-length", b"12345")], [])):

        async def app(scope: Any, receive: Any, send: Any, kind: str = kind, announced: Any = announced) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": announced})
            await send({"type": f"http.response.{kind}", "path": "/somewhere"})

        await serve_get(app)
    assert [(request.outcome, request.response_size) for request in requests] == [("ok", 12345), ("ok", None)] * 2


@pytest.mark.slow
async def test_requests_are_in_flight_until_their_response_ends(requests: Requests) -> None:
    """A request that waits and a response that streams are; a background task is not."""
    released, finished = asyncio.Event(), asyncio.Event()

    async def waits(request: Request) -> PlainTextResponse:
        await released.wait()
        return PlainTextResponse("", background=BackgroundTask(finished.wait))

    async def stream() -> AsyncIterator[bytes]:
        yield b"first"
        await released.wait()

    def open_requests() -> int:
        with events.http_activity_read.captured() as read:
            read_in_flight()
        return read[0].requests

    app = with_middleware(
        Starlette(routes=[Route("/", waits), Route("/stream", lambda _: StreamingResponse(stream()))])
    )
    assert open_requests() == 0
    async with running_server(app) as address, httpx.AsyncClient(base_url=address) as client:
        sending = [asyncio.create_task(client.get(path)) for path in ("/", "/stream", "/")]
        await until(lambda: open_requests() == 3)
        released.set()
        await asyncio.gather(*sending)
        assert open_requests() == 0
        assert len(requests) == 3
        finished.set()


@pytest.mark.slow
async def test_requests_reach_the_catalogue_and_streams_have_their_own_families(requests: Requests) -> None:
    """The rows of the catalogue, fed by real requests through a real server."""
    app = FastAPI()
    app.get("/plain")(lambda: "here")
    app.get("/stream")(lambda: StreamingResponse(chunked_body()))
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        async with running_server(with_middleware(app)) as address, httpx.AsyncClient(base_url=address) as client:
            for path in ("/plain", "/stream", "/stream", "/nothing"):
                await client.get(path)

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"sparklio_http_{name}", labels)

        assert value("request_duration_seconds_count", method="GET", endpoint="/plain") == 1
        assert value("request_duration_seconds_count", method="GET", endpoint="/stream") in (None, 0)
        assert value("stream_duration_seconds_count", endpoint="/plain") in (None, 0)
        assert value("stream_duration_seconds_count", endpoint="/stream") == 2
        assert value("time_to_first_byte_seconds_count", endpoint="/plain") == 1
        assert value("time_to_first_byte_seconds_count", endpoint="/stream") == 2
        assert value("request_outcomes_total", endpoint="/plain", outcome="ok") == 1
        assert value("request_outcomes_total", endpoint="/plain", outcome="stream_aborted") == 0
        assert value("request_outcomes_total", endpoint="unmatched", outcome="client_error") == 1
        assert value("request_body_size_bytes_bucket", le="0.0") == 4
        assert value("response_body_size_bytes_count") == 4
        assert value("active_requests") == 0
