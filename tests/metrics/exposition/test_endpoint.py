"""`/metrics` over HTTP, behind a real server and without a framework."""

from __future__ import annotations

import asyncio
import base64
import gzip
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from inspect import signature
from threading import Event
from time import time
from typing import Any

import httpx
import pytest
import zstandard
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from events import MetricsRendered, http_request_finished, metrics_rendered
from events.bridges.asgi import HTTPEventsMiddleware
from metrics import LLM, Endpoint, Subscription, serve, subscribe
from metrics.exposition.endpoint import selected_names, send_response
from metrics.exposition.mounting import answer_own_path
from metrics.fastpath.native_buckets import NativeFamily, enable
from metrics.text_format.formats import PROTOBUF_PARAMETERS
from tests.support.asgi_server import running_server
from tests.support.forks import in_child
from tests.support.samples import Read
from tests.support.wait import until

CHUNK_SIZE = 262_144


@pytest.fixture
def counted(registry: CollectorRegistry) -> CollectorRegistry:
    Counter("calls_total", "Calls.", registry=registry).inc(3)
    Gauge("open", "Open.", registry=registry).set(1)
    return registry


@pytest.fixture
async def client(counted: CollectorRegistry) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running_server(Endpoint(counted, path="/metrics"), lifespan="on") as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


async def test_get_is_answered_with_and_without_a_trailing_slash(
    client: httpx.AsyncClient, counted: CollectorRegistry
) -> None:
    for path in ("/metrics", "/metrics/", "/metrics?name=x"):
        response = await client.get(path, headers={"Accept-Encoding": "identity"})
        assert (response.status_code, response.content) == (200, generate_latest(counted))
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert response.headers["content-length"] == str(len(response.content))


async def test_times_of_creation_are_for_scrapers_of_openmetrics_that_ask_for_them(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)
    openmetrics = {"Accept": "application/openmetrics-text;version=1.0.0"}
    asked = (await client.get("/metrics?created=true", headers=openmetrics)).text
    families = text_string_to_metric_families(asked)  # type: ignore[no-untyped-call]
    [family] = [each for each in families if each.name == "calls"]
    assert [sample.name for sample in family.samples] == ["calls_total", "calls_created"]
    assert family.samples[1].value == pytest.approx(time(), abs=60)
    plain = (await client.get("/metrics", headers=openmetrics)).text
    assert "_created" not in plain
    assert "_created" not in (await client.get("/metrics?created=1", headers=openmetrics)).text
    assert "_created" not in (await client.get("/metrics?created=true")).text
    assert "calls_total 3.0\n" in plain


async def test_classic_buckets_are_left_out_of_messages_alone_where_that_is_asked(
    client: httpx.AsyncClient, counted: CollectorRegistry
) -> None:
    enable(Histogram("took_seconds", "Time.", registry=counted), NativeFamily(3, 160))
    parameters = "; ".join(f"{name}={value}" for name, value in PROTOBUF_PARAMETERS.items())
    for accept, differs in ((f"application/vnd.google.protobuf; {parameters}", True), ("text/plain", False)):
        texts = [
            (await client.get(path, headers={"Accept": accept})).content
            for path in ("/metrics", "/metrics?classic=false", "/metrics?classic=no")
        ]
        assert (len(texts[1]) < len(texts[0])) is differs
        assert len(texts[0]) == len(texts[2])


async def test_head_is_answered_without_the_body(client: httpx.AsyncClient) -> None:
    get, head = await client.get("/metrics"), await client.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "content-encoding", "vary"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("place", ["route", "mount of the root"])
