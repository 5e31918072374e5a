"""The exponential buckets of a histogram as fields of its message."""

from __future__ import annotations

from collections.abc import Iterable

from .wire import bytes_field, double_field, integer_field, packed_field, zigzag

MAX_FILLED_GAP = 2
"""Buckets without a count that are written as such, which takes less space than a further span."""


def native_fields(schema: int, threshold: float, zero_count: int, buckets: Iterable[tuple[int, int]]) -> bytes:
    """Return the exponential buckets of a histogram as its fields.

    Args:
        schema: Their schema.
        threshold: The width of the zero bucket; one above 0 tells this from a classic histogram.
        zero_count: The count of the zero bucket.
        buckets: The index and the count of each other bucket that has one, ascending by index.
    """
    spans, deltas = spans_and_deltas(buckets)
    numbers = integer_field(5, zigzag(schema)) + double_field(6, threshold) + integer_field(7, zero_count)
    runs = (bytes_field(12, integer_field(1, zigzag(gap)) + integer_field(2, length)) for gap, length in spans)
    return b"".join([numbers, *runs, packed_field(13, map(zigzag, deltas))])


def spans_and_deltas(counts: Iterable[tuple[int, int]]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return counts as Prometheus stores them: runs of buckets, and how much each count is above the one before.

    The runs are spans: each the gap before it, or the first index, and its length.

    >>> spans_and_deltas([(-3, 2), (-2, 5), (0, 1), (7, 3)])
    ([(-3, 4), (6, 1)], [2, 3, -5, 1, 2])
    """
    spans: list[list[int]] = []
    deltas: list[int] = []
    following, before = 0, 0
    for index, count in counts:
        gap = index - following
        if not spans or gap > MAX_FILLED_GAP:
            spans.append([gap, 0])
        elif gap:
            deltas += [-before, *[0] * (gap - 1)]
            spans[-1][1] += gap
            before = 0
        spans[-1][1] += 1
        deltas.append(count - before)
        following, before = index + 1, count
    return [(gap, length) for gap, length in spans], deltas
