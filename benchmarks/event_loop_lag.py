"""Lag of an event loop while 100,000 samples are rendered in its process."""

from __future__ import annotations

import asyncio
from importlib import import_module
from time import perf_counter
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, make_asgi_app
from starlette.applications import Starlette
from starlette.routing import Route

from metrics import Endpoint

from .measurement import Claim, Runs, percentile
from .registries import histograms

INTERVAL = 0.001
"""Seconds that a task sleeps, again and again; what it sleeps longer is the lag."""


def measure(short: bool) -> list[Claim]:
    """Measure the lag while each application is scraped, in turn."""
    registry = CollectorRegistry()
    histograms(registry)
    apps: dict[str, Any] = {
        "no scrape": idle,
        "ours": Endpoint(registry),
        "make_asgi_app": make_asgi_app(registry),
        "starlette_exporter": starlette_exporter(registry),
    }
    p99: Runs = {name: [] for name in apps}
    worst: Runs = {name: [] for name in apps}
    for _ in range(2 if short else 5):
        for name, app in apps.items():
            # One of our scrapes is over so soon that it may miss every tick of the task; five do not.
            lags = [1000 * seconds for seconds in asyncio.run(measure_lag(app, 5 if name == "ours" else 1))]
            p99[name].append(percentile(lags, 0.99))
            worst[name].append(max(lags))
    baseline = p99["no scrape"]  # from the machine's other work
    added = {
        name: [max(0.0, a - b) for a, b in zip(lags, baseline, strict=True)]
        for name, lags in p99.items()
        if lags is not baseline
    }
    return [
        Claim(
            what="event-loop lag while 100,000 samples are scraped, p99, beyond that of an idle loop",
            bar=10,
            better="lower",
            unit="ms",
            ours=added.pop("ours"),
            peers=added,
            runs={
                **{f"{name}, p99, ms": lags for name, lags in p99.items()},
                **{f"{name}, the worst, ms": lags for name, lags in worst.items()},
            },
        )
    ]


def starlette_exporter(registry: CollectorRegistry) -> Any:
    """Return an application that serves the registry by starlette_exporter, which renders in a thread."""
    for collector in list(REGISTRY._collector_to_names):
        REGISTRY.unregister(collector)
    for collector in list(registry._collector_to_names):
        REGISTRY.register(collector)  # it serves the default registry only
    return Starlette(routes=[Route("/metrics", import_module("starlette_exporter").handle_metrics)])


async def measure_lag(app: Any, scrapes: int) -> list[float]:
    """Scrape an application and return the seconds by which each sleep of a task beside it was too long."""
    lags: list[float] = []
    done = asyncio.Event()

    async def tick() -> None:
        while not done.is_set():
            began = perf_counter()
            await asyncio.sleep(INTERVAL)
            lags.append(perf_counter() - began - INTERVAL)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(10 * INTERVAL)
    for _ in range(scrapes):
        await scrape(app)
    done.set()
    await ticking
    return lags


async def idle(*_: Any) -> None:
    """Leave the loop idle, to measure the lag without a scrape."""
    await asyncio.sleep(0.5)


async def scrape(app: Any) -> None:
    """Request the metrics with the headers of a Prometheus server."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Discard the response."""

    headers = [(b"accept", b"text/plain;version=0.0.4"), (b"accept-encoding", b"gzip")]
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": headers}
    await app({**scope, "http_version": "1.1", "root_path": ""}, receive, send)
