"""Adding workers' files up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import fsum, isnan
from operator import add
from pathlib import Path

from prometheus_client.samples import Exemplar

from .exemplars import exemplar_time
from .file_layout import ARCHIVED_MODES, AggregationMode, FamilySchema
from .file_reader import Reader

HIDDEN = 0
"""The place in the totals for what is not shown."""


class SeriesIndex:
    """Where each series stands in the totals: the same for all files."""

    def __init__(self, admit: Callable[[FamilySchema, bytes], bool] = lambda *_: True) -> None:
        self.size = 1  # the first place is HIDDEN
        self.first: dict[bytes, int] = {}
        self.shapes: dict[bytes, FamilySchema] = {}
        self._admit = admit

    def of(self, line: bytes, shape: FamilySchema) -> int:
        """Give the first place of a series."""
        place = self.first.get(line)
        if place is None:
            if self._admit(shape, line):
                place, self.size = self.size, self.size + shape.numbers
            else:
                place = HIDDEN
            self.first[line] = place
            self.shapes[line] = shape
        return place


class Merger:
    """Adds files up: counts place by place, other amounts exactly, gauges one by one.

    Amounts such as seconds are added without rounding in between. Else their sum would depend on the order: it would be
    smaller by its last bit when a worker is archived, and look as if the counter had begun anew.
    """

    def __init__(self, places: SeriesIndex) -> None:
        self._places = places
        self._known: dict[Reader, FileIndex] = {}

    def know(self, reader: Reader, new: Iterable[tuple[bytes, FamilySchema]], lives: bool) -> None:
        """Find the places of a file's new series; gauges of those that are gone have none."""
        known = self._known.setdefault(reader, FileIndex())
        for line, shape in new:
            place = self._places.of(line, shape) if lives or shape.mode in ARCHIVED_MODES else HIDDEN
            cell = len(known.counts)
            known.counts += [HIDDEN] * shape.cells
            if place == HIDDEN:
                continue
            if shape.mode == "total":
                known.amounts.append((cell, place))
                known.counts[cell + 1 :] = range(place + 1, place + shape.cells)
            else:
                known.gauges.append((cell, place, shape.mode))

    def forget(self, reader: Reader) -> None:
        """Leave a file out from now on."""
        self._known.pop(reader, None)

    def add(self, readers: Iterable[Reader]) -> Merged:
        """Add these up."""
        counts = [0.0] * self._places.size
        amounts: defaultdict[int, list[float]] = defaultdict(list)
        gauges: dict[int, tuple[float, float]] = {}
        for reader in readers:
            known = self._known.get(reader, FileIndex())
            values = reader.values()
            for place, value in zip(known.counts, values, strict=False):
                counts[place] += value
            merge_gauges(gauges, known.gauges, values)
            for layer in range(reader.layers):
                exact = reader.values(layer) if layer else values
                for cell, place in known.amounts:
                    if value := exact[cell]:
                        amounts[place].append(value)
        for place, parts in amounts.items():
            counts[place] = exact_sum(parts)
        for place, (value, _) in gauges.items():
            counts[place] = value
        return Merged(counts, set(gauges), amounts)

    def exemplars(self, readers: Iterable[Reader], torn: Callable[[Path], object]) -> dict[int, Exemplar]:
        """Give the newest exemplar of each number that has any, by place; files with one that is not whole are told."""
        newest: dict[int, Exemplar] = {}
        for reader in readers:
            found, whole = reader.records.read()
            if not whole:
                torn(reader.path)
            if not found:
                continue
            known = self._known.get(reader, FileIndex())
            amounts = dict(known.amounts)
            for cell, exemplar in found:
                place = amounts.get(cell) or next(iter(known.counts[cell : cell + 1]), HIDDEN)
                if place != HIDDEN and exemplar_time(exemplar) >= exemplar_time(newest.get(place, exemplar)):
                    newest[place] = exemplar
        return newest


@dataclass
class FileIndex:
    """Where the doubles of a file belong."""

    counts: list[int] = field(default_factory=list)  # the place of each that is a count, HIDDEN for the others
    amounts: list[tuple[int, int]] = field(default_factory=list)  # double and place
    gauges: list[tuple[int, int, AggregationMode]] = field(default_factory=list)


@dataclass(frozen=True)
class Merged:
    """The sum of some files: by place; which gauges there are; and what amounts were added from."""

    totals: list[float]
    gauges: set[int]
    parts: dict[int, list[float]]


def merge_gauges(
    gauges: dict[int, tuple[float, float]], known: Iterable[tuple[int, int, AggregationMode]], values: list[float]
) -> None:
    """Join a file's gauges to those of others, each with the time at which it was set where that matters."""
    for cell, place, mode in known:
        value = values[cell]
        if isnan(value):  # the series was taken away
            continue
        when = values[cell + 1] if mode == "livemostrecent" else 0.0
        other = gauges.get(place)
        if other is None:
            gauges[place] = value, when
        elif mode != "livemostrecent":
            gauges[place] = JOIN[mode](other[0], value), when
        elif when >= other[1]:
            gauges[place] = value, when


def exact_sum(parts: list[float]) -> float:
    """Add without rounding in between; what no process ever counted, of a torn file, adds up to anything."""
    try:
        return fsum(parts)
    except (OverflowError, ValueError):
        return sum(parts)


def _least(one: float, other: float) -> float:
    """Give the smaller; 0 was not set yet."""
    return min(one, other) if one and other else one or other


JOIN: dict[AggregationMode, Callable[[float, float], float]] = {
    "livesum": add,
    "livemax": max,
    "max": max,
    "min": _least,
}
