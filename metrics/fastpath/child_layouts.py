"""The lines that each child of prometheus_client's counters, gauges, summaries and histograms has, and their values."""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from operator import attrgetter, methodcaller
from typing import Any, Literal

from prometheus_client import Counter, Gauge, Histogram, Summary
from prometheus_client.values import MutexValue

from ..text_format.formats import Format
from ..text_format.line_cache import RenderedChildren
from ..text_format.lines import format_value, format_values
from .children import TOTALS


class UnsupportedCollector(Exception):  # the caller then renders the collector from ``collect()``
    """A collector is not as prometheus_client makes it."""


@dataclass(frozen=True, slots=True)
class ChildLayout:
    """The lines that each child of a class of collectors has."""

    line_count: Callable[[Any], int]
    """Returns how many lines each of a collector's children has."""
    samples: Callable[[Any], list[tuple[str, str]]]
    """Returns the name and the own label (``le="0.5"``) of each of them."""
    values: Callable[[list[Any]], list[Any]]
    """Returns the value objects of some children."""
    value_texts: Callable[[Any, list[Any], RenderedChildren], list[bytes]]
    """Returns the texts of their numbers, in the order of the lines."""
    exemplars: Callable[[Any, list[Any]], list[Any]] | None = None
    """Returns the exemplars of the value objects, in the order of the lines; None of what has none."""
    created: Literal["as prometheus_client", "if asked", "never"] = "as prometheus_client"
    """When text says when each child began."""


def exemplars_of(collector: Any, layout: ChildLayout, values: list[Any], text_format: Format) -> list[Any]:
    """Return the exemplars of value objects in the order of the lines; nothing where no one has any."""
    if layout.exemplars is not None and text_format.is_openmetrics and any(found := list(map(_EXEMPLAR, values))):
        return layout.exemplars(collector, found)
    return []


def _simple_layout(*columns: tuple[str, str], has_exemplars: bool = False) -> ChildLayout:
    """Return the layout of children that have one line for each of these: a suffix, and the value's attribute."""
    readers = [attrgetter(attribute) for _, attribute in columns]
    read_first = readers[0]

    def values(children: list[Any]) -> list[Any]:
        return (
            list(map(read_first, children))
            if len(readers) == 1
            else [value for read in readers for value in map(read, children)]
        )

    def value_texts(_: Any, numbers: list[Any], rendered: RenderedChildren) -> list[bytes]:
        count = len(numbers) // len(columns)
        texts = [rendered.value_texts(i, numbers[i * count : (i + 1) * count]) for i in range(len(columns))]
        return texts[0] if len(texts) == 1 else list(chain.from_iterable(zip(*texts, strict=True)))

    return ChildLayout(
        lambda _: len(columns),
        lambda collector: [(collector._name + suffix, "") for suffix, _ in columns],
        values,
        value_texts,
        (lambda _, exemplars: exemplars) if has_exemplars else None,
    )


def numbers_of(values: list[Any]) -> list[Any]:
    # Value objects of another class, of several processes for example, are read by the public method.
    return list(map(_VALUE, values)) if set(map(type, values)) == {MutexValue} else [value.get() for value in values]


def _gauge_values(children: list[Any]) -> list[Any]:
    if any(child._child_samples.__func__ is not Gauge._child_samples for child in children):
        raise UnsupportedCollector  # its value is what a function returns
    return _PLAIN_GAUGE.values(children)


def _histogram_samples(collector: Any) -> list[tuple[str, str]]:
    name, bounds = collector._name, collector._upper_bounds
    samples = [(f"{name}_bucket", f'le="{format_value(bound)}"') for bound in bounds] + [(f"{name}_count", "")]
    return samples + [(f"{name}_sum", "")] * _has_sum(collector)


def _has_sum(collector: Any) -> bool:
    return bool(collector._upper_bounds[0] >= 0)


def _histogram_values(children: list[Any]) -> list[Any]:
    """Return the sums, and then the buckets of one child after the other, not cumulative."""
    return [*map(_SUM, children), *chain.from_iterable(map(_BUCKETS, children))]


def _histogram_texts(collector: Any, numbers: list[Any], rendered: RenderedChildren) -> list[bytes]:
    size, has_sum = len(collector._upper_bounds), _has_sum(collector)
    count = len(numbers) // (size + 1)
    sums = rendered.value_texts(0, numbers[:count])
    result: list[bytes] = []
    for index, sum_text in enumerate(sums):
        start = count + index * size
        counts = list(accumulate(numbers[start : start + size]))
        if counts[-1] < len(_SMALL_COUNTS):
            texts = list(map(_SMALL_COUNTS.__getitem__, counts))
        else:
            texts = format_values(counts)
        result += texts
        result.append(texts[-1])
        if has_sum:
            result.append(sum_text)
    return result


def _histogram_exemplars(collector: Any, exemplars: list[Any]) -> list[Any]:
    size, others = len(collector._upper_bounds), [None] * (1 + _has_sum(collector))
    starts = range(len(exemplars) // (size + 1), len(exemplars), size)
    return list(chain.from_iterable([*exemplars[start : start + size], *others] for start in starts))


class SmallCounts(dict[float, bytes]):
    """Small counts as text: looking one up takes a fifth of the time that formatting it takes."""

    def __missing__(self, count: float) -> bytes:
        return format_value(count).encode()


_SMALL_COUNTS = SmallCounts((float(count), b"%d.0" % count) for count in range(1024))
_VALUE, _SUM, _BUCKETS = attrgetter("_value"), attrgetter("_sum"), attrgetter("_buckets")
_EXEMPLAR = methodcaller("get_exemplar")
_PLAIN_GAUGE = _simple_layout(("", "_value"))
_COUNTER = _simple_layout(("_total", "_value"), has_exemplars=True)
_HISTOGRAM = ChildLayout(
    lambda collector: len(collector._upper_bounds) + 1 + _has_sum(collector),
    _histogram_samples,
    _histogram_values,
    _histogram_texts,
    _histogram_exemplars,
)
LAYOUTS: dict[type[Any], ChildLayout] = {
    Counter: _COUNTER,
    Gauge: replace(_PLAIN_GAUGE, values=_gauge_values, created="never"),
    Summary: _simple_layout(("_count", "_count"), ("_sum", "_sum")),
    Histogram: _HISTOGRAM,
    TOTALS[Counter]: replace(_COUNTER, created="if asked"),
    TOTALS[Histogram]: replace(_HISTOGRAM, created="if asked"),
}
