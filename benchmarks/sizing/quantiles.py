"""How far off a quantile is that Prometheus computes, by what was observed and by the kind of histogram."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import time

from prometheus_client import CollectorRegistry

from events import tool_called
from metrics import buckets, histogram, subscribe
from metrics.kit import promql
from tests.support.histogram_stores import HistogramStores, histogram_stores

FAMILY = "work_duration_seconds"
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
OBSERVATIONS = 20_000
WINDOW = 20  # seconds
LADDER = buckets.MODEL
"""The classic bounds: those that the catalogue has for a model's time, as fine as any."""

ALIKE = "all alike"
KINDS: dict[str, Callable[[Random], float]] = {
    "1 ms to 10 min, evenly by magnitude": lambda random: 0.001 * 600_000 ** random.random(),
    "a model, 3 s": lambda random: random.lognormvariate(math.log(3), 0.8),
    "a cache, 8 ms, and what it lacks, 3 s": lambda random: (
        random.lognormvariate(math.log(0.008), 0.4)
        if random.random() < 0.6
        else random.lognormvariate(math.log(3), 0.5)
    ),
    "statements, 40 ms": lambda random: random.expovariate(25),
    ALIKE: lambda _: 0.251,
}
"""How long work takes, by what is in its label; each is the name of a tool here."""


@dataclass(frozen=True)
class ObservedStores:
    """A Prometheus that has seen all observations, which are here in order, by kind; and the time (Unix) by then."""

    stores: HistogramStores
    observed: dict[str, list[float]]
    at: float

    def ask(self, form: Callable[..., str], *arguments: float, job: str) -> dict[str, float]:
        """Return what a form of the kit gives for a job, by kind."""
        asked = form(*arguments, FAMILY, "tool_name", f'job="{job}"', f"{WINDOW}s").replace("NS_", "acme_")
        found = self.stores.prometheus.query(asked, self.at)
        return {dict(labels)["tool_name"]: value for labels, value in found.items()}

    def true_quantile(self, share: float, kind: str) -> float:
        """Return the quantile of what was observed."""
        ordered = self.observed[kind]
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def worst_errors(self, job: str) -> dict[str, float]:
        """Return by kind how far off the worst of the quantiles is, as a share of the right one."""
        worst = dict.fromkeys(self.observed, 0.0)
        for share in SHARES:
            for kind, found in self.ask(promql.quantile, share, job=job).items():
                worst[kind] = max(worst[kind], abs(found / self.true_quantile(share, kind) - 1))
        return worst


@contextmanager
def observed_stores(folder: Path, program: str) -> Iterator[ObservedStores]:
    """Run a Prometheus that scrapes a registry before and after all was observed."""
    registry, random = CollectorRegistry(), Random(1)
    row = histogram(FAMILY, "Time.", tool_called, value="duration", labels=("tool_name",), buckets=LADDER)
    observed = {kind: sorted(draw(random) for _ in range(OBSERVATIONS)) for kind, draw in KINDS.items()}
    subscription = subscribe([row], registry, namespace="acme", native_histograms=True)
    try:
        for kind in KINDS:  # a series that is born with all of it would show no increase
            tool_called.emit(tool_name=kind, status="success", duration=observed[kind][0])
        with histogram_stores(registry, folder, program) as stores:
            stores.wait_for_scrapes(WINDOW // 2)
            for kind, durations in observed.items():
                for duration in durations:
                    tool_called.emit(tool_name=kind, status="success", duration=duration)
            stores.wait_for_scrapes(3)
            yield ObservedStores(stores, observed, time())
    finally:
        subscription.close()
