"""The metrics, labels and label values that an expression can name: those of a catalogue, and Prometheus's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..catalogue import every_signal
from ..rows import OTHER, Metric
from ..subscription.subscribe import declared_signals

Labels = dict[str, set[str] | None]
"""Each label with its values, None where any may occur."""

OF_TARGETS = ("job", "instance")
PROCESS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)
OF_PROMETHEUS = ("up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added")


@dataclass
class Vocabulary:
    """Each metric's labels, by the metric's full name."""

    metrics: dict[str, Labels] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, set[str] | None]) -> None:
        """Add a metric, or labels and values of one that is there."""
        known = self.metrics.setdefault(name, {})
        for label, values in labels.items():
            before = known.get(label, set())
            known[label] = None if values is None or before is None else before | values


def vocabulary_of(catalogue: Iterable[Metric], *prefixes: str) -> Vocabulary:
    """Return what a catalogue's metrics are called with each of the prefixes, and what scrapes add."""
    known = Vocabulary()
    targets: Labels = dict.fromkeys(OF_TARGETS)
    for name in (*PROCESS, *OF_PROMETHEUS):
        known.add(name, targets)
    alert: Labels = {"alertname": None, "severity": {"page", "ticket"}, "alertstate": {"pending", "firing"}}
    known.add("ALERTS", {**targets, **alert})
    for row in catalogue:
        labels = {**targets, **labels_of(row)}
        for prefix in prefixes:
            name = f"{prefix}{row.name}"
            known.add(name, labels)  # a histogram by its bare name is a native one
            if row.kind == "histogram":
                known.add(f"{name}_bucket", {**labels, "le": None})
                known.add(f"{name}_sum", labels)
                known.add(f"{name}_count", labels)
    return known


def labels_of(row: Metric) -> Labels:
    """Return a row's labels with their values; an open label has any."""
    labels: Labels = {label: {value} for label, value in row.const_labels.items()}
    for name, values in zip(row.labels, row.closed_label_values, strict=True):
        known = None if values is None else {*values, OTHER, *row.default.values()}
        labels[row.rename.get(name, name)] = known
    if row.signal is every_signal:
        labels["signal"] = {signal.name for signal in declared_signals()}
    return labels