async def test_a_framework_serves_it_as_a_route_or_a_mount_of_the_root(counted: CollectorRegistry, place: str) -> None:
    app = FastAPI()
    if place == "route":
        app.router.routes.append(Route("/metrics", Endpoint(counted)))
    else:
        app.mount("", Endpoint(counted, path="/metrics"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        response = await client.get("/metrics")
        assert (response.status_code, response.content) == (200, generate_latest(counted))


def under_a_prefix(app: Any, root_path: str) -> Any:
    """Return an application as a server runs it whose setting for the prefix of a proxy is this."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": root_path}, receive, send)

    return serve


def of_a_mount(endpoint: Endpoint) -> Any:
    return Starlette(routes=[Mount("/ops", endpoint)])


def of_nested_mounts(endpoint: Endpoint) -> Any:
    return Starlette(routes=[Mount("/{tenant}", Starlette(routes=[Mount("/ops", endpoint)]))])


@pytest.mark.parametrize(
    ("root_path", "build", "path", "status"),
    [
        ("/api", lambda endpoint: endpoint, "/api/metrics", 200),  # a proxy that leaves the path as it is
        ("/api", lambda endpoint: endpoint, "/metrics", 200),  # one that takes its prefix off
        ("/api/", lambda endpoint: endpoint, "/api/metrics/", 200),
        ("/api", lambda endpoint: endpoint, "/api/other", 404),
        ("/api", lambda endpoint: endpoint, "/apimetrics", 404),
        ("/a", lambda endpoint: endpoint, "/api/metrics", 404),
        ("", of_a_mount, "/ops/metrics", 200),
        ("/api", of_a_mount, "/api/ops/metrics", 200),
        ("/api", of_a_mount, "/ops/metrics", 200),
        ("/api", of_nested_mounts, "/api/acme/ops/metrics", 200),
        ("/api", of_nested_mounts, "/api/acme/ops/other", 404),
    ],
)
async def test_its_path_is_answered_behind_the_root_path_of_a_proxy_or_a_mount(
    counted: CollectorRegistry, root_path: str, build: Callable[[Endpoint], Any], path: str, status: int
) -> None:
    app = under_a_prefix(build(Endpoint(counted, path="/metrics")), root_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get(path)).status_code == status


def mounted_in_fastapi(endpoint: Endpoint) -> Any:
    app = FastAPI()
    app.mount("/metrics", endpoint)
    return app


def mounted_in_an_included_router(endpoint: Endpoint) -> Any:
    app, router = FastAPI(), APIRouter()
    router.mount("/metrics", endpoint)
    app.include_router(router)
    return app


def mounted_in_starlette(endpoint: Endpoint) -> Any:
    return Starlette(routes=[Mount("/metrics", endpoint), Mount("/other", Starlette())])


@pytest.mark.parametrize("mounted", [mounted_in_fastapi, mounted_in_an_included_router, mounted_in_starlette])
@pytest.mark.parametrize("root_path", ["", "/proxy"])
async def test_a_mount_answers_its_own_path_without_a_redirect(
    counted: CollectorRegistry, mounted: Callable[[Endpoint], Any], root_path: str
) -> None:
    app = mounted(Endpoint(counted))
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/metrics", "/metrics/", "/metrics?name[]=open"):
            assert (await client.get(root_path + path)).status_code == 200, path
        assert (await client.head(root_path + "/metrics")).status_code == 200
        assert (await client.post(root_path + "/metrics")).status_code == 405
        for path in ("/", "/metric", "/metricss", "/metrics-more", "/absent/"):
            assert (await client.get(root_path + path)).status_code == 404, path


async def test_mounts_of_other_applications_stay_what_they_are(counted: CollectorRegistry) -> None:
    app = mounted_in_starlette(Endpoint(counted))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/other")).status_code == 307
    assert "matches" not in vars(app.routes[1])


async def test_a_mounted_endpoint_has_the_template_of_its_mount(counted: CollectorRegistry) -> None:
    app = HTTPEventsMiddleware(mounted_in_fastapi(Endpoint(counted)), exclude=())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with http_request_finished.captured() as requests:
            for path in ("/metrics", "/metrics/"):
                await client.get(path)
    assert [request.endpoint for request in requests] == ["/metrics/{path}"] * 2


def test_without_starlette_nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "starlette.routing")
    answer_own_path(Endpoint)


async def test_compression_can_be_switched_off(counted: CollectorRegistry) -> None:
    headers = [(b"accept-encoding", b"gzip, zstd;q=0.5")]
    plain = await request(Endpoint(counted, compression=False), headers)
    assert (b"content-encoding" in dict(plain["headers"]), plain["body"]) == (False, generate_latest(counted))
    assert dict((await request(Endpoint(counted), headers))["headers"])[b"content-encoding"] == b"gzip"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
async def test_other_methods_are_refused(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/metrics")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


async def test_other_paths_are_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).status_code == 404
    assert (await client.get("/metrics/more")).status_code == 404


async def test_the_body_is_compressed_as_accepted(client: httpx.AsyncClient, counted: CollectorRegistry) -> None:
    for encoding, decompress in (("gzip", gzip.decompress), ("zstd", zstandard.decompress)):
        async with client.stream("GET", "/metrics", headers={"Accept-Encoding": encoding}) as response:
            raw = b"".join([piece async for piece in response.aiter_raw()])
        assert response.headers["content-encoding"] == encoding
        assert decompress(raw) == generate_latest(counted)


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=abc", "text/plain; q=\xff", ",;=", "\x01"])
async def test_a_malformed_header_counts_as_absent(client: httpx.AsyncClient, accept: str) -> None:
    app_headers = [(b"accept", accept.encode("latin-1"))]
    response = await request(Endpoint(registry_with(7)), app_headers)
    assert response["status"] == 200
    assert b"only 7.0" in response["body"]


async def test_names_select_samples(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics", params={"name[]": ["open", "absent"]})
    assert response.text == "# HELP open Open.\n# TYPE open gauge\nopen 1.0\n"
    assert (await client.get("/metrics?name[]=%ff%00&name[]")).status_code == 200


def registry_with(value: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("only", "h", registry=registry).set(value)
    return registry


async def request(app: Any, headers: Iterable[tuple[bytes, bytes]] = (), kind: str = "http") -> dict[str, Any]:
    """Call an ASGI application directly, with headers that no client would send, and return the response."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": kind, "method": "GET", "path": "/metrics", "query_string": b"", "headers": list(headers)}
    await app(scope, receive, send)
    return {**sent[0], "body": b"".join(message.get("body", b"") for message in sent[1:])}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer s3cret-é", 200),
        ("bearer  s3cret-é", 200),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        ("Bearer pass:word", 401),
        ("s3cret-é", 401),
        (basic("anybody", "pass:word"), 200),
        (basic("", "pass:word"), 200),
        (basic("anybody", "s3cret-é"), 401),
        (basic("pass:word", ""), 401),
        ("Basic !!!", 401),
        ("Basic é", 401),
        (basic("", "pass:word").replace("=", "!="), 401),  # to leave out what is no base64 would accept it
        ("", 401),
    ],
)
async def test_a_token_or_password_is_required(authorization: str | None, status: int) -> None:
    app = Endpoint(registry_with(1), token="s3cret-é", password="pass:word")
    response = await request(app, [] if authorization is None else [(b"authorization", authorization.encode())])
    assert response["status"] == status
    if status == 401:
        assert dict(response["headers"])[b"www-authenticate"] == b'Bearer realm="metrics", Basic realm="metrics"'
        assert b"only" not in response["body"]


