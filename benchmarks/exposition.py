"""Writing 100,000 samples: the time, what an event loop feels of it, and the memory that is kept."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, make_asgi_app

from metrics import Endpoint, render

from .measuring import Claim, alternately, percentile, times_faster

SAMPLES = 100_000
LABELS = ("method", "endpoint")


def labels(number: int) -> tuple[str, str]:
    """Name a child as an HTTP family does."""
    return "GET", f"/api/v1/things/{number}/parts"


def histograms(registry: CollectorRegistry, samples: int = SAMPLES) -> Histogram:
    """Make histograms of 15 buckets, each observed eight times."""
    made = Histogram("http_request_duration_seconds", "Time.", LABELS, registry=registry)
    for number in range(samples // 18):
        for _ in range(8):
            made.labels(*labels(number)).observe(random.random() * 8)
    return made


def counters(registry: CollectorRegistry) -> Counter:
    """Make counters of fractional values."""
    made = Counter("llm_cost_usd_total", "Cost.", LABELS, registry=registry)
    for number in range(SAMPLES // 2):
        made.labels(*labels(number)).inc(random.random())
    return made


def claims(short: bool) -> list[Claim]:
    """Measure everything."""
    rounds = 3 if short else 9
    return [
        speed("rendering histograms, to generate_latest", 20, histograms, rounds),
        speed("rendering counters with fractional values, to generate_latest", 12, counters, rounds),
        lag(rounds),
        memory(),
    ]


def speed(what: str, bar: float, populate: Callable[[CollectorRegistry], Any], rounds: int) -> Claim:
    """Compare with prometheus_client; between two scrapes one series in ten moves, as in a busy service."""
    registry = CollectorRegistry()
    family = populate(registry)
    children = list(family._metrics.values())

    def some_move(share: float) -> None:
        for child in random.sample(children, int(len(children) * share)):
            (child.observe if isinstance(family, Histogram) else child.inc)(random.random())

    def ours() -> bytes:
        return render(registry)

    def theirs() -> bytes:
        return generate_latest(registry)

    def measure(share: float) -> dict[str, list[float]]:
        return alternately({"ours": ours, "generate_latest": theirs}, rounds, lambda: some_move(share))

    if ours() != theirs():
        raise AssertionError("not the same text")
    runs, all_moved = measure(0.1), measure(1.0)
    everything = times_faster(all_moved, "ours", "generate_latest")
    return Claim(
        what, bar, "higher", times_faster(runs, "ours", "generate_latest"), "times", runs,
        f"a tenth of the series moves between two scrapes; {everything:.3g} times where every one moves",
    )  # fmt: skip


def lag(rounds: int) -> Claim:
    """See how late an event loop is that wants to run every millisecond while it is scraped, over and over."""
    registry = CollectorRegistry()
    histograms(registry)
    apps: dict[str, Any] = {"nobody": rest, "ours": Endpoint(registry), "make_asgi_app": make_asgi_app(registry)}
    if find_spec("starlette_exporter"):
        apps["starlette_exporter"] = starlette_exporter(registry)
    runs = {name: asyncio.run(lateness(app, rounds if name == "ours" else 1)) for name, app in apps.items()}
    worst = 1000 * percentile(runs["ours"], 0.99)
    shown = {f"{name}, ms": [1000 * late for late in lates] for name, lates in runs.items()}
    others = ", ".join(f"{name} {1000 * percentile(lates, 0.99):.3g} ms" for name, lates in runs.items())
    return Claim(
        "event-loop lag while 100,000 samples are scraped, p99", 10, "lower", worst, "ms", shown,
        f"p99: {others}",
    )  # fmt: skip


def starlette_exporter(registry: CollectorRegistry) -> Any:
    """Serve the same registry by starlette_exporter: a function that Starlette calls in a thread."""
    from prometheus_client import REGISTRY
    from starlette.applications import Starlette
    from starlette.routing import Route

    for collector in list(REGISTRY._collector_to_names):
        REGISTRY.unregister(collector)
    for collector in list(registry._collector_to_names):
        REGISTRY.register(collector)  # it serves no other
    return Starlette(routes=[Route("/metrics", import_module("starlette_exporter").handle_metrics)])


async def lateness(app: Any, scrapes: int) -> list[float]:
    """Scrape an application and note how late the loop was, each time that it wanted to run."""
    late: list[float] = []
    done = asyncio.Event()

    async def tick() -> None:
        while not done.is_set():
            began = perf_counter()
            await asyncio.sleep(0.001)
            late.append(perf_counter() - began - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    for _ in range(scrapes):
        await scrape(app)
    done.set()
    await ticking
    return late


async def rest(*_: Any) -> None:
    """Let the loop idle: what the machine itself makes of it."""
    await asyncio.sleep(0.5)


async def scrape(app: Any) -> None:
    """Ask for the metrics as Prometheus does."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Throw the answer away."""

    headers = [(b"accept", b"text/plain;version=0.0.4"), (b"accept-encoding", b"gzip")]
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": headers}
    await app({**scope, "http_version": "1.1", "root_path": ""}, receive, send)


def memory() -> Claim:
    """Weigh histogram children before and after their text is kept."""
    gc.collect()
    tracemalloc.start()
    registry = CollectorRegistry()
    empty = tracemalloc.get_traced_memory()[0]
    histograms(registry, SAMPLES // 10)
    gc.collect()
    stock = tracemalloc.get_traced_memory()[0] - empty
    render(registry)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - empty
    tracemalloc.stop()
    children = SAMPLES // 180
    runs = {"stock, bytes a child": [stock / children], "with its text, bytes a child": [kept / children]}
    return Claim(
        "memory of a histogram child with its text, to the stock child", 1.8, "lower", kept / stock, "times", runs
    )
