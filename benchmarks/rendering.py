"""Writing 100,000 samples, in the short form 30,000: the time it takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from metrics import render

from .measuring import Claim, alternately, ratios
from .registries import SAMPLES, counters, histograms

CASES = {"a tenth of the series moves between two scrapes": 0.1, "every series moves between two scrapes": 1.0}


def measure(short: bool) -> list[Claim]:
    """Compare with prometheus_client's `generate_latest`, in CPU time."""
    return [
        *speed("rendering histograms, to generate_latest", 20, histograms, short),
        *speed("rendering counters with fractional values, to generate_latest", 12, counters, short),
    ]


def speed(what: str, bar: float, populate: Callable[[CollectorRegistry, int], Any], short: bool) -> list[Claim]:
    """Compare in every case, having seen that both write the same text."""
    registry = CollectorRegistry()
    family = populate(registry, 30_000 if short else SAMPLES)
    children = list(family._metrics.values())
    move = [child.observe if isinstance(family, Histogram) else child.inc for child in children]

    def some_move(share: float) -> None:
        for moved in random.sample(move, int(len(move) * share)):
            moved(random.random())

    if render(registry) != generate_latest(registry):
        raise AssertionError("not the same text")
    claims = []
    for case, share in CASES.items():
        runs = alternately(
            {"ours": lambda: render(registry), "generate_latest": lambda: generate_latest(registry)},
            rounds=3 if short else 5,
            before=partial(some_move, share),
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
