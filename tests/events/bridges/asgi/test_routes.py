"""The ASGI bridge names the route, not the URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from events import HTTPRequestFinished
from events.bridges.asgi import HTTPEventsMiddleware
from tests.support.asgi_apps import (
    BOTH_WAYS,
    HAS_FRONTEND,
    INCLUDES_ALL,
    App,
    answers,
    client_of,
    ignore,
    inside,
    item,
    nothing,
    plain,
    site,
    starlette_routes,
    studio,
)

Told = list[HTTPRequestFinished]


INCLUDED: Sequence[tuple[str, str, str, int]] = (
    ("GET", "/api/outer/inner/plain/1", "/api/outer/inner/plain/{key}", 200),
    ("GET", "/api/outer/inner/mount/me/deep/1", "/api/outer/inner/mount/{who}/deep/{key}", 200),
    ("GET", "/api/outer/inner/mount/me/more/a/1", "/api/outer/inner/mount/{who}/more/{name}/{number:int}", 200),
    ("GET", "/sub/routed/mount/me/deep/1", "/sub/routed/mount/{who}/deep/{key}", 200),
)

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
    ("GET", "/sub/direct/1", "/sub/direct/{number}", 200),
    ("GET", "/sub/docs", "/sub/docs", 200),
    ("GET", "/sub/routed/thing/1", "/sub/routed/thing/{number}", 200),
    ("GET", "/sub/routed/plain/1", "/sub/routed/plain/{key}", 200),
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
    *(INCLUDED if INCLUDES_ALL else []),
    *([("GET", "/pages/a.txt", "/pages/{path}", 200)] if HAS_FRONTEND else []),
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
    assert seen == [("other" if status == 405 else method, endpoint, status) for method, _, endpoint, status in rows]


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
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
    every = [*methods, *(f"FOOBAR{number}" for number in range(50))]
    async with client_of(inside(Starlette(routes=[Route("/", plain, methods=every)]))) as client:
        for number in range(50):
            await client.request(f"FOOBAR{number}", "/")
        for method in methods:
            await client.request(method, "/")
        # Methods are case-sensitive (RFC 9110, section 9.1): this is none of the nine.
        scope = {"type": "http", "method": "get", "path": "/", "headers": [], "root_path": "", "query_string": b""}
        await HTTPEventsMiddleware(answers)(scope, nothing, ignore)
    assert {request.method for request in told} == {*methods, "other"}
    assert sum(request.method == "other" for request in told) == 51


@BOTH_WAYS
async def test_methods_that_a_route_does_not_have_are_one_method(use: Any, told: Told) -> None:
    """Whoever tries them all on every route makes two pairs of each, and later routes keep their methods' names."""
    app = FastAPI()
    for number in range(20):
        app.get(f"/{number}/{{name}}")(lambda: "here")
    async with client_of(use(app)) as client:
        for number in range(20):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "FOOBAR"):
                await client.request(method, f"/{number}/any")
    pairs = {(request.method, request.endpoint) for request in told}
    assert pairs == {(method, f"/{number}/{{name}}") for method in ("GET", "other") for number in range(20)}
    assert {request.status_code for request in told if request.method == "other"} == {405}


async def test_a_prefix_from_outside_is_no_part_of_the_template(told: Told) -> None:
    """A proxy's prefix, in whichever of the usual ways, names no route; neither does one that a client makes up."""
    app = FastAPI()
    app.get("/items/{number}")(item)
    app.mount("/star/{name}", Starlette(routes=starlette_routes()))
    app.add_middleware(HTTPEventsMiddleware)
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
    trusting.add_middleware(HTTPEventsMiddleware)
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
    for outermost in (app, inside(app), HTTPEventsMiddleware(app)):
        async with client_of(outermost) as client:
            await client.get("/sub/items/1")
    assert [request.endpoint for request in told] == ["/sub/items/{number}"] * 3


async def test_excluded_paths_are_not_told(told: Told) -> None:
    app = FastAPI()
    app.get("/metrics")(lambda: "here")
    app.mount("/scrape", answers)
    app.get("/metrics/more")(lambda: "here")
    app.add_middleware(HTTPEventsMiddleware, exclude=("/metrics", "/scrape"))
    async with client_of(app, root_path="/proxy") as client:
        for url in ("/metrics", "/metrics/", "/proxy/metrics", "/scrape", "/scrape/", "/metrics?name=x"):
            await client.get(url)
        assert not told
        await client.get("/metrics/more")
    assert [request.endpoint for request in told] == ["/metrics/more"]


def test_one_path_to_exclude_is_still_a_list() -> None:
    with pytest.raises(TypeError, match=r"write exclude=\('/metrics',\)"):
        HTTPEventsMiddleware(answers, exclude="/metrics")


async def test_a_route_beside_a_websocket_of_the_same_path_is_told(told: Told) -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()

    app = Starlette(routes=[WebSocketRoute("/talk/{key}", talk), Route("/talk/{key}", plain)])
    async with client_of(inside(app)) as client:
        await client.get("/talk/1")
    assert [request.endpoint for request in told] == ["/talk/{key}"]


async def test_routes_that_come_later_are_found(told: Told) -> None:
    """What was learned of an application's routes is no longer true once it gets more of them."""
    app = Starlette(routes=[Mount("/early/{name}", routes=[Route("/{key}", plain)])])
    bridged = HTTPEventsMiddleware(app)
    async with client_of(bridged) as client:
        assert (await client.get("/early/a/1")).status_code == 200
        assert (await client.get("/late/a/1")).status_code == 404
        late = Starlette(routes=[Route("/{key}", plain)])
        app.router.routes.append(Mount("/late/{name}", late))
        assert (await client.get("/late/a/1")).status_code == 200
        late.router.routes.append(Mount("/more/{other}", routes=[Route("/{number}", plain)]))
        assert (await client.get("/late/a/more/b/2")).status_code == 200
        late.router.routes.append(Route("/x/{what}", item_page))
        assert (await client.get("/late/a/x/3")).status_code == 200
    assert [request.endpoint for request in told] == [
        "/early/{name}/{key}",
        "unmatched",
        "/late/{name}/{key}",
        "/late/{name}/more/{other}/{number}",
        "/late/{name}/x/{what}",
    ]


async def item_page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("item")
