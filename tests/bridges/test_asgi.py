"""The ASGI bridge: each request is told once, by its route and not by its URL, with what really became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

import events
from events import HTTPRequestFinished
from events.bridges import asgi
from events.bridges.asgi import HTTPEvents
from tests.support.asgi_server import served
from tests.support.waiting import until

App = Any
Told = list[HTTPRequestFinished]


@pytest.fixture
def told() -> Iterator[Told]:
    with events.http_request_finished.captured() as seen:
        yield seen


async def plain(request: Request) -> PlainTextResponse:
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


async def twice() -> AsyncIterator[bytes]:
    yield b"first"
    raise LookupError("secret")


def starlette_routes() -> list[Any]:
    return [
        Route("/deep/{key}", plain),
        Route("/files/{path:path}", plain),
        Mount("/more/{name}", routes=[Route("/{number:int}", plain)]),
        Mount("/router", Router([Route("/{number}", plain)])),
    ]


def studio(files: Path) -> FastAPI:
    """Make an application with every kind of route that FastAPI and Starlette have."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
    app.get("/items/{number}")(item)
    app.get("/missing/{number}")(missing)
    app.get("/refused")(refused)
    app.get("/broken")(broken)
    app.get("/slow")(slow)
    app.get("/stream")(lambda: StreamingResponse(twice()))
    app.add_route("/plain/{key}", plain)
    app.add_route("/also/{key}", plain)

    inner = APIRouter()
    inner.get("/thing/{number}")(item)
    inner.add_route("/plain/{key}", plain)
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
    app.host("{tenant}.example", Starlette(routes=[Mount("/hosted", routes=[Route("/{key}", plain)])]))
    app.frontend("/pages", directory=files)
    return app


def site(files: Path) -> Starlette:
    """Make the like in Starlette alone."""
    sub = FastAPI()
    sub.get("/direct/{number}")(item)
    routes = [
        *starlette_routes(),
        Mount("/sub", sub),
        Mount("/t/{tenant}", Starlette(routes=starlette_routes())),
        Mount("/static", StaticFiles(directory=files)),
        Host("{tenant}.example", Router([Route("/hosted/{key}", plain)])),
        Mount("", routes=[Route("/last/{key}", plain)]),
    ]
    return Starlette(routes=routes)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    tmp_path.joinpath("a.txt").write_text("a")
    return tmp_path


def inside(app: App) -> App:
    """Use the bridge as the framework's own middleware."""
    app.add_middleware(HTTPEvents)
    return app


BOTH_WAYS = pytest.mark.parametrize("use", [inside, HTTPEvents])


