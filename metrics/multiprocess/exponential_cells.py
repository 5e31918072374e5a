"""Exponential buckets in the workers' files: a series for eight neighbours of one schema, as they are first counted.

To the file they are a histogram with two labels more, so whatever holds for the counts of its buckets holds for these:
they are added up, archived, and kept over a fork. What each worker counts at another schema is added up by whoever
renders.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..fastpath.exponential import BucketKey
from ..fastpath.native_buckets import NEIGHBOURS, Count, NativeFamily, counts_of, sums_of
from .file_layout import FamilySchema
from .shared_file import SharedFile


class SharedCounts:
    """The exponential buckets that this process counts in, of all children of a family.

    Args:
        file: Holds the counts.
        schema: The `exponential_schema` of the family.
    """

    def __init__(self, file: SharedFile, schema: FamilySchema) -> None:
        self._file = file
        self._schema = schema

    def new_count(self, label_values: tuple[str, ...], key: BucketKey) -> Any:
        """Return the value object of a bucket of the child with these label values."""
        schema, index = key
        octave, place = divmod(index, NEIGHBOURS)
        return self._values(label_values, schema, octave)[1 + place]

    def new_sum(self, label_values: tuple[str, ...], key: tuple[int, int]) -> Any:
        """Return the value object of the sum of an octave's amounts, by its schema and octave."""
        return self._values(label_values, *key)[0]

    def _values(self, label_values: tuple[str, ...], schema: int, octave: int) -> Any:
        series = (*label_values, str(schema), str(octave))
        values = self._file.series.get((self._schema, series))
        if values is None:
            values = self._file.add_series(self._schema, series, report_later=True)
        return values


class TotalCounts:
    """The exponential buckets of the sums over all workers, as what the sums are put into.

    Args:
        total: The histogram that shows the sums.
    """

    def __init__(self, total: Any) -> None:
        self._total = total

    def values_of(self, label_values: tuple[str, ...]) -> list[Any]:
        """Return the value objects of a series of `exponential_schema`.

        Raises:
            ValueError: the last two label values are no numbers.
        """
        *own, schema, octave = label_values
        child = self._total.labels(*own) if own else self._total
        counts, total = counts_of(child), sums_of(child).setdefault((int(schema), int(octave)), Count())
        first = int(octave) * NEIGHBOURS
        buckets = [counts.setdefault((int(schema), first + place), Count()) for place in range(NEIGHBOURS)]
        return [total, *buckets]


def shared(native: NativeFamily, file: SharedFile, schema: FamilySchema) -> NativeFamily:
    """Return how the exponential buckets of a family are made whose counts the other workers read too."""
    counts = SharedCounts(file, schema)
    return replace(native, new_count=counts.new_count, new_sum=counts.new_sum)
