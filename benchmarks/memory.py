"""What is kept of a registry to write it fast: its memory."""

from __future__ import annotations

import gc
import tracemalloc

from prometheus_client import CollectorRegistry

from metrics import render

from .measuring import Claim
from .registries import SAMPLES, histograms


def measure(short: bool) -> list[Claim]:
    """Weigh histogram children before and after they were written; a weight is the same every time."""
    samples = SAMPLES // (10 if short else 1)
    gc.collect()
    tracemalloc.start()
    registry = CollectorRegistry()
    empty = tracemalloc.get_traced_memory()[0]
    family = histograms(registry, samples)
    gc.collect()
    stock = tracemalloc.get_traced_memory()[0] - empty
    render(registry)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - empty
    tracemalloc.stop()
    children = len(family._metrics)
    return [
        Claim(
            what="memory of a histogram child with what is kept of it, to the stock child",
            bar=1.8,
            better="lower",
            unit="times",
            ours=[kept / stock],
            runs={"stock, bytes a child": [stock / children], "ours, bytes a child": [kept / children]},
        )
    ]
