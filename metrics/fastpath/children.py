"""Access to the values inside prometheus_client's counters, gauges and histograms, and their replacement.

`values_are_replaceable` is the self-test of the replacement. Where it fails, worker processes cannot share their
values: each one shows its own. `children_are_readable` is that of reading; where it fails, ``collect()`` is read.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import floor, inf
from operator import attrgetter, methodcaller
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.values import MutexValue

from .lock import LOCK
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


class _TotalCounter(Counter):
    def _metric_init(self) -> None:
        super()._metric_init()
        set_created(self, 0)

    def _child_samples(self) -> Iterable[Any]:
        return [sample for sample in super()._child_samples() if sample.name != "_created"]


class _TotalHistogram(Histogram):
    def _metric_init(self) -> None:
        super()._metric_init()
        set_created(self, 0)

    def _child_samples(self) -> Iterable[Any]:
        return [sample for sample in super()._child_samples() if sample.name != "_created"]


TOTALS: Mapping[type[Any], type[Any]] = {Counter: _TotalCounter, Histogram: _TotalHistogram}
"""By a class, one like it for sums over processes: its series began when `set_created` says.

They have no ``_created`` among their samples, which text would have as further series; OpenMetrics and messages say it.
"""


def created_of(child: Any) -> float | None:
    """Return when a child of a counter, a summary or a histogram began, in Unix seconds; None where nobody knows."""
    return child._created or None


def set_created(child: Any, created: float) -> None:
    """Have a child say that it began at this Unix time; 0 for one that nobody knows."""
    child._created = created


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


def label_names_of(collector: Any) -> tuple[str, ...]:
    """Return the names of a collector's labels."""
    return tuple(collector._labelnames)


def children_of(collector: Any) -> list[tuple[tuple[str, ...], Any]]:
    """Return a collector's children, each with its label values; without labels the collector is its own only child."""
    if not collector._labelnames:
        return [((), collector)]
    with collector._lock:
        return list(collector._metrics.items())


def prepare_children(collector: Any) -> None:
    """Allow a collector's children to be made while one is being made, as the garbage collector may ask for.

    It may close a stream in there, whose end is an event of its own: prometheus_client's lock would wait for itself.

    They say in whole seconds when they began: series that begin together have the same time, which compresses well.
    """
    _cut_created(collector)
    if getattr(collector, "_labelnames", ()) and hasattr(collector, "_lock") and hasattr(collector, "_metrics"):
        collector._lock = LOCK
        collector._metrics = _Children(collector._metrics)


class _Children(dict[tuple[str, ...], Any]):
    """Children by their label values; one that was made meanwhile stays, with what it has counted."""

    def __setitem__(self, label_values: tuple[str, ...], child: Any) -> None:
        _cut_created(child)
        self.setdefault(label_values, child)


def _cut_created(child: Any) -> None:
    created = getattr(child, "_created", None)
    if created is not None:
        child._created = floor(created)


def number_reader(values: Iterable[Any]) -> Callable[[Any], float]:
    """Return what reads the number in each of these value objects: their public method, or what is faster."""
    return _VALUE if set(map(type, values)) == {MutexValue} else methodcaller("get")


def series_count(collector: Any) -> int:
    """Return how many series a counter, a gauge or a histogram shows, without the times of their creation."""
    children = len(collector._metrics) if collector._labelnames else 1
    return children * (len(bounds) + 2 if (bounds := bounds_of(collector)) else 1)


def bounds_of(collector: Any) -> tuple[float, ...]:
    """Return the upper bounds of a histogram's buckets, infinity at the end; none of another collector."""
    return tuple(getattr(collector, "_upper_bounds", ()))


def is_readable(collector: Any) -> bool:
    """Return whether a collector's values are those of `values_of` its children."""
    return type(collector) in _READABLE and children_are_readable()


def has_own_values(child: Any) -> bool:
    """Return whether a child shows its value objects; a gauge may show what a function returns instead."""
    return not isinstance(child, Gauge) or child._child_samples.__func__ is Gauge._child_samples  # type: ignore[attr-defined]  # a method


def _reads_as_collected(kind: type[Any]) -> bool:
    options: dict[str, Any] = {"buckets": (1.0, 2.0)} if issubclass(kind, Histogram) else {}
    collector = kind("tried", "h", ["label"], registry=None, **options)
    for label, value in (("a", 0.5), ("b", 1.5), ("b", 9.0)):
        child = collector.labels(label)
        (getattr(child, "observe", None) or child.inc)(value)
    expected = {("a",): [0.5, 1.0, 0.0, 0.0], ("b",): [10.5, 0.0, 1.0, 1.0]}
    found = {labels: values_of(child) for labels, child in children_of(collector)}
    values = {labels: [*map(number_reader(each), each)] for labels, each in found.items()}
    [family] = collector.collect()
    shown = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return (
        values == (expected if options else {labels: each[:1] for labels, each in expected.items()})
        and label_names_of(collector) == ("label",)
        and series_count(collector) == len(shown)
        and bounds_of(collector) == ((1.0, 2.0, inf) if options else ())
        and has_own_values(collector.labels("a"))
    )


def _unread() -> Iterator[str]:
    return (kind.__name__ for kind in _READABLE if not _reads_as_collected(kind))


_VALUE = attrgetter("_value")
_READABLE: tuple[type[Any], ...] = (Counter, Gauge, Histogram, *TOTALS.values())

children_are_readable = self_test(_unread, otherwise="live numbers are read the slow way, from collect()")
"""Whether a collector's values can be read without making a sample of each."""


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


def settable(gauge: Any) -> Any:
    """Return an object whose ``set`` takes a float as that of a gauge does, without its checks: the gauge's value."""
    return values_of(gauge)[0] if values_are_replaceable() else gauge
