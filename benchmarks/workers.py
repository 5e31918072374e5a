"""Several workers: a scrape of 4 live and 36 dead ones, and an update, compared with prometheus_client's own mode."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from events import llm_called
from metrics import CATALOGUE, Workers, render, subscribe

from .measurement import Claim, Runs, alternately, ratios

LIVE, DEAD = 4, 36
ROUTES = 200  # of 18 samples each
UPDATES = 5_000
LABELS = ("method", "endpoint")


def measure(short: bool) -> list[Claim]:
    """Measure scrapes and updates, in CPU time."""
    with ExitStack() as stack, TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{folder}/client"
        (Path(folder) / "client").mkdir()
        return [*measure_scrapes(Path(folder), stack, short), *measure_updates(Path(folder), stack, short)]


def create_client_worker(name: str) -> list[Histogram]:
    """Return a worker's histograms in prometheus_client's multiprocess mode, which tells workers apart by name."""
    before, values.ValueClass = values.ValueClass, client_value_class(name)
    try:
        return observe_all(Histogram("requests_seconds", "Time.", LABELS, registry=None))
    finally:
        values.ValueClass = before


def client_value_class(name: str) -> Any:
    """Return prometheus_client's class of multiprocess values, for a process of this name."""
    return values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def create_worker(folder: Path) -> tuple[Workers, list[Any], Any]:
    """Return a worker of ours, its local histograms by route, and the total that a registry shows."""
    workers = Workers(folder)
    local, total = workers.create_instruments(Histogram, "requests_seconds", "Time.", LABELS, "total")
    return workers, observe_all(local), total


def observe_all(family: Any) -> list[Any]:
    """Observe a value in the histogram of every route, and return these histograms."""
    routes = [family.labels("GET", f"/api/v1/things/{number}/parts") for number in range(ROUTES)]
    for route in routes:
        route.observe(random.random())
    return routes


def measure_scrapes(folder: Path, stack: ExitStack, short: bool) -> list[Claim]:
    """Measure scrapes of the same values of as many workers; a tenth of the series is updated before each."""
    client_routes = [create_client_worker(str(number)) for number in range(LIVE + DEAD)][-1]
    client_registry = CollectorRegistry()
    MultiProcessCollector(client_registry, f"{folder}/client")  # type: ignore[no-untyped-call]
    few, more_live_routes = create_workers(folder / "few", stack, dead=1)
    many, live_routes = create_workers(folder / "many", stack, dead=DEAD)

    def update_some() -> None:
        for number in random.sample(range(ROUTES), ROUTES // 10):
            for routes in (client_routes, *live_routes, *more_live_routes):
                routes[number].observe(random.random())

    first: list[float] = []
    for number in range(1 if short else 4):
        fresh, _ = create_workers(folder / f"fresh{number}", stack, dead=DEAD)
        started = process_time()
        render(fresh)
        first.append(process_time() - started)
    variants = {
        "prometheus_client": lambda: generate_latest(client_registry),
        "ours": lambda: render(many),
        "ours, one gone": lambda: render(few),
    }
    runs = alternately(variants, rounds=4 if short else 9, before=update_some)
    client = runs["prometheus_client"]
    what = f"a scrape with {LIVE} workers that live and {DEAD} that are gone"
    return [
        Claim(
            what=f"{what}, to prometheus_client's multiprocess mode",
            bar=5,
            better="higher",
            unit="times faster",
            ours=ratios(client, runs["ours"]),
            runs={**in_ms(runs), "ours, the first after they died, ms": [1000 * seconds for seconds in first]},
            note=f"the first, which archives them: {min(client) / max(first):.1f} times faster",
        ),
        Claim(
            what=f"{what}, to one with 1 gone",
            bar=1.25,
            better="lower",
            unit="times",
            ours=ratios(runs["ours"], runs["ours, one gone"]),
        ),
    ]


def create_workers(folder: Path, stack: ExitStack, dead: int) -> tuple[CollectorRegistry, list[list[Any]]]:
    """Return the registry of a live worker beside dead ones, and the local histograms of the live workers."""
    registry = CollectorRegistry()
    workers = [create_worker(folder) for _ in range(LIVE + dead)]
    for dead_worker, _, _ in workers[LIVE:]:
        dead_worker.close()
    for live_worker, _, _ in workers[:LIVE]:
        stack.callback(live_worker.close)
    scraped, _, total = workers[0]
    scraped.attach(registry)
    registry.register(total)
    return registry, [routes for _, routes, _ in workers[:LIVE]]


def measure_updates(folder: Path, stack: ExitStack, short: bool) -> list[Claim]:
    """Measure updates of instruments in one process's memory, in a shared file, and in prometheus_client's files."""
    rounds = 7 if short else 25
    shared = Workers(folder / "updates")
    stack.callback(shared.close)
    before, values.ValueClass = values.ValueClass, client_value_class("updates")
    try:
        client = Counter("calls", "Calls.", registry=None), Histogram("took", "Time.", registry=None)
    finally:
        values.ValueClass = before
    single = Counter("calls", "Calls.", registry=None), Histogram("took", "Time.", registry=None)
    local = (
        shared.create_instruments(Counter, "calls", "", (), "total")[0],
        shared.create_instruments(Histogram, "took", "", (), "total")[0],
    )

    def updater(counter: Counter, histogram: Histogram) -> Callable[[], None]:
        def update() -> None:
            for _ in range(UPDATES):
                counter.inc()
                histogram.observe(0.3)

        return update

    variants = {
        "one process": updater(*single),
        "ours": updater(*local),
        "prometheus_client's files": updater(*client),
    }
    runs = alternately(variants, rounds)
    events = alternately({"one process": emitter(None), "ours": emitter(folder / "events")}, rounds)
    return [
        Claim(
            what="an update with several workers, to one process's: inc and observe",
            bar=1.25,
            better="lower",
            unit="times",
            ours=ratios(runs["ours"], runs["one process"]),
            peers={"prometheus_client": ratios(runs["prometheus_client's files"], runs["one process"])},
            runs=in_ms(runs),
        ),
        Claim(
            what="an event into the catalogue with several workers, to one process's: llm_called",
            bar=1.25,
            better="lower",
            unit="times",
            ours=ratios(events["ours"], events["one process"]),
            runs=in_ms(events),
        ),
    ]


def emitter(folder: Path | None) -> Callable[[], None]:
    """Return a function that emits events which the catalogue counts; with a folder, as one of several workers."""
    workers = Workers(folder) if folder else None
    subscription = subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio", workers=workers)
    [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
    for signal, each in subscription._receivers:
        signal.disconnect(each)

    def emit() -> None:
        llm_called.connect(receiver)
        for _ in range(UPDATES):
            llm_called.emit(model="m", status="success", duration=0.3, prompt_tokens=20, completion_tokens=9)
        llm_called.disconnect(receiver)

    return emit


def in_ms(runs: Runs) -> Runs:
    """Return runs measured in seconds as milliseconds, the unit in their names."""
    return {f"{name}, ms": [1000 * seconds for seconds in measured] for name, measured in runs.items()}
