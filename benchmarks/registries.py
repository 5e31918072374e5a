"""Large registries, for the benchmarks that render them."""

from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, Counter, Histogram

SAMPLES = 100_000
LABELS = ("method", "endpoint")


def label_values(number: int) -> tuple[str, str]:
    """Return label values such as those of an HTTP family."""
    return "GET", f"/api/v1/things/{number}/parts"


def histograms(registry: CollectorRegistry, samples: int = SAMPLES) -> Histogram:
    """Register and return a histogram of 15 buckets a child, each child observed eight times."""
    family = Histogram("http_request_duration_seconds", "Time.", LABELS, registry=registry)
    for number in range(samples // 18):  # with count, sum and created
        child = family.labels(*label_values(number))
        for _ in range(8):
            child.observe(random.random() * 8)
    return family


def counters(registry: CollectorRegistry, samples: int = SAMPLES) -> Counter:
    """Register and return a counter whose children have fractional values."""
    family = Counter("llm_cost_usd_total", "Cost.", LABELS, registry=registry)
    for number in range(samples // 2):  # with created
        family.labels(*label_values(number)).inc(random.random())
    return family
