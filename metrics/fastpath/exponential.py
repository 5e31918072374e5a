"""Exponential buckets: their bounds, and counts of them at one resolution or another.

A schema says how fine they are: each bucket's upper bound is ``2 ** 2 ** -schema`` times that of the one before, and
bucket 0 ends at 1. At the next lower schema two buckets are one. See prometheus.io/docs/specs/native_histograms.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import frexp, inf, ldexp

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


def completed(
    counts: Mapping[int, float], schema: int, bounds: Sequence[float], cumulative: Sequence[float]
) -> dict[int, float]:
    """Return counts with those observations that the classic buckets have alone, each where its classic bucket ends.

    These are observations of before exponential buckets were counted, and of processes that do not count them.

    Args:
        counts: Exponential counts, by index.
        schema: Their schema.
        bounds: The upper bounds of the classic buckets, infinity at the end.
        cumulative: The classic counts up to each bound.
    """
    complete = dict(counts)
    if cumulative[-1] <= sum(counts.values()):
        return complete
    ordered = sorted(counts.items())
    below, at, missing = 0.0, 0, 0.0
    index = lowest_index(schema)
    for bound, count in zip(bounds, cumulative, strict=True):
        index = bucket_index(bound, schema) if bound < inf else index + 1
        while at < len(ordered) and (ordered[at][0] <= index or bound == inf):
            below, at = below + ordered[at][1], at + 1
        if count - below > missing:
            complete[index] = complete.get(index, 0.0) + count - below - missing
            missing = count - below
    return complete


def spans_and_deltas(counts: Iterable[tuple[int, int]]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return counts as Prometheus stores them: runs of buckets, and how much each count is above the one before.

    Args:
        counts: The index and the count of each bucket that has one, ascending by index.

    Returns:
        The spans, each the gap before it and its length, and the deltas. A gap of one or two is filled with zeroes,
        which take less space than a further span.
    """
    spans: list[list[int]] = []
    deltas: list[int] = []
    following, before = 0, 0
    for index, count in counts:
        gap = index - following
        if not spans or gap > 2:
            spans.append([gap, 0])
        elif gap:
            deltas += [-before, *[0] * (gap - 1)]
            spans[-1][1] += gap
            before = 0
        spans[-1][1] += 1
        deltas.append(count - before)
        following, before = index + 1, count
    return [(gap, length) for gap, length in spans], deltas
