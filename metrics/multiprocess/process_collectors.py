"""prometheus_client's own collectors of a process's figures (``process_*``, ``python_gc_*``), summed over workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from ..fastpath import children
from .file_layout import AggregationMode
from .worker_group import Workers

PROCESS_GAUGE_MODES: Mapping[str, AggregationMode] = {"process_start_time_seconds": "min"}
"""How gauges are aggregated that are not summed: the service started with its first worker."""


def register_process_collector(
    workers: Workers, registry: CollectorRegistry, collector: Collector
) -> Callable[[], None]:
    """Register the counters and gauges of a collector as sums over the workers; counters include dead workers.

    Return a function that unregisters them.

    Args:
        workers: The workers to sum over.
        registry: Where the sums are registered.
        collector: Reads this process's figures; it must not be registered on ``registry`` itself.
    """
    summed = _SummedCollector(workers, registry, collector)
    summed.refresh()
    stop = workers.every_second(summed.refresh)

    def unregister() -> None:
        stop()
        summed.unregister()

    return unregister


class _SummedCollector:
    def __init__(self, workers: Workers, registry: CollectorRegistry, collector: Collector) -> None:
        self._workers = workers
        self._registry = registry
        self._collector = collector
        self._instruments: dict[str, Any] = {}  # by the family's name
        self._totals: list[Any] = []
        self._values: dict[tuple[str, ...], Any] = {}  # by the sample's name and label values

    def refresh(self) -> None:
        """Copy the collector's samples to this process's file."""
        for family in self._collector.collect():
            for sample in family.samples:
                key = (sample.name, *sample.labels.values())
                value = self._values.get(key)
                if value is None:
                    value = self._values[key] = self._create_value(family, sample.labels)
                value.set(float(sample.value))

    def unregister(self) -> None:
        """Take the sums out of the registry."""
        while self._totals:
            with suppress(KeyError):  # somebody did before
                self._registry.unregister(self._totals.pop())

    def _create_value(self, family: Family, labels: Mapping[str, str]) -> Any:
        instrument = self._instruments.get(family.name)
        if instrument is None:
            kind, mode = (
                (Counter, "total")
                if family.type == "counter"
                else (Gauge, PROCESS_GAUGE_MODES.get(family.name, "livesum"))
            )
            instrument, total = self._workers.create_instruments(
                kind,
                family.name,
                family.documentation,
                labels,
                mode,  # type: ignore[arg-type]  # one of the modes
            )
            self._instruments[family.name] = instrument
            self._registry.register(total)
            self._totals.append(total)
        [value] = children.values_of(instrument.labels(*labels.values()) if labels else instrument)
        return value
