"""The ASGI bridge tells what really became of a request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

import events
from events import HTTPRequestFinished
from events.bridges.asgi import HTTPEventsMiddleware, disconnects
from tests.support.asgi_apps import (
    BOTH_WAYS,
    App,
    answers,
    ask_and_leave,
    client_of,
    ignore,
    inside,
    nothing,
    pass_on,
    studio,
    ticks,
)
from tests.support.asgi_server import running_server
from tests.support.wait import until

Told = list[HTTPRequestFinished]


@BOTH_WAYS
async def test_an_exception_before_the_first_byte_is_a_500(use: Any, files: Path, told: Told) -> None:
    """Inside the framework's handler of errors the exception has a name; around it only the answer is seen."""
    async with client_of(use(studio(files))) as client:
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/slow")).status_code == 500
    assert [(request.status_code, request.error, request.outcome) for request in told] == (
        [(500, "LookupError", "server_error"), (500, "TimeoutError", "timeout")]
        if use is inside
        else [(500, "", "server_error")] * 2
    )
    assert "secret" not in str(told)


@BOTH_WAYS
async def test_an_exception_after_the_first_byte_keeps_the_code_that_was_sent(
    use: Any, files: Path, told: Told
) -> None:
    async with client_of(use(studio(files))) as client:
        await client.get("/stream")
    assert [(request.status_code, request.error, request.endpoint, request.outcome) for request in told] == [
        (200, "LookupError", "/stream", "stream_aborted")
    ]


async def test_an_application_that_does_not_finish_is_told_so(told: Told) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await HTTPEventsMiddleware(silent)(dict(scope), nothing, ignore)
    await HTTPEventsMiddleware(half)(dict(scope), nothing, ignore)
    assert [(request.status_code, request.error, request.outcome, request.first_byte) for request in told] == [
        (500, "IncompleteResponse", "server_error", None),
        (201, "IncompleteResponse", "stream_aborted", pytest.approx(0, abs=1)),
    ]


async def test_a_cancelled_request_is_told_and_stays_cancelled(told: Told) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.create_task(HTTPEventsMiddleware(waits)(scope, nothing, ignore))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(request.status_code, request.error, request.outcome) for request in told] == [
        (500, "CancelledError", "cancelled")
    ]


async def test_a_server_that_says_nobody_is_there_is_believed(told: Told) -> None:
    """ASGI 2.4: sending to a client that left raises OSError."""

    async def gone(message: Any) -> None:
        raise BrokenPipeError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.4"}}
    app = Starlette(routes=[Route("/", lambda _: StreamingResponse(ticks()))])
    with pytest.raises((ClientDisconnect, ExceptionGroup)):  # older versions of Starlette let the group through
        await HTTPEventsMiddleware(app)(scope, nothing, gone)
    [request] = told
    assert (request.status_code, request.outcome) == (499, "client_disconnect")
    assert request.error in ("ClientDisconnect", "BrokenPipeError")


@pytest.mark.lenient
async def test_a_failure_inside_the_bridge_never_reaches_the_request(told: Told) -> None:
    async def odd(scope: Any, receive: Any, send: Any) -> None:
        scope["endpoint"], scope["app_root_path"], scope["root_path"] = odd, "", None
        await answers(scope, receive, send)

    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with events.receiver_failed.captured() as failed:
        await HTTPEventsMiddleware(odd)(scope, nothing, keep)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert [(request.endpoint, request.status_code) for request in told] == [("unknown", 200)]
    assert [(failure.signal, failure.receiver) for failure in failed] == [
        ("http_request_finished", "HTTPEventsMiddleware")
    ]


@pytest.mark.lenient
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"many")], iter([(b"content-length", b"4")])])
@pytest.mark.parametrize("body", [{"body": b"here"}, {"body": None}, {}])
async def test_odd_messages_reach_the_server_as_they_are(headers: Any, body: dict[str, Any], told: Told) -> None:
    """What the bridge can't read is the server's to refuse; headers that can be read only once are left to it."""

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", **body})

    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    left = list(headers) if isinstance(headers, list) else None
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"content-length", b"-1")]}
    await HTTPEventsMiddleware(odd)(scope, nothing, keep)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert left is None or list(sent[0]["headers"]) == left
    assert [request.status_code for request in told] == [200]


