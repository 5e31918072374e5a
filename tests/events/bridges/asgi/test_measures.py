"""The ASGI bridge measures times and sizes, and tells them in time."""

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
from events.bridges.asgi import HTTPEventsMiddleware, read_in_flight
from metrics import CATALOGUE, subscribe
from tests.support.asgi_apps import BOTH_WAYS, ignore, inside, nothing, pass_on, studio
from tests.support.asgi_server import running_server
from tests.support.wait import until

Told = list[HTTPRequestFinished]


@pytest.mark.slow
@BOTH_WAYS
async def test_who_has_an_answer_finds_it_told(use: Any, files: Path, told: Told) -> None:
    """A client that reads its answer and then the metrics sees its own request: every time, on one connection."""
    async with running_server(use(studio(files))) as address, httpx.AsyncClient(base_url=address) as client:
        for number in range(1, 51):
            await client.get("/items/1")
            assert len(told) == number
        await client.get("/broken")
        assert told[-1].status_code == 500


@pytest.mark.slow
async def test_background_tasks_are_not_latency(told: Told) -> None:
    done = asyncio.Event()

    async def later() -> None:
        await asyncio.sleep(0.2)
        done.set()

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("now", background=BackgroundTask(later))

    app = inside(Starlette(routes=[Route("/", answer)]))
    async with running_server(app) as address, httpx.AsyncClient() as client:
        await client.get(address)
        assert [request.status_code for request in told] == [200]
        assert not done.is_set()
        await until(done.is_set)
    assert len(told) == 1
    assert told[0].duration < 0.2


@pytest.mark.slow
async def test_a_stream_lasts_until_its_last_chunk_and_answers_at_its_first(told: Told) -> None:
    released = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b""
        yield b"first"
        await released.wait()
        yield b"last"

    app = inside(Starlette(routes=[Route("/", lambda _: StreamingResponse(body()))]))
    asked = perf_counter()
    async with running_server(app) as address, httpx.AsyncClient() as client, client.stream("GET", address) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        answered = perf_counter()
        assert not told
        await until(lambda: perf_counter() - answered > 0.05)
        released.set()
        assert [chunk async for chunk in chunks] == [b"last"]
    [request] = told
    assert (request.status_code, request.error, request.outcome, request.streamed) == (200, "", "ok", True)
    assert request.first_byte is not None
    assert request.first_byte < answered - asked
    assert request.duration > request.first_byte + 0.05
    assert request.response_size == len(b"firstlast")


@pytest.mark.slow
@pytest.mark.parametrize("wrapped", [False, True])
async def test_an_answer_of_announced_length_is_no_stream(wrapped: bool, tmp_path: Path, told: Told) -> None:
    """However many messages bring it: a file, and what a BaseHTTPMiddleware cuts into pieces.

    Who has got as much as was announced has the whole answer: it is told by then, though an empty end follows.
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
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    async with running_server(inside(app)) as address, httpx.AsyncClient(base_url=address) as client:
        for number, path in enumerate(("/file", "/text", "/empty", "/moved") * 5, start=1):
            await client.get(path)
            assert len(told) == number
        await client.head("/text")
    assert [(request.streamed, request.response_size) for request in told] == [
        *[(False, size), (False, size), (False, 0), (False, 0)] * 5,
        (False, 0),
    ]
    assert all(request.first_byte is not None and request.first_byte <= request.duration for request in told)


async def pieces() -> AsyncIterator[bytes]:
    yield b"a" * 1000
    yield b"b" * 500


@pytest.mark.slow
async def test_the_size_of_a_request_is_what_was_read_or_announced(told: Told) -> None:
    """A body in chunks that nobody read may be of any size."""
    app = FastAPI()

    @app.api_route("/read", methods=["GET", "POST"])
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.api_route("/unread", methods=["GET", "POST"])
    async def unread() -> int:
        return 0

    async with running_server(inside(app)) as address, httpx.AsyncClient(base_url=address) as client:
        for path in ("/read", "/unread"):
            await client.get(path)
            await client.post(path, content=b"x" * 1500)
            await client.post(path, content=pieces())
    assert [request.request_size for request in told] == [0, 1500, 1500, 0, 1500, None]


@pytest.mark.slow
async def test_the_size_of_an_answer_is_what_went_out(told: Told) -> None:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("x" * 100_000))])
    app.add_middleware(GZipMiddleware)
    async with running_server(inside(app)) as address, httpx.AsyncClient(base_url=address) as client:
        compressed = await client.get("/")
        await client.get("/", headers={"Accept-Encoding": "identity"})
    assert [request.response_size for request in told] == [int(compressed.headers["content-length"]), 100_000]


async def test_a_file_that_the_server_reads_is_as_long_as_announced(told: Told) -> None:
    """ASGI's extensions `http.response.pathsend` and `http.response.zerocopysend`."""
    for kind, announced in product(("pathsend", "zerocopysend"), ([(b"content-length", b"12345")], [])):

        async def app(scope: Any, receive: Any, send: Any, kind: str = kind, announced: Any = announced) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": announced})
            await send({"type": f"http.response.{kind}", "path": "/somewhere"})

        await HTTPEventsMiddleware(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, ignore)
    assert [(request.outcome, request.response_size) for request in told] == [("ok", 12345), ("ok", None)] * 2


@pytest.mark.slow
async def test_requests_under_way_are_counted_until_their_answer_ends(told: Told) -> None:
    """A request that waits and an answer that streams are; what goes on in the background is not."""
    released, finished = asyncio.Event(), asyncio.Event()

    async def waits(request: Request) -> PlainTextResponse:
        await released.wait()
        return PlainTextResponse("", background=BackgroundTask(finished.wait))

    async def stream() -> AsyncIterator[bytes]:
        yield b"first"
        await released.wait()

    def active() -> int:
        with events.http_activity_read.captured() as read:
            read_in_flight()
        return read[0].requests

    app = inside(Starlette(routes=[Route("/", waits), Route("/stream", lambda _: StreamingResponse(stream()))]))
    assert active() == 0
    async with running_server(app) as address, httpx.AsyncClient(base_url=address) as client:
        asked = [asyncio.create_task(client.get(path)) for path in ("/", "/stream", "/")]
        await until(lambda: active() == 3)
        released.set()
        await asyncio.gather(*asked)
        assert active() == 0
        assert len(told) == 3
        finished.set()


@pytest.mark.slow
async def test_what_is_told_is_counted_and_streams_stand_apart(told: Told) -> None:
    """The rows of the catalogue, fed by real requests through a real server."""
    app = FastAPI()
    app.get("/plain")(lambda: "here")
    app.get("/stream")(lambda: StreamingResponse(pieces()))
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio") as subscription:
        subscription.poll(read_in_flight)
        async with running_server(inside(app)) as address, httpx.AsyncClient(base_url=address) as client:
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
