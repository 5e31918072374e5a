"""The ASGI bridge records the template of the route, not the URL."""

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
from events.bridges.asgi.routes import RouterIndex, RouteTemplates
from tests.support.asgi_apps import (
    EITHER_INSTALLATION,
    HAS_FRONTEND,
    KEEPS_INCLUDED_ROUTES,
    App,
    app_with_every_route,
    client_for,
    item,
    minimal_app,
    plain_text,
    receive_nothing,
    send_nowhere,
    starlette_app_with_every_route,
    starlette_routes,
    with_middleware,
)

Requests = list[HTTPRequestFinished]


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
    *(INCLUDED if KEEPS_INCLUDED_ROUTES else []),
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


@pytest.mark.slow
@EITHER_INSTALLATION
@pytest.mark.parametrize(("make", "table"), [(app_with_every_route, STUDIO), (starlette_app_with_every_route, SITE)])
async def test_the_endpoint_is_the_full_template_of_the_route(
    *, install: Callable[[App], App], make: Callable[[Path], App], table: Sequence[Any], files: Path, requests: Requests
) -> None:
    """On every kind of route, whichever request came before: each table runs twice, shuffled."""
    rows = [*table, *table]
    Random(1).shuffle(rows)
    async with client_for(install(make(files))) as client:
        for method, url, *_ in rows:
            await client.request(method, url)
    seen = [(request.method, request.endpoint, request.status_code) for request in requests]
    assert seen == [("other" if status == 405 else method, endpoint, status) for method, _, endpoint, status in rows]


@EITHER_INSTALLATION
async def test_a_preflight_is_unmatched(install: Any, files: Path, requests: Requests) -> None:
    asks = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "GET"}
    async with client_for(install(app_with_every_route(files)), headers=asks) as client:
        assert (await client.options("/items/1")).status_code == 200
    assert [(request.method, request.endpoint, request.status_code) for request in requests] == [
        ("OPTIONS", "unmatched", 200)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    ["/{}", "/sub/{}", "/t/{}/nothing", "/items/{}", "/items/{}/", "/star/files/{}", "/t/{}/direct/1", "/files/{}",
     "/pages/{}", "/plain/{}", "/api/outer/inner/mount/{}/deep/1"],
)  # fmt: skip
async def test_no_url_becomes_an_endpoint(url: str, files: Path, requests: Requests) -> None:
    random = Random(url)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-._~/%2F%00%C3%A9"
    async with client_for(with_middleware(app_with_every_route(files))) as client:
        for _ in range(100 if url != "/{}" else 1000):
            await client.get(url.format("".join(random.choices(letters, k=random.randint(1, 40)))))
    declared = {endpoint for _, _, endpoint, _ in STUDIO} | {"unknown"}
    assert {request.endpoint for request in requests} <= declared
    assert len({request.endpoint for request in requests}) <= 3  # a slash in the middle may lead to another route


@pytest.mark.slow
async def test_a_thousand_unmatched_urls_are_one_endpoint(requests: Requests) -> None:
    app = FastAPI()
    app.get("/items/{number}")(item)
    random = Random(2)
    async with client_for(with_middleware(app)) as client:
        for _ in range(1000):
            await client.get(f"/{random.randbytes(8).hex()}")
    assert len(requests) == 1000
    assert {(request.endpoint, request.status_code) for request in requests} == {("unmatched", 404)}


async def test_methods_outside_the_standards_are_other(requests: Requests) -> None:
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
    every = [*methods, *(f"FOOBAR{number}" for number in range(50))]
    async with client_for(with_middleware(Starlette(routes=[Route("/", plain_text, methods=every)]))) as client:
        for number in range(50):
            await client.request(f"FOOBAR{number}", "/")
        for method in methods:
            await client.request(method, "/")
        # Methods are case-sensitive (RFC 9110, section 9.1): this is none of the nine.
        scope = {"type": "http", "method": "get", "path": "/", "headers": [], "root_path": "", "query_string": b""}
        await HTTPEventsMiddleware(minimal_app)(scope, receive_nothing, send_nowhere)
    assert {request.method for request in requests} == {*methods, "other"}
    assert sum(request.method == "other" for request in requests) == 51