def client_of(app: App, root_path: str = "", **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://test", **options)


STUDIO: Sequence[tuple[str, str, str, int]] = (
    # method, URL, endpoint, status code
    ("GET", "/items/1", "/items/{number}", 200),
    ("GET", "/items/1?page=2", "/items/{number}", 200),
    ("GET", "/items/one", "/items/{number}", 422),
    ("GET", "/missing/1", "/missing/{number}", 404),
    ("GET", "/refused", "/refused", 418),
    ("GET", "/plain/1", "/plain/{key}", 200),
    ("GET", "/also/1", "/also/{key}", 200),
    ("GET", "/docs", "/docs", 200),
    ("GET", "/api/outer/inner/thing/1", "/api/outer/inner/thing/{number}", 200),
    ("GET", "/api/outer/inner/plain/1", "/api/outer/inner/plain/{key}", 200),
    ("GET", "/api/outer/inner/mount/me/deep/1", "/api/outer/inner/mount/{who}/deep/{key}", 200),
    ("GET", "/api/outer/inner/mount/me/more/a/1", "/api/outer/inner/mount/{who}/more/{name}/{number:int}", 200),
    ("GET", "/sub/direct/1", "/sub/direct/{number}", 200),
    ("GET", "/sub/docs", "/sub/docs", 200),
    ("GET", "/sub/routed/thing/1", "/sub/routed/thing/{number}", 200),
    ("GET", "/sub/routed/plain/1", "/sub/routed/plain/{key}", 200),
    ("GET", "/sub/routed/mount/me/deep/1", "/sub/routed/mount/{who}/deep/{key}", 200),
    ("GET", "/sub/star/deep/1", "/sub/star/deep/{key}", 200),
    ("GET", "/t/acme/direct/1", "/t/{tenant}/direct/{number}", 200),
    ("GET", "/t/acme/routed/thing/1", "/t/{tenant}/routed/thing/{number}", 200),
    ("GET", "/t/acme/star/more/a/1", "/t/{tenant}/star/more/{name}/{number:int}", 200),
    ("GET", "/star/deep/1", "/star/deep/{key}", 200),
    ("GET", "/star/files/a/b/c", "/star/files/{path:path}", 200),
    ("GET", "/star/router/1", "/star/router/{number}", 200),
    ("GET", "http://acme.example/hosted/1", "/hosted/{key}", 200),
    ("GET", "/files/a.txt", "/files/{path}", 200),
    ("GET", "/files/none.txt", "unmatched", 404),
    ("GET", "/pages/a.txt", "/pages/{path}", 200),
    ("GET", "/pages/none.txt", "unmatched", 404),
    ("GET", "/nothing", "unmatched", 404),
    ("GET", "/sub/nothing", "unmatched", 404),
    ("GET", "/t/acme/nothing", "unmatched", 404),
    ("GET", "/star/nothing", "unmatched", 404),
    ("GET", "/api/outer/nothing", "unmatched", 404),
    ("POST", "/items/1", "/items/{number}", 405),
    ("POST", "/api/outer/inner/thing/1", "/api/outer/inner/thing/{number}", 405),
    ("POST", "/sub/star/deep/1", "/sub/star/deep/{key}", 405),
    ("HEAD", "/plain/1", "/plain/{key}", 200),
    ("GET", "/items/1/", "unmatched", 307),
    ("GET", "/sub/direct/1/", "unmatched", 307),
    ("GET", "/broken", "/broken", 500),
    ("GET", "/slow", "/slow", 500),
)

SITE: Sequence[tuple[str, str, str, int]] = (
    ("GET", "/deep/1", "/deep/{key}", 200),
    ("GET", "/files/a/b", "/files/{path:path}", 200),
    ("GET", "/more/a/1", "/more/{name}/{number:int}", 200),
    ("GET", "/router/1", "/router/{number}", 200),
    ("GET", "/sub/direct/1", "/sub/direct/{number}", 200),
    ("GET", "/sub/docs", "/sub/docs", 200),
    ("GET", "/t/acme/deep/1", "/t/{tenant}/deep/{key}", 200),
    ("GET", "/t/acme/more/a/1", "/t/{tenant}/more/{name}/{number:int}", 200),
    ("GET", "/static/a.txt", "/static/{path}", 200),
    ("GET", "http://acme.example/hosted/1", "/hosted/{key}", 200),
    ("GET", "/last/1", "/last/{key}", 200),
    ("GET", "/nothing", "unmatched", 404),
    ("GET", "/static/nothing", "unmatched", 404),
    ("GET", "/t/acme/nothing", "unmatched", 404),
    ("POST", "/deep/1", "unmatched", 404),  # the mount of everything, at the end, takes any method
    ("GET", "/sub/direct/1/", "unmatched", 307),
)


@BOTH_WAYS
@pytest.mark.parametrize(("make", "table"), [(studio, STUDIO), (site, SITE)])
async def test_the_endpoint_is_the_full_template_of_the_route(
    *, use: Callable[[App], App], make: Callable[[Path], App], table: Sequence[Any], files: Path, told: Told
) -> None:
    """On every kind of route, whichever request came before: so each table is gone through twice, shuffled."""
    rows = [*table, *table]
    Random(1).shuffle(rows)
    async with client_of(use(make(files))) as client:
        for method, url, *_ in rows:
            await client.request(method, url)
    seen = [(request.method, request.endpoint, request.status_code) for request in told]
    assert seen == [(method, endpoint, status) for method, _, endpoint, status in rows]


@BOTH_WAYS
async def test_a_preflight_is_told_without_an_endpoint(use: Any, files: Path, told: Told) -> None:
    asks = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "GET"}
    async with client_of(use(studio(files)), headers=asks) as client:
        assert (await client.options("/items/1")).status_code == 200
    assert [(request.method, request.endpoint, request.status_code) for request in told] == [
        ("OPTIONS", "unmatched", 200)
    ]


