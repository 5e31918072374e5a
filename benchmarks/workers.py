"""Several workers: a scrape of 4 that live and 36 that are gone, and an update, beside prometheus_client's own way."""

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

from .measuring import Claim, Runs, alternately, ratios

LIVE, DEAD = 4, 36
ROUTES = 200  # of 18 lines each
UPDATES = 5_000
LABELS = ("method", "endpoint")


def measure(short: bool) -> list[Claim]:
    """Compare in CPU time."""
    with ExitStack() as stack, TemporaryDirectory() as place:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{place}/stock"
        (Path(place) / "stock").mkdir()
        return [*scrapes(Path(place), stack, short), *updates(Path(place), stack, short)]


def stock_worker(name: str) -> list[Histogram]:
    """Make a worker's histograms in prometheus_client's files; it tells workers apart by what this function names."""
    before, values.ValueClass = values.ValueClass, stock_values(name)
    try:
        return observed(Histogram("requests_seconds", "Time.", LABELS, registry=None))
    finally:
        values.ValueClass = before


def stock_values(name: str) -> Any:
    """Make the class of prometheus_client's shared numbers, as of another process."""
    return values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def worker(folder: Path) -> tuple[Workers, list[Any], Any]:
    """Make one of ours: its histograms, and the one that a registry shows."""
    made = Workers(folder)
    moved, shown = made.create_instruments(Histogram, "requests_seconds", "Time.", LABELS, "total")
    return made, observed(moved), shown


def observed(family: Any) -> list[Any]:
    """Observe something in every route."""
    routes = [family.labels("GET", f"/api/v1/things/{number}/parts") for number in range(ROUTES)]
    for route in routes:
        route.observe(random.random())
    return routes


def scrapes(place: Path, stack: ExitStack, short: bool) -> list[Claim]:
    """Scrape the same numbers of as many workers; a tenth of the series moves in between."""
    theirs = [stock_worker(str(number)) for number in range(LIVE + DEAD)][-1]
    collected = CollectorRegistry()
    MultiProcessCollector(collected, f"{place}/stock")  # type: ignore[no-untyped-call]
    few, moved_too = ours(place / "few", stack, dead=1)
    many, moved = ours(place / "many", stack, dead=DEAD)

    def some_move() -> None:
        for number in random.sample(range(ROUTES), ROUTES // 10):
            for routes in (theirs, *moved, *moved_too):
                routes[number].observe(random.random())

    first: list[float] = []
    for number in range(1 if short else 4):
        fresh, _ = ours(place / f"fresh{number}", stack, dead=DEAD)
        began = process_time()
        render(fresh)
        first.append(process_time() - began)
    ways = {
        "prometheus_client": lambda: generate_latest(collected),
        "ours": lambda: render(many),
        "ours, one gone": lambda: render(few),
    }
    runs = alternately(ways, rounds=4 if short else 9, before=some_move)
    stock = runs["prometheus_client"]
    what = f"a scrape with {LIVE} workers that live and {DEAD} that are gone"
    return [
        Claim(
            what=f"{what}, to prometheus_client's multiprocess mode",
            bar=5,
            better="higher",
            unit="times faster",
            ours=ratios(stock, runs["ours"]),
            runs={**in_ms(runs), "ours, the first after they died, ms": [1000 * seconds for seconds in first]},
            note=f"the first, which archives them: {min(stock) / max(first):.1f} times faster",
        ),
        Claim(
            what=f"{what}, to one with 1 gone",
            bar=1.25,
            better="lower",
            unit="times",
            ours=ratios(runs["ours"], runs["ours, one gone"]),
        ),
    ]


def ours(folder: Path, stack: ExitStack, dead: int) -> tuple[CollectorRegistry, list[list[Any]]]:
    """Make workers, let some of them leave, and give the registry that one of the others shows."""
    registry = CollectorRegistry()
    made = [worker(folder) for _ in range(LIVE + dead)]
    for gone, _, _ in made[LIVE:]:
        gone.close()
    for lives, _, _ in made[:LIVE]:
        stack.callback(lives.close)
    answering, _, shown = made[0]
    answering.attach(registry)
    registry.register(shown)
    return registry, [routes for _, routes, _ in made[:LIVE]]


def updates(place: Path, stack: ExitStack, short: bool) -> list[Claim]:
    """Move instruments in one process's memory, in a shared file, and in prometheus_client's."""
    rounds = 7 if short else 25
    shared = Workers(place / "updates")
    stack.callback(shared.close)
    before, values.ValueClass = values.ValueClass, stock_values("updates")
    try:
        stock = Counter("calls", "Calls.", registry=None), Histogram("took", "Time.", registry=None)
    finally:
        values.ValueClass = before
    alone = Counter("calls", "Calls.", registry=None), Histogram("took", "Time.", registry=None)
    mine = (
        shared.create_instruments(Counter, "calls", "", (), "total")[0],
        shared.create_instruments(Histogram, "took", "", (), "total")[0],
    )

    def moving(counter: Counter, histogram: Histogram) -> Callable[[], None]:
        def move() -> None:
            for _ in range(UPDATES):
                counter.inc()
                histogram.observe(0.3)

        return move

    ways = {"one process": moving(*alone), "ours": moving(*mine), "prometheus_client's files": moving(*stock)}
    runs = alternately(ways, rounds)
    events = alternately({"one process": telling(None), "ours": telling(place / "events")}, rounds)
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


def telling(folder: Path | None) -> Callable[[], None]:
    """Tell events to the catalogue, with a folder as one of several workers."""
    workers = Workers(folder) if folder else None
    subscription = subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio", workers=workers)
    [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
    for signal, each in subscription._receivers:
        signal.disconnect(each)

    def tell() -> None:
        llm_called.connect(receiver)
        for _ in range(UPDATES):
            llm_called.emit(model="m", status="success", duration=0.3, prompt_tokens=20, completion_tokens=9)
        llm_called.disconnect(receiver)

    return tell


def in_ms(runs: Runs) -> Runs:
    """Write what was measured in milliseconds."""
    return {f"{name}, ms": [1000 * seconds for seconds in measured] for name, measured in runs.items()}
