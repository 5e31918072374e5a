"""Exponential buckets in the workers' files: a series for eight neighbours of one schema, as they are first counted.

To the file they are a histogram with two labels more, so whatever holds for the counts of its buckets holds for these:
they are added up, archived, and kept over a fork. What each worker counts at another schema is added up by whoever
renders.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..fastpath.exponential import BucketKey
from ..fastpath.native_buckets import Count, NativeFamily, counts_of
from .exponential_schema import NEIGHBOURS
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
        series = (*label_values, str(schema), str(octave))
        values = self._file.series.get((self._schema, series))
        if values is None:
            values = self._file.add_series(self._schema, series, report_later=True)
        return values[1 + place]


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
        counts = counts_of(self._total.labels(*own) if own else self._total)
        first = int(octave) * NEIGHBOURS
        buckets = [counts.setdefault((int(schema), first + place), Count()) for place in range(NEIGHBOURS)]
        return [Count(), *buckets]


def shared(native: NativeFamily, file: SharedFile, schema: FamilySchema) -> NativeFamily:
    """Return how the exponential buckets of a family are made whose counts the other workers read too."""
    return replace(native, new_count=SharedCounts(file, schema).new_count)
