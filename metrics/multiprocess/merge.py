"""Merging workers' files into totals: which cell belongs to which total, and how the values are combined."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import fsum, inf, isnan
from operator import add
from pathlib import Path

from prometheus_client.samples import Exemplar

from .exemplars import exemplar_time
from .file_layout import ARCHIVED_MODES, AggregationMode, FamilySchema, parse_label_values
from .file_reader import Reader
from .own_values import OwnValues

AnyReader = Reader | OwnValues
"""What is merged: workers' files, or the values of a process that counts alone."""

HIDDEN = 0
"""The index in the totals of all values that are not shown."""


class SeriesIndex:
    """Maps each series to the index of its first value in the totals: the same for all files.

    Args:
        admit: Called with a new series; returns whether it has a place in the totals.
        shown_as: Called with the schema of a file's series; returns the one in which the totals have it: itself, or
            that of the same histogram with other bounds.
    """

    def __init__(
        self,
        admit: Callable[[FamilySchema, bytes], bool] = lambda *_: True,
        shown_as: Callable[[FamilySchema], FamilySchema] = lambda schema: schema,
    ) -> None:
        self.size = 1  # index 0 is HIDDEN
        self.first: dict[bytes, int] = {}  # by the line of the series
        self.schemas: dict[bytes, FamilySchema] = {}
        self.created: dict[bytes, int] = {}  # when it began first, in Unix seconds; 0 where a file does not say
        self.begun: set[bytes] = set()  # those whose time is another than it was
        self.shown_as = shown_as
        self._admit = admit

    def index_of(self, line: bytes, schema: FamilySchema) -> int:
        """Return the index of a series' first value, assigning one to a new series."""
        index = self.first.get(line)
        if index is None:
            if self._admit(schema, line):
                index, self.size = self.size, self.size + schema.value_count
            else:
                index = HIDDEN
            self.first[line] = index
            self.schemas[line] = schema
        return index

    def begin(self, line: bytes, created: int) -> None:
        """Have a series begin at a time in one of the files; the earliest one counts, and an unknown one most."""
        if created < self.created.get(line, inf):
            self.created[line] = created
            self.begun.add(line)


class Merger:
    """Merges files: counts are added index by index, other amounts are added exactly, gauges are merged by mode.

    Amounts such as seconds are added without rounding in between. Otherwise their sum would depend on the order of the
    files: it could decrease by its last bit when a worker is archived, which looks like a counter reset.
    """

    def __init__(self, series: SeriesIndex) -> None:
        self._series = series
        self._files: dict[AnyReader, FileIndex] = {}

    def index(self, reader: AnyReader, new: Iterable[tuple[bytes, FamilySchema]], alive: bool) -> None:
        """Map the new series of a file to their indexes in the totals; live gauges of a dead process are `HIDDEN`."""
        file = self._files.setdefault(reader, FileIndex())
        for line, schema in new:
            shown = self._series.shown_as(schema)
            shown_line = line if shown is schema else shown.series_line(parse_label_values(line))
            index = self._series.index_of(shown_line, shown) if alive or schema.mode in ARCHIVED_MODES else HIDDEN
            cell = len(file.counts)
            file.counts += [HIDDEN] * schema.cell_count
            if index == HIDDEN:
                continue
            self._series.begin(shown_line, reader.created.get(line, 0))
            if schema.mode == "total":
                file.amounts.append((cell, index))
                if shown is schema:
                    file.counts[cell + 1 :] = range(index + 1, index + schema.cell_count)
                else:
                    file.counts[cell + 1 :] = (
                        index + 1 + place for place in bucket_places(schema.bounds, shown.bounds)
                    )
            else:
                file.gauges.append((cell, index, schema.mode))

    def drop(self, reader: AnyReader) -> None:
        """Leave a file out from now on."""
        self._files.pop(reader, None)

    def merge(self, readers: Iterable[AnyReader]) -> Merged:
        """Return the totals of these files."""
        totals = [0.0] * self._series.size
        parts: defaultdict[int, list[float]] = defaultdict(list)
        gauges: dict[int, tuple[float, float]] = {}
        for reader in readers:
            file = self._files.get(reader, FileIndex())
            values = reader.values()
            for index, value in zip(file.counts, values, strict=False):
                totals[index] += value
            merge_gauges(gauges, file.gauges, values)
            for layer in range(reader.layers):
                layer_values = reader.values(layer) if layer else values
                for cell, index in file.amounts:
                    if value := layer_values[cell]:
                        parts[index].append(value)
        for index, amounts in parts.items():
            totals[index] = exact_sum(amounts)
        for index, (value, _) in gauges.items():
            totals[index] = value
        return Merged(totals, set(gauges), parts)

    def exemplars(self, readers: Iterable[AnyReader], on_torn: Callable[[Path], object]) -> dict[int, Exemplar]:
        """Return the newest exemplar of each value that has one, by its index in the totals.

        Args:
            readers: The files.
            on_torn: Called with the path of a file that has a torn record.
        """
        newest: dict[int, Exemplar] = {}
        for reader in readers:
            found, intact = reader.records.read()
            if not intact:
                on_torn(reader.path)
            if not found:
                continue
            file = self._files.get(reader, FileIndex())
            amounts = dict(file.amounts)
            for cell, exemplar in found:
                index = amounts.get(cell) or next(iter(file.counts[cell : cell + 1]), HIDDEN)
                if index != HIDDEN and exemplar_time(exemplar) >= exemplar_time(newest.get(index, exemplar)):
                    newest[index] = exemplar
        return newest


