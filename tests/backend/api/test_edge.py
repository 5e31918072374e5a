"""The body of a request has its limits, whoever reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from app.api import EdgeMiddleware
from app.api.keyring import KeyRing
from events import access_refused, limit_reached
from tests.backend.api.conftest import BRIEF, START, on_sqlite
from tests.support.limited_server import Served, serving

MAX_BODY = 1000
NO_KEYS = KeyRing((), tuple, ())


@pytest.fixture
async def served(app: FastAPI) -> AsyncIterator[Served]:
    """The API behind its middleware and the studio's server."""
    app.add_middleware(EdgeMiddleware, hosts=[], keyring=NO_KEYS, max_body=MAX_BODY, receive_timeout=0.3)
    async with serving(app) as running:
        yield running


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", timeout=30) as opened:
        yield opened


@on_sqlite
async def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(client: httpx.AsyncClient) -> None:
    json = {"content-type": "application/json"}
    with limit_reached.captured() as reached:
        assert (await client.post(START, content=b" " * MAX_BODY, headers=json)).status_code == 422
        assert reached == []
        for path in (START, "/api/v1/brands", "/nowhere", "/health/live"):
            refused = await client.post(path, content=b" " * (MAX_BODY + 1), headers=json)
            assert (refused.status_code, str(MAX_BODY) in refused.json()["detail"]) == (413, True)
        assert [event.limit for event in reached] == ["request_body"] * 4
        assert (await client.post(START, json=BRIEF)).status_code == 202, "the connection goes on"


@on_sqlite
async def test_a_body_of_no_announced_length_is_counted_as_it_comes(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1_000_000:
            sent += 50_000
            yield b" " * 50_000

    refused = await client.post(START, content=endless(), headers={"content-type": "application/json"})
    assert refused.status_code == 413


@on_sqlite
async def test_a_client_that_waits_for_a_continue_is_told_at_once(served: Served) -> None:
    head = (
        f"POST {START} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    reader, _ = await served.connect(head.encode())
    assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 413 ")


@on_sqlite
@pytest.mark.parametrize("length", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_is_answered_with_408(served: Served, length: str) -> None:
    head = f"POST {START} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    with limit_reached.captured() as reached:
        answer = await served.answer(head.encode() + (b"4\r\n{   \r\n" if "chunked" in length else b'{"br'))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"0.3 seconds" in answer
    assert [event.limit for event in reached] == ["receive_time"]


@on_sqlite
async def test_a_client_that_leaves_half_way_is_no_slow_one(served: Served) -> None:
    head = f"POST {START} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with limit_reached.captured() as reached:
        _, writer = await served.connect(head.encode())
        await writer.drain()
        writer.close()
        await asyncio.sleep(0.5)
    assert reached == []


async def test_a_route_that_answers_without_the_body_is_not_held_up_by_it() -> None:
    app = FastAPI()

    @app.post("/")
    async def answer(request: Request) -> str:
        return request.method

    app.add_middleware(EdgeMiddleware, hosts=[], keyring=NO_KEYS, max_body=MAX_BODY, receive_timeout=0.3)
    async with serving(app) as served:
        reader, _ = await served.connect(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 200 ")


async def test_what_comes_after_the_body_may_take_its_time() -> None:
    """A streamed answer watches for the disconnect, by `receive`."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((await receive(), await receive()))

    edge = EdgeMiddleware(app, hosts=[], keyring=NO_KEYS, max_body=MAX_BODY, receive_timeout=0.01)
    messages: list[Any] = [{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        if len(messages) == 1:
            await asyncio.sleep(0.05)
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/",
        "headers": [(b"host", b"localhost"), (b"content-length", b"2")],
    }
    await edge(scope, receive, send)
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]


@on_sqlite
async def test_another_host_or_a_page_of_another_site_is_refused(client: httpx.AsyncClient) -> None:
    evil = {"host": "evil.example", "origin": "http://evil.example"}
    with access_refused.captured() as refused:
        for answer in (
            await client.post(START, json=BRIEF, headers=evil),
            await client.get("/api/v1/runs", headers=evil),
            await client.get("/", headers={"host": "evil.example"}),
            await client.get("/health/../", headers={"host": "evil.example"}),
        ):
            assert (answer.status_code, "SPARKLIO_ALLOWED_HOSTS" in answer.json()["detail"]) == (421, True)
        foreign = await client.post("/api/v1/runs/1/cancel", headers={"origin": "http://evil.example"})
        assert (foreign.status_code, foreign.json()["detail"]) == (
            403,
            "The request comes from a page of another site ('http://evil.example'): "
            "if that is the studio's own name, add it to SPARKLIO_ALLOWED_HOSTS.",
        )
    assert [event.reason for event in refused] == ["host"] * 4 + ["origin"]
    own = str(client.base_url).rstrip("/")
    assert (await client.post(START, json=BRIEF, headers={"origin": own})).status_code == 202


@on_sqlite
async def test_the_host_that_is_refused_is_quoted(served: Served) -> None:
    """An operator reads which name is missing in the settings; a stranger's bytes stay harmless."""
    for host, quoted in (
        (b"studio.example:443", "'studio.example:443'"),
        (b"<b>\xff", "'<b>\\xff'"),
        (b"x" * 1000, f"'{'x' * 260}'..."),
        (b"", "''"),
    ):
        head = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        _, _, body = (await served.answer(head)).partition(b"\r\n\r\n")
        assert json.loads(body)["detail"].startswith(f"The Host of the request, {quoted}, is not one of the studio's")


@on_sqlite
async def test_monitoring_systems_may_ask_under_any_name(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert (await client.get(path, headers={"host": "studio.default.svc:8000"})).status_code == 200
    assert (
        await client.get("/metrics/", headers={"host": "10.1.2.3:8000"})
    ).status_code == 404  # not this application's


@pytest.mark.parametrize(
    "headers", [[(b"host", b"evil.example")], [(b"host", b"a"), (b"origin", b"http://evil.example")]]
)
async def test_a_websocket_of_a_stranger_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def never(*_: Any) -> Any:
        raise AssertionError

    edge = EdgeMiddleware(never, hosts=["a"], keyring=NO_KEYS, max_body=1, receive_timeout=1.0)
    await edge({"type": "websocket", "path": "/", "headers": headers}, never, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
