"""`/metrics` over HTTP, behind a real server and without a framework."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator, Iterable
from threading import Event
from typing import Any

import httpx
import pytest
import zstandard
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest

from events import MetricsRendered, metrics_rendered
from metrics import Endpoint, Subscription
from tests.support.asgi_server import running_server
from tests.support.samples import Read
from tests.support.wait import until


@pytest.fixture
def counted(registry: CollectorRegistry) -> CollectorRegistry:
    Counter("calls_total", "Calls.", registry=registry).inc(3)
    Gauge("open", "Open.", registry=registry).set(1)
    return registry


@pytest.fixture
async def client(counted: CollectorRegistry) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running_server(Endpoint(counted, path="/metrics"), lifespan="on") as url,
        httpx.AsyncClient(base_url=url) as made,
    ):
        yield made


async def test_get_with_and_without_the_slash(client: httpx.AsyncClient, counted: CollectorRegistry) -> None:
    for path in ("/metrics", "/metrics/", "/metrics?name=x"):
        answer = await client.get(path, headers={"Accept-Encoding": "identity"})
        assert (answer.status_code, answer.content) == (200, generate_latest(counted))
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["content-length"] == str(len(answer.content))


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    got, head = await client.get("/metrics"), await client.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "content-encoding", "vary"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
async def test_other_methods_are_refused(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/metrics")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_another_path_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).status_code == 404
    assert (await client.get("/metrics/more")).status_code == 404


async def test_encodings(client: httpx.AsyncClient, counted: CollectorRegistry) -> None:
    for encoding, undo in (("gzip", gzip.decompress), ("zstd", zstandard.decompress)):
        async with client.stream("GET", "/metrics", headers={"Accept-Encoding": encoding}) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == encoding
        assert undo(raw) == generate_latest(counted)


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=abc", "text/plain; q=\xff", ",;=", "\x01"])
async def test_a_malformed_header_gets_its_numbers(client: httpx.AsyncClient, accept: str) -> None:
    app_headers = [(b"accept", accept.encode("latin-1"))]
    answer = await asked(Endpoint(only(7)), app_headers)
    assert answer["status"] == 200
    assert b"only 7.0" in answer["body"]


async def test_names_choose(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", params={"name[]": ["open", "absent"]})
    assert answer.text == "# HELP open Open.\n# TYPE open gauge\nopen 1.0\n"
    assert (await client.get("/metrics?name[]=%ff%00&name[]")).status_code == 200


def only(value: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("only", "h", registry=registry).set(value)
    return registry


async def asked(app: Any, headers: Iterable[tuple[bytes, bytes]] = (), kind: str = "http") -> dict[str, Any]:
    """Ask an ASGI application directly, with headers that no client would send."""
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
    ("given", "status"),
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
        ("", 401),
    ],
)
async def test_a_secret_is_asked_for(given: str | None, status: int) -> None:
    app = Endpoint(only(1), token="s3cret-é", password="pass:word")
    answer = await asked(app, [] if given is None else [(b"authorization", given.encode())])
    assert answer["status"] == status
    if status == 401:
        assert dict(answer["headers"])[b"www-authenticate"] == b'Bearer realm="metrics", Basic realm="metrics"'
        assert b"only" not in answer["body"]


async def test_a_websocket_is_turned_away() -> None:
    assert (await asked(Endpoint(only(1)), kind="websocket"))["type"] == "websocket.close"


class Slow:
    """A collector that waits until it is let go, and counts."""

    def __init__(self) -> None:
        self.collected = 0
        self.go = Event()

    def collect(self) -> list[Metric]:
        self.collected += 1
        assert self.go.wait(10)
        return [Metric("slow", "h", "gauge")]


async def test_scrapes_at_once_are_written_once(registry: CollectorRegistry) -> None:
    """Nor does one that goes away take the answer from the others; the next one is written anew."""
    slow = Slow()
    registry.register(slow)
    app = Endpoint(registry)
    asking = [asyncio.ensure_future(asked(app)) for _ in range(5)]
    await until(lambda: slow.collected == 1)
    asking[0].cancel()
    await asyncio.wait(asking[:1])
    slow.go.set()
    answers = await asyncio.gather(*asking[1:])
    assert {answer["body"] for answer in answers} == {b"# HELP slow h\n# TYPE slow gauge\n"}
    assert slow.collected == 1
    await asked(app)
    assert slow.collected == 2


async def test_a_large_answer_is_whole(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "h", ["k"], registry=registry)
    for number in range(20_000):
        gauge.labels(f"{number:060}").set(number)
    async with running_server(Endpoint(registry)) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/", headers={"Accept-Encoding": "identity"})
    assert answer.content == generate_latest(registry)
    assert len(answer.content) > 5 * 256 * 1024


async def test_a_failure_of_ours_is_500_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr("metrics.exposition.scrape.render_with_count", fail)
    answer = await asked(Endpoint(only(1)))
    assert answer["status"] == 500
    assert b"secret" not in answer["body"]


@pytest.mark.usefixtures("subscription")
async def test_what_it_took_is_counted(registry: CollectorRegistry, read: Read, subscription: Subscription) -> None:
    told: list[MetricsRendered]
    with metrics_rendered.captured() as told:
        answer = await asked(Endpoint(registry), [(b"accept-encoding", b"gzip")])
    [event] = told
    samples = [line for line in gzip.decompress(answer["body"]).splitlines() if not line.startswith(b"#")]
    assert (event.format, event.encoding, event.size, event.series) == (
        "text",
        "gzip",
        len(answer["body"]),
        len(samples),
    )
    assert read("metrics_render_duration_seconds_count", format="text") == 1
    assert read("metrics_rendered_bytes_total", format="text", encoding="gzip") == len(answer["body"])
    assert read("metrics_rendered_series") == len(samples)
