"""Exponential buckets: their bounds, and counts of them at one resolution or another.

A schema says how fine they are: each bucket's upper bound is ``2 ** 2 ** -schema`` times that of the one before, and
bucket 0 ends at 1. At the next lower schema two buckets are one. See prometheus.io/docs/specs/native_histograms.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import cache
from math import frexp, ldexp

MIN_SCHEMA, MAX_SCHEMA = -4, 8
"""The schemas that Prometheus knows."""

MIN_EXPONENT = -48
"""Amounts up to 2 to this power are in the zero bucket: the lowest one, which ends at a bound of every schema."""

ZERO_THRESHOLD = ldexp(1.0, MIN_EXPONENT)
_MAX_EXPONENT = 1023  # of a double

BucketKey = tuple[int, int]
"""A bucket: its schema and its index."""


@cache
def _steps(schema: int) -> tuple[float, ...]:
    """Return the bounds from 1 up to 2, without that, of a schema that is not negative."""
    return tuple(2.0 ** (step / 2**schema) for step in range(2**schema))


def lowest_index(schema: int) -> int:
    """Return the index of the zero bucket."""
    return MIN_EXPONENT << schema if schema >= 0 else MIN_EXPONENT >> -schema


def bucket_index(amount: float, schema: int) -> int:
    """Return the index of the bucket that an amount is in."""
    if amount <= ZERO_THRESHOLD:
        return lowest_index(schema)
    fraction, exponent = frexp(min(amount, ldexp(1.0, _MAX_EXPONENT)))
    finest = max(schema, 0)
    index = bisect_left(_steps(finest), 2 * fraction) + (exponent - 1 << finest)
    return index if schema >= 0 else coarser_index(index, -schema)


def coarser_index(index: int, halvings: int) -> int:
    """Return the index of the bucket that has this one in it, so many schemas lower."""
    return -(-index >> halvings)


@cache
def upper_bounds(schema: int, limit: float) -> tuple[float, ...]:
    """Return the upper bounds of the buckets of amounts below a limit, from the zero bucket's on."""
    last = bucket_index(limit, schema)
    return tuple(_upper_bound(index, schema) for index in range(lowest_index(schema), last + 1))


def _upper_bound(index: int, schema: int) -> float:
    if schema < 0:
        return ldexp(1.0, index << -schema)
    return ldexp(_steps(schema)[index % 2**schema], index >> schema)


def folded(counts: Mapping[BucketKey, float], schema: int, max_buckets: int) -> tuple[int, dict[int, float]]:
    """Return counts at one resolution, by index, with the schema: the finest at which they are few enough.

    Args:
        counts: The counts; those of several schemas too.
        schema: The schema, where none of the counts has a lower one.
        max_buckets: The number of buckets with a count, the zero bucket left aside, that there may be.
    """
    schema = min([schema, *(found for (found, _), count in counts.items() if count)])
    merged: dict[int, float] = {}
    for (found, index), count in counts.items():
        if count:
            place = coarser_index(index, found - schema)
            merged[place] = merged.get(place, 0.0) + count
    while schema > MIN_SCHEMA and len(merged.keys() - {lowest_index(schema)}) > max_buckets:
        halved: dict[int, float] = {}
        for index, count in merged.items():
            place = coarser_index(index, 1)
            halved[place] = halved.get(place, 0.0) + count
        schema, merged = schema - 1, halved
    return schema, merged
