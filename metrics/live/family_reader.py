"""Reading of one family: its series' values, put together as sources ask, without a sample for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from prometheus_client import Metric as Family

from ..fastpath import children
from .sources import How, Selection, Source, Values

Collect = Callable[[Any], Iterable[Family]]

COMBINE: Mapping[How, Callable[[Iterable[float]], float]] = {"sum": sum, "max": max, "min": min}


class FamilyReader:
    """Reads a family of a collector.

    Which value objects make up which value is found again only when series have come or gone.

    Args:
        collector: The collector, prometheus_client's or any other.
        name: The full name of the family.
        sources: What is read of it.
    """

    def __init__(self, collector: Any, name: str, sources: Sequence[Source]) -> None:
        self.collector = collector
        self._name = name
        self._sources = sources
        self._selections: dict[tuple[Source, tuple[str, ...]], Selection] = {}
        self._children: list[Any] = []
        self._objects: dict[Source, dict[str, list[tuple[Any, ...]]]] = {}
        self._read: Callable[[Any], float] = float

    def read(self, collect: Collect) -> tuple[dict[Source, Values], tuple[float, ...]]:
        """Return the values of each source, and the upper bounds of the buckets if it is a histogram.

        ``collect`` returns the families of a collector that can be read in no other way.
        """
        if not children.is_readable(self.collector):
            return self._collected(collect)
        found = children.children_of(self.collector)
        current = [child for _, child in found]
        if current != self._children or not self._objects:
            if not all(map(children.has_own_values, current)):
                return self._collected(collect)  # a gauge that shows what a function returns
            labels = children.label_names_of(self.collector)
            series = [(values, children.values_of(child)) for values, child in found]
            self._objects = {source: self._taken(source, labels, series) for source in self._sources}
            self._read = children.number_reader(each for _, values in series for each in values)
            self._children = current
        read = self._read
        values: dict[Source, Values] = {
            source: {key: tuple([combine(map(read, each)) for each in columns]) for key, columns in taken.items()}
            for source, taken in self._objects.items()
            for combine in [COMBINE[source.how]]
        }
        return values, children.bounds_of(self.collector)

    def _taken(
        self, source: Source, labels: tuple[str, ...], series: Iterable[tuple[tuple[str, ...], list[Any]]]
    ) -> dict[str, list[tuple[Any, ...]]]:
        """Return what each number of each value of a source is made of: one object of each series that it takes."""
        selection = self._selections.get((source, labels))
        if selection is None:
            selection = self._selections[source, labels] = Selection(source, labels)
        found: dict[str, list[list[Any]]] = {}
        for values, each in series:
            if (key := selection.key_of(values)) is not None:
                found.setdefault(key, []).append(each)
        return {key: list(zip(*each, strict=True)) for key, each in found.items()}

    def _collected(self, collect: Collect) -> tuple[dict[Source, Values], tuple[float, ...]]:
        labels, bounds, series = series_in(collect(self.collector), self._name)
        return {
            source: {
                key: tuple(map(COMBINE[source.how], columns))
                for key, columns in self._taken(source, labels, series).items()
            }
            for source in self._sources
        }, bounds


def series_in(
    families: Iterable[Family], name: str
) -> tuple[tuple[str, ...], tuple[float, ...], list[tuple[tuple[str, ...], list[float]]]]:
    """Return the labels of a family, the bounds of its buckets, and its series, from what a collector collects.

    The numbers of a series are those of `children.values_of`.
    """
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], list[float]] = {}
    sums: dict[tuple[str, ...], float] = {}
    buckets: dict[tuple[str, ...], dict[float, float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name not in (name, f"{name}_sum", f"{name}_bucket"):
            continue
        own = {label: value for label, value in sample.labels.items() if label != "le"}
        labels, key = tuple(own), tuple(own.values())
        if sample.name == name:
            values[key] = [float(sample.value)]
        elif sample.name == f"{name}_sum":
            sums[key] = float(sample.value)
        else:
            buckets.setdefault(key, {})[float(sample.labels["le"])] = float(sample.value)
    bounds = tuple(sorted({bound for each in buckets.values() for bound in each}))
    for key, found in buckets.items():
        counts = [0.0, *(found[bound] for bound in bounds)]
        values[key] = [sums.get(key, 0.0), *(after - before for before, after in pairwise(counts))]
    return labels, bounds, list(values.items())
