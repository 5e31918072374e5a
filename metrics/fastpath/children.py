"""The numbers inside prometheus_client's counters, gauges and histograms: reached, and put in others' hands.

`trusted` tries that out on the version at hand; where it is built another way, every process shows its own numbers
alone.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

log = logging.getLogger("metrics")


def keeping(
    kind: type[Any], adopt: Callable[[Any], object], drop: Callable[[tuple[str, ...]], object] = lambda _: None
) -> type[Any]:
    """Make a kind of collector whose every child, or itself without labels, goes to ``adopt`` before it is used.

    ``drop`` is given the labels' values of a child that was removed.
    """

    class Kept(kind):  # type: ignore[misc]  # any of the three
        def _metric_init(self) -> None:
            super()._metric_init()
            adopt(self)

        def remove(self, *labels: Any) -> None:
            super().remove(*labels)
            drop(tuple(map(str, labels)))

    Kept.__name__ = kind.__name__
    return Kept


def labels_of(child: Any) -> tuple[str, ...]:
    """Give the values of a child's labels."""
    return tuple(child._labelvalues)


def numbers_of(child: Any) -> list[Any]:
    """Give a child's numbers: its value, or its sum and its buckets, each by itself, the last without end."""
    return [child._sum, *child._buckets] if isinstance(child, Histogram) else [child._value]


def renumber(child: Any, numbers: Sequence[Any]) -> None:
    """Put other numbers in the place of a child's; they have prometheus_client's ``inc``, ``set`` and ``get``."""
    if isinstance(child, Histogram):
        child._sum, *child._buckets = numbers
    else:
        [child._value] = numbers


@cache
def trusted() -> bool:
    """See whether what moves a collector moves the numbers that it was given."""
    try:
        fine = all(_follows(kind) for kind in (Counter, Gauge, Histogram))
    except Exception:
        fine = False
    if not fine:
        log.warning("prometheus_client is not as it was: the numbers of several workers are not added up")
    return fine


def _follows(kind: type[Any]) -> bool:
    given: list[Any] = []

    def adopt(child: Any) -> None:
        spare = kind("spare", "h", registry=None)
        renumber(child, numbers_of(spare))
        given.extend(numbers_of(spare))

    made = keeping(kind, adopt)("tried", "h", ["label"], registry=None)
    child = made.labels("a")
    (getattr(child, "observe", None) or child.inc)(2.0)
    shown = [sample.value for family in made.collect() for sample in family.samples]
    return given[0].get() == 2.0 and 2.0 in shown and labels_of(child) == ("a",) and made.labels("a") is child
