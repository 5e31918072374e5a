"""Several applications in one process: a subscription counts the one that it names, and none outlives its registry."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events import Label, Signal, database_used, http_activity_read, http_request_finished
from events.bridges.asgi import HTTPEventsMiddleware, read_in_flight
from metrics import CATALOGUE, HTTP, Endpoint, Workers, counter, subscribe
from metrics.subscription.subscribe import declared_signals
from tests.support.asgi_apps import client_for
from tests.support.wait import until


def requests_in(registry: CollectorRegistry) -> Counter[str]:
    """Return the numbers of requests by endpoint."""
    return Counter(
        sample.labels["endpoint"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "acme_http_requests_total"
        for _ in range(int(sample.value))
    )


def application(name: str, *paths: str, lifespan: Any = None) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    for path in paths:
        app.get(path)(lambda: "ok")
    app.add_middleware(HTTPEventsMiddleware, application=name)
    return app


@pytest.fixture
def registries() -> Iterator[Any]:
    """Return a function that returns the registry of a subscription to one application, or to all."""
    subscriptions = []

    def counting(name: str) -> CollectorRegistry:
        registry = CollectorRegistry()
        subscriptions.append(subscribe(HTTP, registry, namespace="acme", application=name))
        return registry

    yield counting
    for subscription in subscriptions:
        subscription.close()


def test_two_applications_have_numbers_of_their_own(registries: Any) -> None:
    shop, admin = application("shop", "/shop"), application("admin", "/admin")
    of_shop, of_admin, of_both = registries("shop"), registries("admin"), registries("")
    TestClient(shop).get("/shop")
    TestClient(admin).get("/admin")
    TestClient(admin).get("/absent")
    assert requests_in(of_shop) == {"/shop": 1}
    assert requests_in(of_admin) == {"/admin": 1, "unmatched": 1}
    assert requests_in(of_both) == {"/shop": 1, "/admin": 1, "unmatched": 1}


def test_a_request_to_a_mounted_application_counts_once_in_each_that_asks(registries: Any) -> None:
    shop, admin = application("shop", "/shop"), application("admin", "/users")
    shop.mount("/admin", admin)
    of_shop, of_admin, of_both = registries("shop"), registries("admin"), registries("")
    client = TestClient(shop)
    for path in ("/shop", "/admin/users", "/admin/users"):
        assert client.get(path).status_code == 200
    assert requests_in(of_shop) == requests_in(of_both) == {"/shop": 1, "/admin/users": 2}
    assert requests_in(of_admin) == {"/admin/users": 2}


@pytest.mark.parametrize("outer", ["", "shop"])
def test_a_mounted_application_is_counted_whether_the_one_around_it_has_a_name(outer: str, registries: Any) -> None:
    app, admin = application(outer), application("admin", "/users")
    app.mount("/admin", admin)
    of_admin = registries("admin")
    TestClient(app).get("/admin/users")
    assert requests_in(of_admin) == {"/admin/users": 1}


def test_an_application_that_is_instrumented_twice_counts_once(registries: Any) -> None:
    app = application("shop", "/shop")
    app.add_middleware(HTTPEventsMiddleware, application="shop")
    of_shop, of_all = registries("shop"), registries("")
    TestClient(HTTPEventsMiddleware(app, application="shop")).get("/shop")
    assert requests_in(of_shop) == requests_in(of_all) == {"/shop": 1}


def test_a_health_check_that_one_excludes_counts_in_the_other(registries: Any) -> None:
    admin = application("admin", "/healthz")
    app = FastAPI()
    app.mount("/admin", admin)
    app.add_middleware(HTTPEventsMiddleware, exclude=("/admin/healthz",), application="shop")
    of_shop, of_admin = registries("shop"), registries("admin")
    TestClient(app).get("/admin/healthz")
    assert (requests_in(of_shop), requests_in(of_admin)) == ({}, {"/admin/healthz": 1})


def test_what_is_open_is_that_of_the_application(registries: Any) -> None:
    of_shop, of_admin, of_both = registries("shop"), registries("admin"), registries("")
    seen: list[float | None] = []

    def look() -> str:
        seen.extend(registry.get_sample_value("acme_http_active_requests") for registry in (of_shop, of_admin, of_both))
        return "ok"

    shop, _ = application("shop"), HTTPEventsMiddleware(FastAPI(), application="admin")
    shop.get("/look")(look)
    TestClient(shop).get("/look")
    assert seen == [1, 0, 1]
    seen.clear()
    look()
    assert seen == [0, 0, 0]


def names_read() -> list[str]:
    """Return the names of the applications whose open requests are emitted at a scrape."""
    with http_activity_read.captured() as events:
        read_in_flight()
    return [event.application for event in events if event.application]


def test_the_name_of_an_application_goes_with_the_last_that_has_it() -> None:
    before = {*names_read()}
    first, second = (HTTPEventsMiddleware(FastAPI(), application="brief") for _ in range(2))
    assert names_read().count("brief") == 1
    del first
    gc.collect()
    assert "brief" in names_read()
    del second
    gc.collect()
    assert "brief" in names_read()  # at 0, for whoever showed another number
    assert {*names_read()} <= before


def test_what_was_open_in_an_application_that_is_gone_is_shown_no_more(registries: Any) -> None:
    of_brief = registries("brief")
    app = application("brief")
    seen: list[float | None] = []
    app.get("/look")(lambda: seen.append(of_brief.get_sample_value("acme_http_active_requests")))
    TestClient(app).get("/look")
    del app
    gc.collect()
    assert [*seen, of_brief.get_sample_value("acme_http_active_requests")] == [1, 0]


def test_the_name_of_an_application_has_no_slash() -> None:
    with pytest.raises(ValueError, match="takes no slash"):
        HTTPEventsMiddleware(FastAPI(), application="/admin")


def test_websockets_are_those_of_the_application(registries: Any) -> None:
    of_shop, of_admin = registries("shop"), registries("admin")
    shop, _ = application("shop"), HTTPEventsMiddleware(FastAPI(), application="admin")

    @shop.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    with TestClient(shop).websocket_connect("/socket") as session:
        assert session.receive_text() == "hello"
        active = [registry.get_sample_value("acme_websocket_active_sessions") for registry in (of_shop, of_admin)]
    closed = {"channel": "/socket", "close_code": "1000"}
    counts = [registry.get_sample_value("acme_websocket_sessions_total", closed) for registry in (of_shop, of_admin)]
    assert counts == [1, None]
    assert active in ([1, 0], [0, 0])  # it may be closed by then


def test_an_application_that_starts_again_counts_anew() -> None:
    seen: list[Counter[str]] = []

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        registry = CollectorRegistry()
        with subscribe(CATALOGUE, registry, namespace="acme"):
            yield
            seen.append(requests_in(registry))

    app = application("", "/shop", lifespan=lifespan)
    for _ in range(2):
        with TestClient(app) as client:
            client.get("/shop")
    assert seen == [{"/shop": 1}, {"/shop": 1}]


def test_a_wsgi_application_behind_a_mount_counts(registries: Any) -> None:
    middleware = pytest.importorskip("starlette.middleware.wsgi", exc_type=ImportError)

    def wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"old"]

    app = application("shop")
    app.mount("/old", middleware.WSGIMiddleware(wsgi))
    of_shop = registries("shop")
    assert TestClient(app).get("/old/page").text == "old"
    assert requests_in(of_shop) == {"/old/{path}": 1}


def receivers() -> int:
    return len(http_request_finished.receivers)


def test_a_subscription_that_nobody_can_read_ends() -> None:
    before = receivers()
    gc.disable()  # its end does not wait for the garbage collector
    try:
        registry = CollectorRegistry()
        subscribe(CATALOGUE, registry, namespace="acme")
        gone = ref(registry)
        assert receivers() == before + 1
        del registry
        assert (gone(), receivers()) == (None, before)
    finally:
        gc.enable()


async def test_an_application_keeps_the_subscription_whose_metrics_it_serves() -> None:
    def build() -> FastAPI:
        app, registry = application("", "/shop"), CollectorRegistry()
        subscribe(CATALOGUE, registry, namespace="acme")
        app.add_route("/metrics", Endpoint(registry))  # type: ignore[arg-type]  # it takes functions alone
        return app

    before, app = receivers(), build()
    gc.collect()
    async with client_for(app) as client:
        await client.get("/shop")
        assert 'endpoint="/shop"' in (await client.get("/metrics")).text
    del app, client

    def is_gone() -> bool:
        gc.collect()
        return receivers() == before

    await until(is_gone)  # the event loop may hold on to the last request for another turn


def test_a_subscription_keeps_its_registry() -> None:
    subscription = subscribe(CATALOGUE, CollectorRegistry(), namespace="acme")
    gc.collect()
    TestClient(application("", "/shop")).get("/shop")
    collector = subscription.collector("http_requests_total")
    assert collector.labels(method="GET", endpoint="/shop", status_code="200")._value.get() == 1
    subscription.close()


def test_a_subscription_whose_numbers_other_processes_read_ends_when_it_is_closed(tmp_path: Path) -> None:
    before = {signal: {*signal.receivers} for signal in declared_signals()}
    workers = Workers(tmp_path)
    subscribe(HTTP, CollectorRegistry(), namespace="acme", workers=workers)
    gc.collect()
    left = [
        (signal, receiver)
        for signal in declared_signals()
        for key, receiver in tuple(signal.receivers.items())
        if key not in before[signal]
    ]
    for signal, receiver in left:
        signal.disconnect(receiver)
    workers.close()
    assert http_request_finished in [signal for signal, _ in left]


def test_the_endpoints_of_one_application_take_no_room_of_anothers() -> None:
    """Also where both use a database, and the label has room for each of them alone."""
    registry = CollectorRegistry()
    shop, admin = (application(name, *(f"/{name}/{number}" for number in range(3))) for name in ("shop", "admin"))
    with subscribe(CATALOGUE, registry, namespace="acme", application="shop", label_limits={"endpoint": 4}):
        for app, name in ((admin, "admin"), (shop, "shop")):
            for number in range(3):
                TestClient(app).get(f"/{name}/{number}")
                database_used.emit(
                    scope="http", endpoint=f"/{name}/{number}", applications=name, queries=1, duration=0.1, repeated=1
                )
        assert requests_in(registry) == Counter({f"/shop/{number}": 1 for number in range(3)})
        endpoints = {
            sample.labels["endpoint"]
            for family in registry.collect()
            for sample in family.samples
            if "endpoint" in sample.labels
        }
    assert endpoints - {"unmatched"} == {f"/shop/{number}" for number in range(3)}


def test_what_an_agent_used_of_the_database_is_every_applications() -> None:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="acme", application="shop"):
        database_used.emit(scope="agent", queries=2, duration=0.1)
        assert registry.get_sample_value("acme_db_scope_queries_sum", {"scope": "agent"}) == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSold:
    """An event of somebody's own, which is of an application by what no event of ours reads."""

    shop: Label
    price: float = 0.0

    def is_of(self, application: str) -> bool:
        return application in {"", self.shop}


def test_an_event_says_itself_whose_it_is_whatever_it_reads() -> None:
    page_sold = Signal(PageSold)
    registry = CollectorRegistry()
    rows = [counter("pages_sold_total", "Pages sold.", page_sold, labels=("shop",))]
    with subscribe(rows, registry, namespace="acme", application="books", label_limits={"shop": 4}):
        for shop in ("books", "maps", "books") * 20:  # at first an event is built each time
            page_sold.emit(shop=shop)
        assert registry.get_sample_value("acme_pages_sold_total", {"shop": "books"}) == 40
        assert registry.get_sample_value("acme_pages_sold_total", {"shop": "maps"}) is None
