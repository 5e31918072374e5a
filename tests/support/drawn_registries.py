"""Registries with any collectors, names, labels and values, drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, Summary

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
LABELS = NAMES.filter(lambda name: not name.startswith("__") and name not in ("le", "quantile"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "\n", "%s", "{}", "é"]
)
NUMBERS = (
    st.floats() | st.integers(-(10**18), 10**18) | st.sampled_from([0.0, -0.0, 1e6, 999999.5, 1234567.8, 1e21, 5e-324])
)
COUNTS = st.floats(0, 1e15) | st.integers(0, 10**9)
KINDS = st.sampled_from([Counter, Gauge, Summary, Histogram, Info, Enum])


def update(kind: type[Any], child: Any, data: st.DataObject) -> None:
    """Update a child several times, as its type allows."""
    for _ in range(data.draw(st.integers(0, 3))):
        if kind is Counter:
            child.inc(data.draw(COUNTS))
        elif kind is Gauge:
            child.set(data.draw(NUMBERS))
        elif kind is Info:
            child.info(data.draw(st.dictionaries(NAMES.map(lambda name: f"i_{name}"), TEXTS, max_size=3)))
        elif kind is Enum:
            child.state(data.draw(st.sampled_from(["on", "off"])))
        else:
            child.observe(data.draw(NUMBERS))


def populate(registry: CollectorRegistry, data: st.DataObject) -> None:
    """Register collectors of every type with any names, labels, help and values."""
    for number in range(data.draw(st.integers(0, 4))):
        kind = data.draw(KINDS)
        shape: dict[str, Any] = {}
        if kind is Enum:
            shape["states"] = ["on", "off"]
        if kind is Histogram:
            shape["buckets"] = sorted(data.draw(st.sets(st.floats(-10, 1e9), min_size=1, max_size=4)))
        names = data.draw(st.lists(LABELS, max_size=3, unique=True))
        name = f"m{number}_{data.draw(NAMES)}"
        metric = kind(name, data.draw(TEXTS), [label for label in names if label != name], registry=registry, **shape)
        if not names:
            update(kind, metric, data)
            continue
        for _ in range(data.draw(st.integers(0, 3))):
            update(kind, metric.labels(*(data.draw(TEXTS) for label in names if label != name)), data)


class FixedCollector:
    """A custom collector with fixed families."""

    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def draw_collector(data: st.DataObject) -> FixedCollector:
    """Draw a custom collector: any type of family, with timestamps and OpenMetrics's own samples."""
    kind = data.draw(st.sampled_from(["counter", "gauge", "unknown", "gaugehistogram", "info", "stateset", "summary"]))
    metric = Metric("told", data.draw(TEXTS), kind)
    for suffix in data.draw(
        st.lists(st.sampled_from(["", "_total", "_created", "_gsum", "_gcount", "_bucket"]), max_size=5)
    ):
        labels = data.draw(st.dictionaries(LABELS, TEXTS, max_size=3))
        time = data.draw(st.none() | st.floats(0, 2e9))
        metric.add_sample(f"told{suffix}", labels, data.draw(NUMBERS), time)
    return FixedCollector(metric)
