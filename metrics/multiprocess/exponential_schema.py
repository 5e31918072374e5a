"""Exponential buckets as series of the workers' files: to the file they are a histogram with two labels more."""

from __future__ import annotations

from dataclasses import replace

from ..fastpath.native_buckets import NEIGHBOURS
from .file_layout import FamilySchema

_LABELS = ("exponential schema", "exponential octave")  # no label of a metric has a space


def exponential_schema(classic: FamilySchema) -> FamilySchema:
    """Return the schema of the exponential buckets of a histogram; its bounds are places and no amounts.

    Its values are the sum of the amounts in `NEIGHBOURS` buckets, and the counts of these.
    """
    bounds = tuple(map(float, range(NEIGHBOURS - 1)))
    return replace(classic, labels=(*classic.labels, *_LABELS), bounds=bounds)


def is_exponential(schema: FamilySchema) -> bool:
    """Return whether a schema is an `exponential_schema`."""
    return schema.labels[-len(_LABELS) :] == _LABELS


def most_exponential_cells(capacity: int) -> int:
    """Return how many of so many cells exponential buckets may take, of a file or the archive: half of them.

    The others are for counters, gauges and classic buckets, which have no other place, may come later and may take all.
    """
    return capacity // 2
