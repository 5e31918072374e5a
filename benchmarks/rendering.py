"""Rendering of 100,000 samples, or 30,000, compared with ``generate_latest``."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from metrics import render

from .measurement import Claim, alternately, ratios
from .registries import SAMPLES, counters, histograms

CASES = {"a tenth of the series moves between two scrapes": 0.1, "every series moves between two scrapes": 1.0}


def measure(short: bool) -> list[Claim]:
    """Measure histograms and counters, in CPU time."""
    return [
        *measure_family("rendering histograms, to generate_latest", 20, histograms, short),
        *measure_family("rendering counters with fractional values, to generate_latest", 12, counters, short),
    ]


def measure_family(
    what: str, bar: float, populate: Callable[[CollectorRegistry, int], Any], short: bool
) -> list[Claim]:
    """Measure every case, after checking that both render the same text."""
    registry = CollectorRegistry()
    family = populate(registry, 30_000 if short else SAMPLES)
    children = list(family._metrics.values())
    updates = [child.observe if isinstance(family, Histogram) else child.inc for child in children]

    def update_some(share: float) -> None:
        for update in random.sample(updates, int(len(updates) * share)):
            update(random.random())

    if render(registry) != generate_latest(registry):
        raise AssertionError("not the same text")
    claims = []
    for case, share in CASES.items():
        runs = alternately(
            {"ours": lambda: render(registry), "generate_latest": lambda: generate_latest(registry)},
            rounds=3 if short else 5,
            before=partial(update_some, share),
        )
        claims.append(
            Claim(
                what=f"{what}: {case}",
                bar=bar,
                better="higher",
                unit="times faster",
                ours=ratios(runs["generate_latest"], runs["ours"]),
                runs={f"{name}, ms": [1000 * seconds for seconds in values] for name, values in runs.items()},
            )
        )
    return claims