@dataclass(slots=True)
class FileIndex:
    """Where the cells of a file belong in the totals."""

    counts: list[int] = field(default_factory=list)
    """For each cell the index of its count; `HIDDEN` for a cell that is not a count."""
    amounts: list[tuple[int, int]] = field(default_factory=list)
    """Cell and index of each amount."""
    gauges: list[tuple[int, int, AggregationMode]] = field(default_factory=list)
    """Cell, index and mode of each gauge."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The totals of some files by index, which of them are gauges, and the parts of each exact sum."""

    totals: list[float]
    gauges: set[int]
    parts: dict[int, list[float]]


@lru_cache
def bucket_places(bounds: tuple[float, ...], shown: tuple[float, ...]) -> tuple[int, ...]:
    """Return in which of the shown buckets the count of each bucket of a file belongs, +Inf's last.

    It is the first whose bound is not below its own. So the cumulative count of a bound is exact where the file has
    that bound, and elsewhere that of the file's next bound below: never too high.
    """
    return (*(bisect_left(shown, bound) for bound in bounds), len(shown))


def merge_gauges(
    merged: dict[int, tuple[float, float]], gauges: Iterable[tuple[int, int, AggregationMode]], values: list[float]
) -> None:
    """Merge a file's gauges into those of other files.

    Args:
        merged: Value and time of each gauge by index; the time is that of setting it if the mode needs it, else 0.
        gauges: Cell, index and mode of the file's gauges.
        values: The file's cells.
    """
    for cell, index, mode in gauges:
        value = values[cell]
        if isnan(value):  # the series was removed
            continue
        time = values[cell + 1] if mode == "livemostrecent" else 0.0
        other = merged.get(index)
        if other is None:
            merged[index] = value, time
        elif mode != "livemostrecent":
            merged[index] = COMBINE[mode](other[0], value), time
        elif time >= other[1]:
            merged[index] = value, time


def exact_sum(parts: list[float]) -> float:
    """Return the sum without rounding in between; a torn file may hold infinities and NaN, whose sum is arbitrary."""
    try:
        return fsum(parts)
    except (OverflowError, ValueError):
        return sum(parts)


def _smaller_set_value(one: float, other: float) -> float:
    """Return the smaller value; 0 means that it has not been set yet."""
    return min(one, other) if one and other else one or other


COMBINE: dict[AggregationMode, Callable[[float, float], float]] = {
    "livesum": add,
    "livemax": max,
    "livemin": min,
    "max": max,
    "min": _smaller_set_value,
}
