"""The short way into prometheus_client's counters, gauges and histograms, for amounts that were looked at before.

``inc`` and ``observe`` ask whether the child may be moved at all, whether the amount is fit and whether there is an
exemplar, and ``observe`` tries one bucket after another: half of what they cost. `trusted` tries the short way on the
version at hand; where it does something else, the public way is taken.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

log = logging.getLogger("metrics")

Taker = Callable[[float], object]


def taker(child: Any) -> Taker:
    """Give what adds an amount, no less than 0 and no NaN, to a counter or a histogram, or sets a gauge to it."""
    return short(child) if trusted() else public(child)


def ticker(child: Any) -> Callable[[], object]:
    """Give what adds 1 to a counter."""
    return partial(short(child), 1.0) if trusted() else public(child)


def public(child: Any) -> Callable[..., object]:
    """Give the method that prometheus_client documents."""
    way: Callable[..., object] = (
        child.observe if isinstance(child, Histogram) else child.set if isinstance(child, Gauge) else child.inc
    )
    return way


def short(child: Any) -> Taker:
    """Go around what that method asks."""
    if isinstance(child, Gauge):
        return child._value.set  # type: ignore[no-any-return]  # whatever class of values is in use
    if isinstance(child, Counter):
        return child._value.inc  # type: ignore[no-any-return]  # the same
    add, bounds, buckets = child._sum.inc, child._upper_bounds, [bucket.inc for bucket in child._buckets]

    def observe(amount: float) -> None:
        add(amount)
        buckets[bisect_left(bounds, amount)](1)

    return observe


@cache
def trusted() -> bool:
    """See, once, whether both ways make the same samples."""
    try:
        same = all(_samples(kind, short) == _samples(kind, public) for kind in (Counter, Gauge, Histogram))
    except Exception:
        same = False
    if not same:
        log.warning("prometheus_client is not as it was: events are counted the slow way")
    return same


def _samples(kind: type[Any], way: Callable[[Any], Taker]) -> list[tuple[object, ...]]:
    shape = {"buckets": (0, 0.5, 1)} if kind is Histogram else {}
    bare = kind("bare", "h", registry=None, **shape)
    labelled = kind("labelled", "h", ["label"], registry=None, **shape)
    for child in (bare, labelled.labels("a"), labelled.labels("b")):
        take = way(child)
        for amount in (0, 0.25, 0.5, 0.75, 1.0, 2.0):
            take(amount)
    collected = [*bare.collect(), *labelled.collect()]
    return [
        (sample.name, sample.labels, sample.value)
        for family in collected
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