@pytest.mark.parametrize("argument", ["token", "password"])
def test_a_secret_that_is_none_is_refused_and_not_shown(argument: str, registry: CollectorRegistry) -> None:
    given: dict[str, Any]
    for empty in ("", " ", "\n"):
        given = {argument: empty}
        with pytest.raises(ValueError, match=f"^{argument} is empty, which would leave .* or {argument}=None to leave"):
            Endpoint(registry, **given)
        with pytest.raises(ValueError, match=f"^{argument} is empty"):
            serve(registry, **given)
    given = {argument: "s3cret\nother\n"}
    with pytest.raises(ValueError, match=f"^{argument} is of several lines") as several:
        Endpoint(registry, **given)
    given = {argument: b"s3cret"}
    with pytest.raises(TypeError, match=f"^{argument} is a text, not bytes: decode it") as no_text:
        Endpoint(registry, **given)
    assert "s3cret" not in str(several.value) + str(no_text.value)


@pytest.mark.parametrize("around", ["", "\n", "\r\n", " "])
async def test_whitespace_around_a_token_or_a_password_is_not_part_of_it(around: str) -> None:
    app = Endpoint(registry_with(1), token=f"s3cret{around}", password=f"{around}pass word{around}")
    for accepted in ("Bearer s3cret", basic("anybody", "pass word"), basic("anybody", f"{around}pass word{around}")):
        assert (await request(app, [(b"authorization", accepted.encode())]))["status"] == 200
    for refused in (None, "Bearer", basic("anybody", ""), basic("anybody", "password")):
        headers = [] if refused is None else [(b"authorization", refused.encode())]
        assert (await request(app, headers))["status"] == 401


async def test_a_websocket_is_refused() -> None:
    refused = await request(Endpoint(registry_with(1)), kind="websocket")
    assert (refused["type"], refused["code"]) == ("websocket.close", 1008)


class Slow:
    """A collector that waits until it may go on, and counts its calls."""

    def __init__(self) -> None:
        self.collected = 0
        self.go = Event()

    def collect(self) -> list[Metric]:
        self.collected += 1
        assert self.go.wait(10)
        return [Metric("slow", "h", "gauge")]


async def test_concurrent_scrapes_share_one_rendering(registry: CollectorRegistry) -> None:
    """A client that disconnects does not cancel it for the others; the next scrape renders again."""
    slow = Slow()
    registry.register(slow)
    app = Endpoint(registry)
    requests = [asyncio.ensure_future(request(app)) for _ in range(5)]
    await until(lambda: slow.collected == 1)
    requests[0].cancel()
    await asyncio.wait(requests[:1])
    slow.go.set()
    responses = await asyncio.gather(*requests[1:])
    assert {response["body"] for response in responses} == {b"# HELP slow h\n# TYPE slow gauge\n"}
    assert slow.collected == 1
    await request(app)
    assert slow.collected == 2


