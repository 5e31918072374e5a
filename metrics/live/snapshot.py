"""Snapshots of a registry: the values of some families at one moment, read without rendering anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from time import monotonic, time
from typing import Any

from prometheus_client import CollectorRegistry

from events import collector_failed
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle

from ..exposition.render import GilYielder
from ..fastpath.write import registered_collectors
from ..multiprocess import Workers
from ..subscription.pollers import Pollers
from .family_reader import FamilyReader
from .sources import Source, Values

log = logging.getLogger("metrics")
_throttle = LogThrottle()

OF_PROCESSES = ("process_", "python_")
"""How the names of prometheus_client's own families begin, which have no namespace."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values of sources at a moment, by the monotonic clock and as a Unix time.

    A source that could not be read is None in ``values``; one whose family is not in the registry has no values.
    ``bounds`` are the upper bounds of each histogram's buckets, infinity at the end.
    """

    at: float
    time: float
    values: Mapping[Source, Values | None]
    bounds: Mapping[str, tuple[float, ...]]


class SnapshotReader:
    """Reads snapshots of a registry: of a process alone, or of workers, whose sums it shows.

    What the registry would do before a render is done before a snapshot, but that no scrape is noted: what metrics show
    since the last scrape is still Prometheus's to see. Read in a thread, not on an event loop.

    Args:
        registry: The registry.
        namespace: The first word of its metrics' names.
        sources: What is read.

    Attributes:
        collectors: The registry's collectors by the names that they have registered, as of the last snapshot.
    """

    def __init__(self, registry: CollectorRegistry, namespace: str, sources: Iterable[Source]) -> None:
        self._registry = registry
        self._namespace = namespace
        self._by_family: dict[str, list[Source]] = {}
        for source in dict.fromkeys(sources):
            self._by_family.setdefault(source.family, []).append(source)
        self.collectors: dict[str, Any] = {}
        self._registered: list[Any] = []
        self._preparations: list[Callable[[], object]] = []
        self._families: dict[str, FamilyReader] = {}
        self._last: dict[Source, Values] = {}

    def read(self) -> Snapshot:
        """Return what the sources have now; a family that fails is counted and logged, and is None."""
        self._find_collectors()
        for prepare in self._preparations:
            prepare()
        values: dict[Source, Values | None] = {}
        bounds: dict[str, tuple[float, ...]] = {}
        pause = GilYielder()
        collect = cache(lambda collector: list(collector.collect()))  # a collector may have several families
        for family, sources in self._by_family.items():
            name = self.full_name(family)
            collector = self.collectors.get(name)
            try:
                if collector is None:
                    found: dict[Source, Values] = {source: {} for source in sources}
                else:
                    reader = self._families.get(family)
                    if reader is None or reader.collector is not collector:
                        reader = self._families[family] = FamilyReader(collector, name, sources)
                    found, bounds[family] = reader.read(collect)
            except Exception as error:  # the host and the other families go on
                report_failure(name, error)
                values.update(dict.fromkeys(sources))
            else:
                # Most are as they were: the same objects, so that minutes of snapshots take little room.
                self._last.update({source: each for source, each in found.items() if self._last.get(source) != each})
                values.update({source: self._last.get(source, {}) for source in sources})
            pause()
        return Snapshot(monotonic(), time(), values, bounds)

    def full_name(self, family: str) -> str:
        """Return the name of a family in the registry."""
        return family if family.startswith(OF_PROCESSES) else f"{self._namespace}_{family}"

    def _find_collectors(self) -> None:
        registered = registered_collectors(self._registry) or []
        collectors = [collector for collector, _ in registered]
        if collectors == self._registered:
            return
        self._registered = collectors
        self._preparations = [
            each.run if isinstance(each, Pollers) else each.refresh
            for each in collectors
            if isinstance(each, Pollers | Workers)
        ]
        self.collectors = {name: collector for collector, names in registered for name in names}
        for collector, names in registered:
            if not names and not isinstance(collector, Pollers | Workers):  # it does not say beforehand what it has
                try:
                    self.collectors |= {
                        sample.name: collector for family in collector.collect() for sample in family.samples
                    }
                except Exception as error:
                    report_failure(type(collector).__name__, error)


def report_failure(family: str, error: Exception) -> None:
    """Count a family that cannot be read as `collector_failed`, and log it: its type and place alone."""
    if _throttle.is_due(family):
        log.warning("%s: left out of live numbers, %s at %s", family, type(error).__name__, error_location(error))
    collector_failed.emit(collector=family, error=type(error).__name__)
