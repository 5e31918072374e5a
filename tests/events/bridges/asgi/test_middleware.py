"""The ASGI middleware: what it tracks, and that a failure of its own never reaches the application."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

import events
from events import HTTPRequestFinished
from events.bridges.asgi import HEALTH_CHECKS, SCRAPES, HTTPEventsMiddleware
from tests.support.asgi_apps import (
    client_for,
    item,
    minimal_app,
    receive_nothing,
    send_nowhere,
    with_middleware,
)

Requests = list[HTTPRequestFinished]


async def test_the_lifespan_passes_untouched(requests: Requests) -> None:
    seen: list[tuple[Any, Any, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    await HTTPEventsMiddleware(app)({"type": "lifespan"}, receive_nothing, send_nowhere)
    assert seen == [({"type": "lifespan"}, receive_nothing, send_nowhere)]
    assert not requests


@pytest.mark.lenient
async def test_a_failure_inside_the_bridge_never_reaches_the_request(requests: Requests) -> None:
    async def malformed(scope: Any, receive: Any, send: Any) -> None:
        scope["endpoint"], scope["app_root_path"], scope["root_path"] = malformed, "", None
        await minimal_app(scope, receive, send)

    sent: list[Any] = []

    async def record(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with events.receiver_failed.captured() as failed:
        await HTTPEventsMiddleware(malformed)(scope, receive_nothing, record)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert [(request.endpoint, request.status_code) for request in requests] == [("unknown", 200)]
    assert [(failure.signal, failure.receiver) for failure in failed] == [
        ("http_request_finished", "HTTPEventsMiddleware")
    ]


@pytest.mark.lenient
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"many")], iter([(b"content-length", b"4")])])
@pytest.mark.parametrize("body", [{"body": b"here"}, {"body": None}, {}])
async def test_malformed_messages_reach_the_server_unchanged(
    headers: Any, body: dict[str, Any], requests: Requests
) -> None:
    """What the bridge can't read is left for the server to refuse, and an iterator of headers is not consumed."""

    async def malformed(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", **body})

    sent: list[Any] = []

    async def record(message: Any) -> None:
        sent.append(message)

    left = list(headers) if isinstance(headers, list) else None
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"content-length", b"-1")]}
    await HTTPEventsMiddleware(malformed)(scope, receive_nothing, record)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert left is None or list(sent[0]["headers"]) == left
    assert [request.status_code for request in requests] == [200]


@pytest.mark.lenient
async def test_a_malformed_scope_still_reaches_the_application(requests: Requests) -> None:
    for scope in ({"type": "http"}, {"type": "http", "path": None}, {"type": "websocket"}):
        sent: list[Any] = []

        async def record(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await HTTPEventsMiddleware(minimal_app)(scope, receive_nothing, record)
        assert len(sent) == 2
    assert not requests


async def test_of_stacked_middlewares_only_the_outermost_emits(requests: Requests) -> None:
    """A mounted application may have its own; the template is the full one all the same."""
    sub = with_middleware(FastAPI())
    sub.get("/items/{number}")(item)
    app = FastAPI()
    app.mount("/sub", sub)
    for outermost in (app, with_middleware(app), HTTPEventsMiddleware(app)):
        async with client_for(outermost) as client:
            await client.get("/sub/items/1")
    assert [request.endpoint for request in requests] == ["/sub/items/{number}"] * 3


async def test_excluded_paths_emit_nothing(requests: Requests) -> None:
    app = FastAPI()
    app.get("/metrics")(lambda: "here")
    app.mount("/scrape", minimal_app)
    app.get("/metrics/more")(lambda: "here")
    app.add_middleware(HTTPEventsMiddleware, exclude=("/metrics", "/scrape"))
    async with client_for(app, root_path="/proxy") as client:
        for url in (
            "/metrics",
            "/metrics/",
            "/proxy/metrics",
            "/proxy/metrics/",
            "/scrape",
            "/scrape/",
            "/metrics?name=x",
        ):
            await client.get(url)
        assert not requests
        await client.get("/metrics/more")
    assert [request.endpoint for request in requests] == ["/metrics/more"]


async def test_scrapes_and_health_checks_can_be_excluded(requests: Requests) -> None:
    app = FastAPI()
    for path in ("/healthz", "/health/ready", "/metrics", "/health/report"):
        app.get(path)(lambda: "well")
    app.add_middleware(HTTPEventsMiddleware, exclude=(*SCRAPES, *HEALTH_CHECKS))
    async with client_for(app) as client:
        for path in ("/healthz", "/health/ready", "/metrics", "/health/report", "/ping"):
            await client.get(path)
    assert [request.endpoint for request in requests] == ["/health/report"]


async def test_a_health_check_counts_where_nobody_excludes_it(requests: Requests) -> None:
    app = with_middleware(FastAPI())
    app.get("/healthz")(lambda: "well")
    async with client_for(app) as client:
        await client.get("/healthz")
    assert [request.endpoint for request in requests] == ["/healthz"]


def test_what_is_no_path_is_not_excluded_in_silence() -> None:
    with pytest.raises(ValueError, match="'health' is no path of a request, which begins with a slash"):
        HTTPEventsMiddleware(minimal_app, exclude=("health",))
    with pytest.raises(ValueError, match="each is meant exactly"):
        HTTPEventsMiddleware(minimal_app, exclude=("/orders/{order}",))


def test_a_string_to_exclude_is_refused() -> None:
    with pytest.raises(TypeError, match=r"write exclude=\('/metrics',\)"):
        HTTPEventsMiddleware(minimal_app, exclude="/metrics")