@pytest.mark.slow
@EITHER_INSTALLATION
async def test_methods_that_a_route_does_not_have_are_other(install: Any, requests: Requests) -> None:
    """A client that tries them all makes two pairs of each route, and other routes keep their methods' names."""
    app = FastAPI()
    for number in range(20):
        app.get(f"/{number}/{{name}}")(lambda: "here")
    async with client_for(install(app)) as client:
        for number in range(20):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "FOOBAR"):
                await client.request(method, f"/{number}/any")
    pairs = {(request.method, request.endpoint) for request in requests}
    assert pairs == {(method, f"/{number}/{{name}}") for method in ("GET", "other") for number in range(20)}
    assert {request.status_code for request in requests if request.method == "other"} == {405}


async def test_a_proxy_prefix_is_no_part_of_the_template(requests: Requests) -> None:
    """Neither in either of the usual ways to pass it, nor one that a client made up."""
    app = FastAPI()
    app.get("/items/{number}")(item)
    app.mount("/star/{name}", Starlette(routes=starlette_routes()))
    app.add_middleware(HTTPEventsMiddleware)
    async with client_for(app, root_path="/proxy") as client:
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
        async with client_for(trusting, headers={"X-Forwarded-Prefix": f"/made/up/{number}"}) as client:
            assert (await client.get("/items/1")).status_code == 200
            assert (await client.get("/star/a/deep/1")).status_code == 200
    assert [request.endpoint for request in requests] == ["/items/{number}", "/star/{name}/deep/{key}"] * 4


async def test_a_route_beside_a_websocket_of_the_same_path_is_found(requests: Requests) -> None:
    async def talk(socket: WebSocket) -> None:
        await socket.accept()

    app = Starlette(routes=[WebSocketRoute("/talk/{key}", talk), Route("/talk/{key}", plain_text)])
    async with client_for(with_middleware(app)) as client:
        await client.get("/talk/1")
    assert [request.endpoint for request in requests] == ["/talk/{key}"]


async def test_routes_that_are_added_later_are_found(requests: Requests) -> None:
    """The cached index of an application's routes is no longer true once it has more of them."""
    app = Starlette(routes=[Mount("/early/{name}", routes=[Route("/{key}", plain_text)])])
    bridged = HTTPEventsMiddleware(app)
    async with client_for(bridged) as client:
        assert (await client.get("/early/a/1")).status_code == 200
        assert (await client.get("/late/a/1")).status_code == 404
        late = Starlette(routes=[Route("/{key}", plain_text)])
        app.router.routes.append(Mount("/late/{name}", late))
        assert (await client.get("/late/a/1")).status_code == 200
        late.router.routes.append(Mount("/more/{other}", routes=[Route("/{number}", plain_text)]))
        assert (await client.get("/late/a/more/b/2")).status_code == 200
        late.router.routes.append(Route("/x/{what}", item_page))
        assert (await client.get("/late/a/x/3")).status_code == 200
    assert [request.endpoint for request in requests] == [
        "/early/{name}/{key}",
        "unmatched",
        "/late/{name}/{key}",
        "/late/{name}/more/{other}/{number}",
        "/late/{name}/x/{what}",
    ]


async def test_only_what_the_application_declares_is_remembered(requests: Requests) -> None:
    """A client chooses the values of parameters: to remember a mount for each would fill the memory."""

    class CountedPattern:
        searches = 0

        def __init__(self, pattern: Any) -> None:
            self.pattern = pattern

        def match(self, path: str) -> Any:
            CountedPattern.searches += 1
            return self.pattern.match(path)

    mounts: list[Any] = [Mount(path, routes=[Route("/{key}", plain_text)]) for path in ("/fixed", "/any/{name}")]
    for mount in mounts:
        mount.path_regex = CountedPattern(mount.path_regex)
    searches = []
    async with client_for(HTTPEventsMiddleware(Starlette(routes=mounts))) as client:
        for url in ("/fixed/1", "/fixed/2", "/any/a/1", "/any/a/2"):
            CountedPattern.searches = 0
            assert (await client.get(url)).status_code == 200
            searches.append(CountedPattern.searches)
    of_starlette = [1, 1, 2, 2]
    assert [all_of - own for all_of, own in zip(searches, of_starlette, strict=True)] == [1, 0, 2, 2]


def test_routes_are_searched_for_again_only_once_there_are_others() -> None:
    templates, app = RouteTemplates(), Starlette(routes=[Route("/{key}", plain_text)])
    index = templates._index(app)
    assert templates._index(app) is index
    assert templates._index(Starlette()) is not index
    app.router.routes.append(Route("/x/{what}", plain_text))
    assert templates._index(app) is not index
    templates._indexes[id(app)] = RouterIndex(Starlette(routes=[*app.routes]))  # of one that was at the same address
    assert templates._index(app).router is app


async def item_page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("item")