@pytest.mark.parametrize(
    "url",
    ["/{}", "/sub/{}", "/t/{}/nothing", "/items/{}", "/items/{}/", "/star/files/{}", "/t/{}/direct/1", "/files/{}",
     "/pages/{}", "/plain/{}", "/api/outer/inner/mount/{}/deep/1"],
)  # fmt: skip
async def test_no_url_makes_an_endpoint_of_its_own(url: str, files: Path, told: Told) -> None:
    random = Random(url)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-._~/%2F%00%C3%A9"
    async with client_of(inside(studio(files))) as client:
        for _ in range(100 if url != "/{}" else 1000):
            await client.get(url.format("".join(random.choices(letters, k=random.randint(1, 40)))))
    declared = {endpoint for _, _, endpoint, _ in STUDIO} | {"unknown"}
    assert {request.endpoint for request in told} <= declared
    assert len({request.endpoint for request in told}) <= 3  # a slash in the middle may lead to another route


async def test_a_thousand_urls_that_lead_nowhere_are_one_endpoint(told: Told) -> None:
    app = FastAPI()
    app.get("/items/{number}")(item)
    random = Random(2)
    async with client_of(inside(app)) as client:
        for _ in range(1000):
            await client.get(f"/{random.randbytes(8).hex()}")
    assert len(told) == 1000
    assert {(request.endpoint, request.status_code) for request in told} == {("unmatched", 404)}


async def test_methods_that_nobody_defined_are_one_method(told: Told) -> None:
    async with client_of(inside(Starlette(routes=[Route("/", plain)]))) as client:
        for number in range(50):
            await client.request(f"FOOBAR{number}", "/")
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"):
            await client.request(method, "/")
        # Methods are case-sensitive (RFC 9110, section 9.1): this is none of the nine.
        scope = {"type": "http", "method": "get", "path": "/", "headers": [], "root_path": "", "query_string": b""}
        await HTTPEvents(answers)(scope, nothing, ignore)
    assert {request.method for request in told} == {
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other",
    }  # fmt: skip
    assert sum(request.method == "other" for request in told) == 51


async def test_a_prefix_from_outside_is_no_part_of_the_template(told: Told) -> None:
    """A proxy's prefix, in whichever of the usual ways, names no route; neither does one that a client makes up."""
    app = FastAPI()
    app.get("/items/{number}")(item)
    app.mount("/star/{name}", Starlette(routes=starlette_routes()))
    app.add_middleware(HTTPEvents)
    async with client_of(app, root_path="/proxy") as client:
        for url in ("/proxy/items/1", "/proxy/star/a/deep/1"):
            assert (await client.get(url)).status_code == 200

    class Prefixed:
        def __init__(self, app: App) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            prefix = dict(scope["headers"]).get(b"x-forwarded-prefix", b"").decode()
            scope["root_path"] = prefix
            scope["path"] = prefix + scope["path"]
            await self.app(scope, receive, send)

    trusting = FastAPI()
    trusting.get("/items/{number}")(item)
    trusting.mount("/star/{name}", Starlette(routes=starlette_routes()))
    trusting.add_middleware(Prefixed)
    trusting.add_middleware(HTTPEvents)
    for number in range(3):
        async with client_of(trusting, headers={"X-Forwarded-Prefix": f"/made/up/{number}"}) as client:
            assert (await client.get("/items/1")).status_code == 200
            assert (await client.get("/star/a/deep/1")).status_code == 200
    assert [request.endpoint for request in told] == ["/items/{number}", "/star/{name}/deep/{key}"] * 4


async def test_stacked_bridges_tell_once(told: Told) -> None:
    """A mounted application may bring its own; the template is the whole one all the same."""
    sub = inside(FastAPI())
    sub.get("/items/{number}")(item)
    app = FastAPI()
    app.mount("/sub", sub)
    for outermost in (app, inside(app), HTTPEvents(app)):
        async with client_of(outermost) as client:
            await client.get("/sub/items/1")
    assert [request.endpoint for request in told] == ["/sub/items/{number}"] * 3


