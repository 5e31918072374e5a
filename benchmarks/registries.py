"""Registries of some size, of which rows measure the writing."""

from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, Counter, Histogram

SAMPLES = 100_000
LABELS = ("method", "endpoint")


def labels(number: int) -> tuple[str, str]:
    """Name a child as an HTTP family does."""
    return "GET", f"/api/v1/things/{number}/parts"


def histograms(registry: CollectorRegistry, samples: int = SAMPLES) -> Histogram:
    """Make histograms of 15 buckets, each observed eight times."""
    made = Histogram("http_request_duration_seconds", "Time.", LABELS, registry=registry)
    for number in range(samples // 18):  # with count, sum and created
        child = made.labels(*labels(number))
        for _ in range(8):
            child.observe(random.random() * 8)
    return made


def counters(registry: CollectorRegistry, samples: int = SAMPLES) -> Counter:
    """Make counters of fractional values."""
    made = Counter("llm_cost_usd_total", "Cost.", LABELS, registry=registry)
    for number in range(samples // 2):  # with created
        made.labels(*labels(number)).inc(random.random())
    return made
