"""How late an event loop is while 100,000 samples are written beside it."""

from __future__ import annotations

import asyncio
from importlib import import_module
from time import perf_counter
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, make_asgi_app
from starlette.applications import Starlette
from starlette.routing import Route

from metrics import Endpoint

from .measuring import Claim, Runs, percentile
from .registries import histograms

EVERY = 0.001
"""Seconds after which the loop wants to run again, all the time."""


def measure(short: bool) -> list[Claim]:
    """Scrape each application in turn."""
    registry = CollectorRegistry()
    histograms(registry)
    apps: dict[str, Any] = {
        "no scrape": rest,
        "ours": Endpoint(registry),
        "make_asgi_app": make_asgi_app(registry),
        "starlette_exporter": starlette_exporter(registry),
    }
    late: Runs = {name: [] for name in apps}
    worst: Runs = {name: [] for name in apps}
    for _ in range(2 if short else 5):
        for name, app in apps.items():
            # Ours is soon done; several scrapes give as many chances to be late.
            lates = [1000 * seconds for seconds in asyncio.run(lateness(app, 5 if name == "ours" else 1))]
            late[name].append(percentile(lates, 0.99))
            worst[name].append(max(lates))
    idle = late["no scrape"]  # what the machine's other work makes of it
    added = {
        name: [max(0.0, a - b) for a, b in zip(lates, idle, strict=True)]
        for name, lates in late.items()
        if lates is not idle
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
                **{f"{name}, p99, ms": lates for name, lates in late.items()},
                **{f"{name}, the worst, ms": lates for name, lates in worst.items()},
            },
        )
    ]


def starlette_exporter(registry: CollectorRegistry) -> Any:
    """Serve the same registry by starlette_exporter: a function that Starlette calls in a thread."""
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
            await asyncio.sleep(EVERY)
            late.append(perf_counter() - began - EVERY)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(10 * EVERY)
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
