"""The memory of the lines that are cached to render a registry fast."""

from __future__ import annotations

import gc
import tracemalloc

from prometheus_client import CollectorRegistry

from metrics import render

from .measurement import Claim
from .registries import SAMPLES, histograms


def measure(short: bool) -> list[Claim]:
    """Measure the memory of histogram children before they are rendered, and after: once, and until nothing moves."""
    samples = SAMPLES // (10 if short else 1)
    gc.collect()
    tracemalloc.start()
    registry = CollectorRegistry()
    empty = tracemalloc.get_traced_memory()[0]
    family = histograms(registry, samples)
    gc.collect()
    stock = tracemalloc.get_traced_memory()[0] - empty
    rendered = []
    for _ in range(3):
        render(registry)
        gc.collect()
        rendered.append(tracemalloc.get_traced_memory()[0] - empty)
    tracemalloc.stop()
    children = len(family._metrics)
    return [
        Claim(
            what="memory of a histogram child with its cached lines, to the stock child",
            bar=1.8,
            better="lower",
            unit="times",
            ours=[max(rendered) / stock],
            runs={
                "stock, bytes a child": [stock / children],
                "ours once rendered, bytes a child": [rendered[0] / children],
                "ours where nothing moves, bytes a child": [rendered[-1] / children],
            },
        )
    ]