@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        (0, [0]),
        (1, [1]),
        (CHUNK_SIZE, [CHUNK_SIZE]),
        (CHUNK_SIZE + 1, [CHUNK_SIZE, 1]),
        (2 * CHUNK_SIZE, [CHUNK_SIZE] * 2),
    ],
)
async def test_a_response_is_sent_in_chunks(size: int, chunks: list[int]) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    body = bytes(index % 251 for index in range(size))
    await send_response(send, 200, {}, body)
    start, *parts = sent
    assert dict(start["headers"]) == {b"content-length": str(size).encode()}
    assert [len(part["body"]) for part in parts] == chunks
    assert b"".join(part["body"] for part in parts) == body
    assert [part["more_body"] for part in parts] == [True] * (len(chunks) - 1) + [False]


async def test_others_have_a_turn_after_each_chunk_and_no_more() -> None:
    turns, at_each = 0, []

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def send(_: Any) -> None:
        at_each.append(turns)

    others = asyncio.create_task(take_turns())
    await send_response(send, 200, {}, bytes(3 * CHUNK_SIZE))
    others.cancel()
    assert at_each == [0, 0, 1, 2]  # the head, and three chunks


async def test_without_a_body_the_head_alone_is_sent() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await send_response(send, 200, {}, bytes(CHUNK_SIZE + 1), with_body=False)
    start, end = sent
    assert dict(start["headers"]) == {b"content-length": str(CHUNK_SIZE + 1).encode()}
    assert end == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.slow
async def test_a_large_response_is_complete(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "h", ["k"], registry=registry)
    for number in range(20_000):
        gauge.labels(f"{number:060}").set(number)
    async with running_server(Endpoint(registry)) as url, httpx.AsyncClient(base_url=url) as client:
        response = await client.get("/", headers={"Accept-Encoding": "identity"})
    assert response.content == generate_latest(registry)
    assert len(response.content) > 5 * 256 * 1024


async def test_an_exception_while_rendering_is_a_500_that_reveals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr("metrics.exposition.scrape.render_with_count", fail)
    response = await request(Endpoint(registry_with(1)))
    assert response["status"] == 500
    assert b"secret" not in response["body"]


@pytest.mark.usefixtures("subscription")
async def test_a_scrape_is_counted_with_its_cost(
    registry: CollectorRegistry, read: Read, subscription: Subscription
) -> None:
    emitted: list[MetricsRendered]
    with metrics_rendered.captured() as emitted:
        response = await request(Endpoint(registry), [(b"accept-encoding", b"gzip")])
    [event] = emitted
    samples = [line for line in gzip.decompress(response["body"]).splitlines() if not line.startswith(b"#")]
    assert (event.format, event.encoding, event.size, event.series) == (
        "text",
        "gzip",
        len(response["body"]),
        len(samples),
    )
    assert read("metrics_render_duration_seconds_count", format="text") == 1
    assert read("metrics_rendered_bytes_total", format="text", encoding="gzip") == len(response["body"])
    assert read("metrics_rendered_series") == len(samples)


def test_a_query_of_too_many_fields_selects_nothing() -> None:
    assert selected_names(b"&".join([b"name[]=a"] * 10_000)) == frozenset("a")
    assert selected_names(b"&".join([b"name[]=a"] * 10_001)) is None


@pytest.mark.parametrize("query", [b"", b"name=a", b"&&", b"name%5B=a"])
def test_a_query_without_names_selects_everything(query: bytes) -> None:
    assert selected_names(query) is None


def test_an_endpoint_of_anything_but_a_registry_is_refused_when_it_is_made(registry: CollectorRegistry) -> None:
    with (
        subscribe(LLM, registry, namespace="acme") as subscription,
        pytest.raises(TypeError, match=r"^Endpoint takes the CollectorRegistry that was given to subscribe\(\), not "),
    ):
        Endpoint(subscription)  # type: ignore[arg-type]  # it has to fail


def test_it_answers_in_a_forked_process_too(counted: CollectorRegistry) -> None:
    """Its thread is in none: a server that was asked once before it forks its workers would never answer again."""
    endpoint = Endpoint(counted)

    async def get() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(endpoint), base_url="http://test") as client:
            return (await asyncio.wait_for(client.get("/metrics"), 10)).status_code

    assert asyncio.run(get()) == 200
    assert in_child(lambda: asyncio.run(get())) == "200"


def test_a_mount_keeps_its_signature() -> None:
    """Editors and FastAPI's own tools read it."""
    Endpoint(CollectorRegistry())
    assert list(signature(Mount.__init__).parameters)[:3] == ["self", "path", "app"]