async def test_excluded_paths_are_not_told(told: Told) -> None:
    app = FastAPI()
    app.get("/metrics")(lambda: "here")
    app.mount("/scrape", answers)
    app.get("/metrics/more")(lambda: "here")
    app.add_middleware(HTTPEvents, exclude=("/metrics", "/scrape"))
    async with client_of(app, root_path="/proxy") as client:
        for url in ("/metrics", "/metrics/", "/proxy/metrics", "/scrape", "/scrape/", "/metrics?name=x"):
            await client.get(url)
        assert not told
        await client.get("/metrics/more")
    assert [request.endpoint for request in told] == ["/metrics/more"]


def test_one_path_to_exclude_is_still_a_list() -> None:
    with pytest.raises(TypeError, match=r"write exclude=\('/metrics',\)"):
        HTTPEvents(answers, exclude="/metrics")


@BOTH_WAYS
async def test_an_exception_before_the_first_byte_is_a_500(use: Any, files: Path, told: Told) -> None:
    """Inside the framework's handler of errors the exception has a name; around it only the answer is seen."""
    async with client_of(use(studio(files))) as client:
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/slow")).status_code == 500
    assert [(request.status_code, request.error) for request in told] == [
        (500, "LookupError" if use is inside else ""),
        (500, "TimeoutError" if use is inside else ""),
    ]
    assert "secret" not in str(told)


@BOTH_WAYS
async def test_an_exception_after_the_first_byte_keeps_the_code_that_was_sent(
    use: Any, files: Path, told: Told
) -> None:
    async with client_of(use(studio(files))) as client:
        await client.get("/stream")
    assert [(request.status_code, request.error, request.endpoint) for request in told] == [
        (200, "LookupError", "/stream")
    ]


async def test_an_application_that_does_not_finish_is_told_so(told: Told) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await HTTPEvents(silent)(dict(scope), nothing, ignore)
    await HTTPEvents(half)(dict(scope), nothing, ignore)
    assert [(request.status_code, request.error) for request in told] == [
        (500, "IncompleteResponse"),
        (201, "IncompleteResponse"),
    ]


async def test_a_cancelled_request_is_told_and_stays_cancelled(told: Told) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.create_task(HTTPEvents(waits)(scope, nothing, ignore))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(request.status_code, request.error) for request in told] == [(500, "CancelledError")]


async def test_a_server_that_says_nobody_is_there_is_believed(told: Told) -> None:
    """ASGI 2.4: sending to a client that left raises OSError."""

    async def gone(message: Any) -> None:
        raise BrokenPipeError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.4"}}
    app = Starlette(routes=[Route("/", lambda _: StreamingResponse(ticks()))])
    with pytest.raises(ClientDisconnect):
        await HTTPEvents(app)(scope, nothing, gone)
    assert [(request.status_code, request.error) for request in told] == [(499, "ClientDisconnect")]


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
        await HTTPEvents(odd)(scope, nothing, keep)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert [(request.endpoint, request.status_code) for request in told] == [("unknown", 200)]
    assert [(failure.signal, failure.receiver) for failure in failed] == [("http_request_finished", "HTTPEvents")]


