"""The exponential buckets beside the classic ones of a histogram: Prometheus's native histogram.

A family that is `enabled` has an attribute of ours, and so has each child of it that was ever updated. One search finds
both buckets of an amount, since the bounds of both stand in one list.
"""

# ruff: noqa: SLF001  # attributes of our own in the objects of prometheus_client

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from .children import bounds_of, label_values_of, values_of
from .exponential import MIN_SCHEMA, BucketKey, bucket_index, coarser_index, folded, upper_bounds
from .lock import LOCK

NEIGHBOURS = 8
"""Buckets that have a sum of their amounts in common: those of an octave, at the usual schema."""


class Count:
    """The count of one bucket in this process, or the sum of some."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0.0

    def inc(self, amount: float) -> None:
        """Add an amount."""
        with LOCK:
            self._value += amount

    def set(self, value: float) -> None:
        """Replace the number."""
        self._value = value

    def get(self) -> float:
        """Return the number."""
        return self._value


@dataclass(frozen=True, slots=True)
class NativeFamily:
    """How the exponential buckets of a family are made.

    Attributes:
        schema: The finest schema.
        max_buckets: The number of buckets of a child past which its resolution is halved.
        new_count: Returns the value object of a new bucket, by the child's label values.
        new_sum: Returns that of the sum of an octave's amounts, by the child's label values, the schema and the octave.
    """

    schema: int
    max_buckets: int
    new_count: Callable[[tuple[str, ...], BucketKey], Any] = lambda *_: Count()
    new_sum: Callable[[tuple[str, ...], tuple[int, int]], Any] = lambda *_: Count()


def enable(collector: Any, family: NativeFamily) -> None:
    """Have a histogram show exponential buckets, those of children without an observation too."""
    collector._native_family = family


def native_family(collector: Any) -> NativeFamily | None:
    """Return how a collector's exponential buckets are made; None if it has none."""
    family: NativeFamily | None = getattr(collector, "_native_family", None)
    return family


def counts_of(child: Any) -> dict[BucketKey, Any]:
    """Return the value objects of a child's exponential buckets, by their schema and index, to read or to add to."""
    counts: dict[BucketKey, Any] = child.__dict__.setdefault("_native_counts", {})
    return counts


def sums_of(child: Any) -> dict[tuple[int, int], Any]:
    """Return the value objects of the sums of the amounts in a child's exponential buckets, by schema and octave.

    The classic sum is of other amounts too, where some are observed without exponential buckets.
    """
    sums: dict[tuple[int, int], Any] = child.__dict__.setdefault("_native_sums", {})
    return sums


def native_buckets(child: Any, family: NativeFamily, limit: float) -> NativeBuckets:
    """Return what finds the buckets of amounts below a limit, the same of a child each time."""
    with LOCK:
        found: NativeBuckets | None = child.__dict__.get("_native_buckets")
        if found is None or found.limit < limit:
            found = child._native_buckets = NativeBuckets(child, family, limit)
        return found


class NativeBuckets:
    """The buckets of a child: the classic one, the exponential one and its sum, by their place among ``bounds``.

    They are entered as they are first asked for: generated code looks among ``places`` itself. Where that makes one too
    many, the bounds of a lower schema take the place of these, and what was counted stays where it is: whoever reads
    the counts adds them up at one resolution.

    Attributes:
        bounds: The upper bounds of both kinds of buckets, ascending; the last is no less than the limit.
        limit: What the amounts stay below.
        places: The buckets that were found, by the place of their bound.
    """

    __slots__ = (
        "_buckets",
        "_classic_bounds",
        "_counts",
        "_family",
        "_label_values",
        "_schema",
        "_sums",
        "bounds",
        "limit",
        "places",
    )

    def __init__(self, child: Any, family: NativeFamily, limit: float) -> None:
        self.limit = limit
        self.places: dict[int, tuple[Any, Any, Any]] = {}
        self._family = family
        self._label_values = label_values_of(child)
        self._classic_bounds = bounds_of(child)
        self._buckets = values_of(child)[1:]
        self._counts, self._sums = counts_of(child), sums_of(child)
        self._use(min([family.schema, *(schema for schema, _ in self._counts)]))

    def _use(self, schema: int) -> None:
        self._schema = schema
        self.bounds = merged_bounds(schema, self.limit, self._classic_bounds)
        self.places.clear()  # they were those of other bounds

    def find(self, amount: float) -> tuple[Any, Any, Any]:
        """Return the buckets of an amount, and enter them."""
        bounds = self.bounds
        place = bisect_left(bounds, amount)
        upper = bounds[place]
        buckets = self._buckets[bisect_left(self._classic_bounds, upper)], *self._count_and_sum(upper)
        return self.places.setdefault(place, buckets) if bounds is self.bounds else buckets

    def _count_and_sum(self, amount: float) -> tuple[Any, Any]:
        key = self._schema, bucket_index(amount, self._schema)
        while key not in self._counts and key[0] > MIN_SCHEMA and self._is_too_many(key):
            self._use(key[0] - 1)
            key = self._schema, coarser_index(key[1], 1)
        count = self._counts.get(key)
        if count is None:
            count = self._counts.setdefault(key, self._family.new_count(self._label_values, key))
        octave = key[0], key[1] // NEIGHBOURS
        total = self._sums.get(octave)
        if total is None:
            total = self._sums.setdefault(octave, self._family.new_sum(self._label_values, octave))
        return count, total

    def _is_too_many(self, key: BucketKey) -> bool:
        used = dict.fromkeys((*self._counts, key), 1.0)
        return folded(used, key[0], self._family.max_buckets)[0] < key[0]

    def add(self, amount: float) -> None:
        """Count an amount in its exponential bucket alone."""
        with LOCK:
            _, count, total = self.places.get(bisect_left(self.bounds, amount)) or self.find(amount)
            count.inc(1.0)
            total.inc(amount)


@cache
def merged_bounds(schema: int, limit: float, classic: tuple[float, ...]) -> list[float]:
    """Return the bounds of exponential buckets up to a limit, and of classic ones, ascending."""
    exponential = upper_bounds(schema, limit)
    return sorted({*exponential, *(bound for bound in classic if bound < exponential[-1])})
