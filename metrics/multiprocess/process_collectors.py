"""What prometheus_client's own collectors tell of a process, added up over the workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from metrics.fastpath import children

from .file_layout import AggregationMode
from .workers import Workers

PROCESS_GAUGE_MODES: Mapping[str, AggregationMode] = {"process_start_time_seconds": "min"}
"""How a process's gauges add up, where it is not by their sum: the studio began with its first worker."""


def register_process_collector(workers: Workers, registry: CollectorRegistry, collector: Collector) -> None:
    """Show the counters and gauges of a collector as sums over the workers; counters keep what the dead had."""
    published = _Published(workers, registry, collector)
    published.read()
    workers.every_second(published.read)


class _Published:
    def __init__(self, workers: Workers, registry: CollectorRegistry, collector: Collector) -> None:
        self._workers = workers
        self._registry = registry
        self._collector = collector
        self._moved: dict[str, Any] = {}
        self._numbers: dict[tuple[str, ...], Any] = {}

    def read(self) -> None:
        for family in self._collector.collect():
            for sample in family.samples:
                key = (sample.name, *sample.labels.values())
                number = self._numbers.get(key)
                if number is None:
                    number = self._numbers[key] = self._number(family, sample.labels)
                number.set(float(sample.value))

    def _number(self, family: Family, labels: Mapping[str, str]) -> Any:
        moved = self._moved.get(family.name)
        if moved is None:
            kind, mode = (
                (Counter, "total")
                if family.type == "counter"
                else (Gauge, PROCESS_GAUGE_MODES.get(family.name, "livesum"))
            )
            moved, shown = self._workers.create_instruments(kind, family.name, family.documentation, labels, mode)  # type: ignore[arg-type]  # one of the words
            self._moved[family.name] = moved
            self._registry.register(shown)
        [number] = children.values_of(moved.labels(*labels.values()) if labels else moved)
        return number
