"""The failures of an application's routes are announced before the first request fails."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from events.bridges.asgi import HTTPEventsMiddleware
from events.bridges.asgi.declared_routes import declared_routes, find_router
from events.bus import announcements
from metrics import HTTP, Endpoint, subscribe


def series(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of a family's series, by those of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"acme_{name}"
    }


async def answer(_: Any) -> PlainTextResponse:
    return PlainTextResponse("ok")


class Item(HTTPEndpoint):
    """An endpoint with a function a method."""

    async def get(self, _: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def delete(self, _: Any) -> PlainTextResponse:
        return PlainTextResponse("gone")


class Chat(WebSocketEndpoint):
    """A websocket."""

    encoding = "text"


def test_every_kind_of_route_is_found_by_its_template(files: Any) -> None:
    app, router, inner = FastAPI(openapi_url=None), APIRouter(prefix="/v1"), APIRouter(prefix="/deep")

    @inner.post("/{name}")
    async def create(name: str) -> None: ...

    @inner.websocket("/{name}/live")
    async def live(socket: WebSocket, name: str) -> None: ...

    router.include_router(inner)
    app.include_router(router)
    app.api_route("/both", methods=["GET", "POST"])(lambda: "ok")
    plain = Router([Route("/item/{id}", Item), WebSocketRoute("/chat", Chat), Route("/plain", answer)])
    app.mount("/{tenant}/plain", plain)
    app.mount("/files", StaticFiles(directory=files))
    app.router.routes.append(Host("admin.example.org", Router([Route("/users", answer)])))
    assert {(route.template, route.methods) for route in declared_routes(app)} == {
        ("/v1/deep/{name}", ("POST",)),
        ("/v1/deep/{name}/live", ()),
        ("/both", ("GET", "POST")),
        ("/{tenant}/plain/item/{id}", ("DELETE", "GET")),
        ("/{tenant}/plain/chat", ()),
        ("/{tenant}/plain/plain", ("GET",)),
        ("/files/{path}", ("GET",)),
        ("/users", ("GET",)),
    }


def test_a_router_is_found_behind_middlewares() -> None:
    app = Starlette(routes=[Route("/", answer)])
    assert find_router(HTTPEventsMiddleware(HTTPEventsMiddleware(app))) is app
    assert find_router(answer) is None
    assert find_router(None) is None


def build(application: str = "", wrapped: bool = False) -> Any:
    registry = CollectorRegistry()
    app = FastAPI(openapi_url=None)

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError

    @app.get("/healthz")
    async def healthz() -> str:
        return "well"

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError

    app.mount("/metrics", Endpoint(registry))
    app.state.registry = registry
    if wrapped:
        return HTTPEventsMiddleware(app, application=application), registry
    app.add_middleware(HTTPEventsMiddleware, application=application)
    return app, registry


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("first", ["scrape", "start", "subscription"])
def test_the_first_500_of_an_endpoint_is_an_increase(wrapped: bool, first: str) -> None:
    app, registry = build(wrapped=wrapped)
    client = TestClient(app, raise_server_exceptions=False)
    if first == "subscription":
        client.get("/healthz")
    with subscribe(HTTP, registry, namespace="acme"):
        if first == "scrape":
            client.get("/metrics")
        elif first == "start":
            with client:
                pass
        assert series(registry, "http_requests_total") == {
            ("GET", "/fails", "500"): 0,
            ("GET", "/healthz", "500"): 0,
            ("GET", "/live", "500"): 0,
        }
        outcomes = series(registry, "http_request_outcomes_total")
        assert {key: value for key, value in outcomes.items() if "unmatched" not in key} == {
            ("/fails", "server_error"): 0,
            ("/healthz", "server_error"): 0,
            ("/live", "server_error"): 0,
        }
        assert series(registry, "websocket_sessions_total") == {("/live", "1006"): 0}
        assert series(registry, "http_request_duration_seconds_count") == {}
        client.get("/fails")
        assert series(registry, "http_requests_total")["GET", "/fails", "500"] == 1


def test_routes_that_are_added_after_the_start_are_announced_by_the_first_request_and_by_no_other() -> None:
    app, registry = build()
    with subscribe(HTTP, registry, namespace="acme"), TestClient(app) as client:
        for path in ("/first", "/second"):
            app.get(path)(lambda: "ok")
            client.get("/healthz")
        announced = series(registry, "http_requests_total")
    assert ("GET", "/first", "500") in announced
    assert ("GET", "/second", "500") not in announced


def test_what_does_not_fit_a_label_is_announced_not_at_all() -> None:
    """Else the routes that are declared first would have the room of those that are asked most."""
    app, registry = build()
    with subscribe(HTTP, registry, namespace="acme", label_limits={"endpoint": 2}):
        client = TestClient(app, raise_server_exceptions=False)
        client.get("/metrics")
        assert series(registry, "http_requests_total") == {}
        client.get("/healthz")
        assert ("GET", "/healthz", "200") in series(registry, "http_requests_total")


def test_a_mounted_application_announces_nothing_under_templates_that_are_not_its_own() -> None:
    (app, registry), (inner, _) = build(), build("admin")
    inner.get("/users")(lambda: "ok")
    app.mount("/{tenant}/admin", inner)
    with subscribe(HTTP, registry, namespace="acme"):
        TestClient(app).get("/acme/admin/users")
        shown = {endpoint for _, endpoint, _ in series(registry, "http_requests_total")}
    assert {endpoint for endpoint in shown if "users" in endpoint} == {"/{tenant}/admin/users"}


@pytest.mark.parametrize("how", ["added", "around"])
def test_a_named_application_inside_another_one_has_its_failures_from_the_start(how: str) -> None:
    (shop, of_shop), of_admin = build("shop"), CollectorRegistry()
    admin = FastAPI(openapi_url=None)
    admin.get("/users")(lambda: 1 / 0)
    if how == "added":
        admin.add_middleware(HTTPEventsMiddleware, application="admin")
    shop.mount("/{tenant}/admin", admin if how == "added" else HTTPEventsMiddleware(admin, application="admin"))
    failed = ("GET", "/{tenant}/admin/users", "500")
    with (
        subscribe(HTTP, of_shop, namespace="acme", application="shop"),
        subscribe(HTTP, of_admin, namespace="acme", application="admin"),
        TestClient(shop, raise_server_exceptions=False) as client,
    ):
        registries = (of_shop, of_admin)
        assert [series(each, "http_requests_total")[failed] for each in registries] == [0, 0]
        client.get("/acme/admin/users")
        assert [series(each, "http_requests_total")[failed] for each in registries] == [1, 1]
        assert not any(path == "/fails" for _, path, _ in series(of_admin, "http_requests_total"))


def test_a_route_below_an_excluded_path_is_announced_as_it_is_counted() -> None:
    app, registry = FastAPI(openapi_url=None), CollectorRegistry()
    app.get("/up/{path}")(lambda path: 1 / 0)
    app.get("/up")(lambda: "ok")
    app.mount("/metrics", Endpoint(registry))
    app.add_middleware(HTTPEventsMiddleware, exclude=("/up", "/metrics"))
    with (
        subscribe(HTTP, registry, namespace="acme"),
        TestClient(app, raise_server_exceptions=False) as client,
    ):
        assert series(registry, "http_requests_total") == {("GET", "/up/{path}", "500"): 0}
        client.get("/up/5")
        assert series(registry, "http_requests_total") == {("GET", "/up/{path}", "500"): 1}


def test_an_application_counts_its_own_routes() -> None:
    (shop, registry), (admin, _) = build("shop"), build("admin")
    admin.get("/users")(lambda: "ok")
    with subscribe(HTTP, registry, namespace="acme", application="shop"):
        for app in (shop, admin):
            TestClient(app).get("/healthz")
        assert ("GET", "/fails", "500") in series(registry, "http_requests_total")
        assert ("GET", "/users", "500") not in series(registry, "http_requests_total")


def test_a_channel_that_no_router_declares_has_a_series_once_a_connection_is_accepted() -> None:
    registry = CollectorRegistry()
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        seen.append(series(registry, "websocket_sessions_total"))
        await send({"type": "websocket.close"})

    with (
        subscribe(HTTP, registry, namespace="acme"),
        TestClient(HTTPEventsMiddleware(app)).websocket_connect("/live") as session,
    ):
        assert session.receive()["type"] == "websocket.close"
    assert seen == [{("unmatched", "1006"): 0}]


def test_the_announcer_of_a_middleware_goes_with_it() -> None:
    before = announcements._announcers
    app = HTTPEventsMiddleware(Starlette())
    assert len(announcements._announcers) == len(before) + 1
    del app
    gc.collect()
    assert announcements._announcers == before