async def test_websockets_and_lifespan_pass_untouched(told: Told) -> None:
    seen: list[tuple[Any, Any, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    for kind in ("websocket", "lifespan"):
        scope = {"type": kind}
        await HTTPEvents(app)(scope, nothing, ignore)
        assert seen.pop() == ({"type": kind}, nothing, ignore)
    assert not told


async def test_a_route_beside_a_websocket_of_the_same_path_is_told(told: Told) -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()

    app = Starlette(routes=[WebSocketRoute("/talk/{key}", talk), Route("/talk/{key}", plain)])
    async with client_of(inside(app)) as client:
        await client.get("/talk/1")
    assert [request.endpoint for request in told] == ["/talk/{key}"]


# From here on a real uvicorn answers on a real socket.


@pytest.mark.slow
@BOTH_WAYS
async def test_who_has_an_answer_finds_it_told(use: Any, files: Path, told: Told) -> None:
    """A client that reads its answer and then the metrics sees its own request: every time, on one connection."""
    async with served(use(studio(files))) as address, httpx.AsyncClient(base_url=address) as client:
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
    async with served(app) as address, httpx.AsyncClient() as client:
        await client.get(address)
        assert [request.status_code for request in told] == [200]
        assert not done.is_set()
        await until(done.is_set)
    assert len(told) == 1
    assert told[0].duration < 0.2


@pytest.mark.slow
async def test_a_stream_lasts_until_its_last_chunk(told: Told) -> None:
    released = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await released.wait()
        yield b"last"

    app = inside(Starlette(routes=[Route("/", lambda _: StreamingResponse(body()))]))
    async with served(app) as address, httpx.AsyncClient() as client, client.stream("GET", address) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        assert not told
        released.set()
        assert [chunk async for chunk in chunks] == [b"last"]
        assert [(request.status_code, request.error) for request in told] == [(200, "")]


async def ticks() -> AsyncIterator[bytes]:
    while True:
        yield b"tick\n"
        await asyncio.sleep(0.005)


async def ask_and_leave(address: str, request: str, *, wait_for: bytes) -> None:
    """Send a request over a socket, wait until ``wait_for`` came back, then hang up."""
    url = httpx.URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request.replace("\n", "\r\n").encode())
    await writer.drain()
    if wait_for:
        await reader.readuntil(wait_for)
    writer.close()
    await writer.wait_closed()


async def pass_on(request: Request, call_next: Any) -> Any:
    return await call_next(request)


@pytest.mark.slow
@BOTH_WAYS
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_client_that_leaves_during_the_body_is_a_499(use: Any, wrapped: bool, told: Told) -> None:
    """Also behind a BaseHTTPMiddleware, which hides the disconnect from the route."""
    app = FastAPI()
    app.get("/ticks")(lambda: StreamingResponse(ticks()))
    if wrapped:
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    async with served(use(app)) as address:
        await ask_and_leave(address, "GET /ticks HTTP/1.1\nHost: x\n\n", wait_for=b"tick")
        await until(lambda: told)
    assert [(request.status_code, request.endpoint) for request in told] == [(499, "/ticks")]


def patient(body_is_read: bool) -> App:
    """Make an application that works on until its client has left, without asking the server about it."""
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
        await bridged(scope, receive, send)

    return with_cycle


@pytest.mark.slow
@pytest.mark.parametrize("body_is_read", [True, False])
@pytest.mark.parametrize("request_text", ["GET /work HTTP/1.1\nHost: x\n\n",
                                          "POST /work HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc"])  # fmt: skip
async def test_a_client_that_leaves_before_the_answer_is_a_499(
    *, request_text: str, body_is_read: bool, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application never learns of it and answers 200 to nobody. An unread body is left alone, and so unasked."""
    monkeypatch.setattr(asgi, "WORTH_ASKING", 0.0)
    async with served(patient(body_is_read)) as address:
        await ask_and_leave(address, request_text, wait_for=b"")
        await until(lambda: told)
    expected = 200 if request_text.startswith("POST") and not body_is_read else 499
    assert [(request.status_code, request.endpoint) for request in told] == [(expected, "/work")]


@pytest.mark.slow
@pytest.mark.parametrize("order", [[HTTPEvents, BaseHTTPMiddleware], [BaseHTTPMiddleware, HTTPEvents]])
async def test_asking_for_the_client_disturbs_nothing(
    order: list[Any], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow answers of every kind, many at once on few connections, arrive whole and are told as they are."""
    monkeypatch.setattr(asgi, "WORTH_ASKING", 0.0)
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
    async with served(app) as address, httpx.AsyncClient(base_url=address, limits=limits) as client:
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
    monkeypatch.setattr(asgi, "WORTH_ASKING", 0.0)
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
    await HTTPEvents(late)(scope, receive, ignore)
    assert read == [{"type": "http.request", "body": b"", "more_body": False}]
    assert [request.status_code for request in told] == [200]


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


async def nothing() -> Any:
    return await asyncio.Event().wait()


async def ignore(message: Any) -> None:
    pass
