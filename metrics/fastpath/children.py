"""Access to the values inside prometheus_client's counters, gauges and histograms, and their replacement.

`values_are_replaceable` is the self-test. Where it fails, worker processes cannot share their values: each one shows
its own.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from .self_test import self_test


def watched_class(
    kind: type[Any],
    on_create: Callable[[Any], object],
    on_remove: Callable[[tuple[str, ...]], object] = lambda _: None,
) -> type[Any]:
    """Return a subclass of a collector class that reports its children as they come and go.

    ``on_create`` is called with each child before it is used; without labels the collector is its own only child.
    ``on_remove`` is called with the label values of a child that was removed.
    """

    class Watched(kind):  # type: ignore[misc]  # any of the three
        def _metric_init(self) -> None:
            super()._metric_init()
            on_create(self)

        def remove(self, *labels: Any) -> None:
            super().remove(*labels)
            on_remove(tuple(map(str, labels)))

    Watched.__name__ = kind.__name__
    return Watched


class _CounterWithoutCreated(Counter):
    def _child_samples(self) -> Iterable[Any]:
        return [sample for sample in super()._child_samples() if sample.name != "_created"]


class _HistogramWithoutCreated(Histogram):
    def _child_samples(self) -> Iterable[Any]:
        return [sample for sample in super()._child_samples() if sample.name != "_created"]


WITHOUT_CREATED: Mapping[type[Any], type[Any]] = {Counter: _CounterWithoutCreated, Histogram: _HistogramWithoutCreated}
"""By a class, one like it whose series have no ``_created``: each process would say another time of the same series."""


def label_values_of(child: Any) -> tuple[str, ...]:
    """Return a child's label values."""
    return tuple(child._labelvalues)


def values_of(child: Any) -> list[Any]:
    """Return a child's value objects: its one value, or a histogram's sum and then its buckets, not cumulative."""
    return [child._sum, *child._buckets] if isinstance(child, Histogram) else [child._value]


def replace_values(child: Any, values: Sequence[Any]) -> None:
    """Replace a child's value objects, in the order of `values_of`.

    The new ones need the methods ``inc``, ``set`` and ``get`` of prometheus_client's own.
    """
    if isinstance(child, Histogram):
        child._sum, *child._buckets = values
    else:
        [child._value] = values


def _updates_replaced_values(kind: type[Any]) -> bool:
    replacements: list[Any] = []

    def replace(child: Any) -> None:
        replacements.extend(values_of(kind("spare", "h", registry=None)))
        replace_values(child, replacements)

    collector = watched_class(kind, replace)("tried", "h", ["label"], registry=None)
    child = collector.labels("a")
    (getattr(child, "observe", None) or child.inc)(2.0)
    shown = [sample.value for family in collector.collect() for sample in family.samples]
    return (
        replacements[0].get() == 2.0
        and 2.0 in shown
        and label_values_of(child) == ("a",)
        and collector.labels("a") is child
    )


def _differences() -> Iterator[str]:
    return (kind.__name__ for kind in (Counter, Gauge, Histogram) if not _updates_replaced_values(kind))


values_are_replaceable = self_test(_differences, otherwise="the values of several workers are not added up")
"""Whether updates of a collector reach the value objects that were put into it."""