@pytest.mark.lenient
async def test_a_scope_that_the_bridge_can_not_read_is_served_all_the_same(told: Told) -> None:
    for scope in ({"type": "http"}, {"type": "http", "path": None}, {"type": "websocket"}):
        sent: list[Any] = []

        async def keep(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await HTTPEventsMiddleware(answers)(scope, nothing, keep)
        assert len(sent) == 2
    assert not told


async def test_the_lifespan_passes_untouched(told: Told) -> None:
    seen: list[tuple[Any, Any, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    await HTTPEventsMiddleware(app)({"type": "lifespan"}, nothing, ignore)
    assert seen == [({"type": "lifespan"}, nothing, ignore)]
    assert not told


@pytest.mark.parametrize(("code", "outcome"), [(200, "ok"), (307, "ok"), (404, "client_error"), (503, "server_error")])
async def test_a_whole_answer_is_told_by_its_code(code: int, outcome: str, told: Told) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    await HTTPEventsMiddleware(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, ignore)
    assert [(request.status_code, request.outcome) for request in told] == [(code, outcome)]


async def test_a_time_limit_inside_is_a_timeout_also_after_the_answer_began(told: Told) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await HTTPEventsMiddleware(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, ignore)
    assert [(request.status_code, request.outcome) for request in told] == [(200, "timeout")]


@pytest.mark.slow
@BOTH_WAYS
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_client_that_leaves_during_the_body_is_a_499(use: Any, wrapped: bool, told: Told) -> None:
    """Also behind a BaseHTTPMiddleware, which hides the disconnect from the route."""
    app = FastAPI()
    app.get("/ticks")(lambda: StreamingResponse(ticks()))
    if wrapped:
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    async with running_server(use(app)) as address:
        await ask_and_leave(address, "GET /ticks HTTP/1.1\nHost: x\n\n", wait_for=b"tick")
        await until(lambda: told)
    assert [(request.status_code, request.endpoint, request.outcome) for request in told] == [
        (499, "/ticks", "client_disconnect")
    ]
    assert told[0].first_byte is not None
    assert told[0].streamed


def patient(*, body_is_read: bool, hidden: bool) -> App:
    """Make an application that works on until its client has left, without asking the server about it.

    Where it is ``hidden``, the bridge sees uvicorn through another's `receive` only.
    """
    app = FastAPI()

    @app.api_route("/work", methods=["GET", "POST"])
    async def work(request: Request) -> str:
        if body_is_read:
            await request.body()
        cycle = request.scope["cycle"]
        await until(lambda: cycle.disconnected)
        return "for nobody"

    bridged = inside(app)

    async def with_cycle(scope: Any, receive: Any, send: Any) -> None:
        scope["cycle"] = receive.__self__  # uvicorn's state of this request

        async def another() -> Any:
            return await receive()

        await bridged(scope, another if hidden else receive, send)

    return with_cycle


@pytest.mark.slow
@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("body_is_read", [True, False])
@pytest.mark.parametrize("request_text", ["GET /work HTTP/1.1\nHost: x\n\n",
                                          "POST /work HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc"])  # fmt: skip
async def test_a_client_that_leaves_before_the_answer_is_a_499(
    *, request_text: str, body_is_read: bool, asked: bool, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application never learns of it and answers 200 to nobody.

    uvicorn knows, however fast the answer was and whether or not the body was read. Other servers, and those behind a
    middleware of another's making, are asked, where the answer took long enough.
    """
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0 if asked else 5.0)
    async with running_server(patient(body_is_read=body_is_read, hidden=asked)) as address:
        await ask_and_leave(address, request_text, wait_for=b"")
        await until(lambda: told)
    assert [(request.status_code, request.endpoint, request.outcome) for request in told] == [
        (499, "/work", "client_disconnect")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "order", [[HTTPEventsMiddleware, BaseHTTPMiddleware], [BaseHTTPMiddleware, HTTPEventsMiddleware]]
)
async def test_asking_for_the_client_disturbs_nothing(
    order: list[Any], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow answers of every kind, many at once on few connections, arrive whole and are told as they are."""
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
        app.add_middleware(middleware, **({"dispatch": pass_on} if middleware is BaseHTTPMiddleware else {}))
    limits = httpx.Limits(max_connections=4)
    async with running_server(app) as address, httpx.AsyncClient(base_url=address, limits=limits) as client:
        body = "x" * 300_000
        answers = await asyncio.gather(
            *(client.post("/read", content=body) for _ in range(10)),
            *(client.get("/read") for _ in range(10)),
            *(client.get("/unread") for _ in range(10)),
            *(client.post("/unread", content="x") for _ in range(10)),
            *(client.post("/stream", content=body) for _ in range(10)),
        )
    assert [len(answer.content) for answer in answers] == [300_002] * 10 + [2] * 10 + [8] * 20 + [300_000] * 10
    assert [(request.status_code, request.error) for request in told] == [(200, "")] * 50


async def test_what_the_bridge_read_ahead_is_handed_on(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that nobody read is read by asking; whoever reads it later still gets it."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)
    messages = [{"type": "http.request", "body": b"", "more_body": False}]
    read: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await answers(scope, receive, send)
        read.append(await receive())

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await HTTPEventsMiddleware(late)(scope, receive, ignore)
    assert read == [{"type": "http.request", "body": b"", "more_body": False}]
    assert [request.status_code for request in told] == [200]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"65537")],
        [(b"transfer-encoding", b"chunked")],
        [(b"content-length", b"3"), (b"expect", b"100-continue")],
    ],
)
async def test_a_body_that_nobody_wants_is_not_fetched(
    headers: Any, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask for the client would bring a large body into memory, or invite one that waits for an invitation."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)

    async def receive() -> Any:
        pytest.fail("the body was asked for")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    await HTTPEventsMiddleware(answers)(scope, receive, ignore)
    assert [request.outcome for request in told] == ["ok"]


@pytest.mark.slow
async def test_a_client_that_waits_for_an_invitation_gets_none(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the bridge: the answer comes at once, and no 100 before it."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)
    app = FastAPI()
    app.post("/unread")(lambda: "unread")
    async with running_server(inside(app)) as address:
        url = httpx.URL(address)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
    assert [(request.status_code, request.request_size) for request in told] == [(200, 3)]


@pytest.mark.parametrize(
    ("raised", "outcome", "error"), [(TimeoutError, "timeout", "TimeoutError"), (KeyError, "server_error", "KeyError")]
)
async def test_what_a_task_group_raises_is_told_by_its_cause(raised: Any, outcome: str, error: str, told: Told) -> None:
    async def fails() -> None:
        raise raised

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(fails())

    with pytest.raises(ExceptionGroup):
        await HTTPEventsMiddleware(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, ignore)
    assert [(request.status_code, request.outcome, request.error) for request in told] == [(500, outcome, error)]
