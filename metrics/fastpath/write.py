"""Fast rendering of prometheus_client's own counters, gauges, summaries and histograms.

Values are filled into cached lines (see `metrics.text_format.line_cache`), without building a sample for each.
`fast_write_works` is the self-test: it compares with what prometheus_client itself writes. Where the two differ,
everything is rendered from ``collect()`` instead.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from operator import attrgetter, methodcaller
from typing import Any
from weakref import WeakKeyDictionary

import prometheus_client.metrics as client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.values import MutexValue

from ..text_format.families import BLOCK_SIZE, Block, family_header, render_family
from ..text_format.formats import OPENMETRICS, TEXT, Escaping, Format
from ..text_format.line_cache import LinePrefixes, RenderedChildren
from ..text_format.lines import exemplar_suffix, format_value, format_values
from .children import TOTALS, created_of
from .self_test import self_test


class UnsupportedCollector(Exception):  # the caller then renders the collector from ``collect()``
    """A collector is not as prometheus_client makes it."""


def registered_collectors(registry: object) -> list[tuple[Any, list[str]]] | None:
    """Return a registry's collectors, each with the names it registered; None if only ``collect()`` can be called."""
    if type(registry) is not CollectorRegistry:
        return None
    try:
        with registry._lock:
            return [(collector, list(names)) for collector, names in registry._collector_to_names.items()]
    except (AttributeError, TypeError, ValueError):
        return None


def is_plain(collector: Any) -> bool:
    """Return whether a collector is of one of prometheus_client's classes of metrics."""
    return type(collector) in _LAYOUTS


def render_blocks(collector: Any, text_format: Format) -> Iterator[Block] | None:
    """Return the text of a collector's family, as `families.render_family` writes it; None if it is of no known class.

    The blocks are good only as a whole: the iterator raises where it meets a child that it does not know.
    """
    layout = _LAYOUTS.get(type(collector))
    if layout is None or not fast_write_works():
        return None
    return _render(collector, layout, text_format)


def _differences() -> Iterator[str]:
    return (text_format.media_type for text_format in (TEXT, OPENMETRICS) if not _renders_alike(text_format))


fast_write_works = self_test(_differences, otherwise="/metrics is written the slow way, from collect()")
"""Whether this module writes every kind of collector as the prometheus_client at hand does."""


def _renders_alike(text_format: Format) -> bool:
    registry = CollectorRegistry()
    updates = []
    for kind in _LAYOUTS:
        name = kind.__name__.lower().strip("_")
        bare = kind(f"{name}_bare", "h", registry=registry)
        labelled = kind(f"{name}_labelled", "h", ["z", "a"], registry=registry)
        children = (bare, labelled.labels('"%s"\\', "\n"), labelled.labels("é", ""))
        updates += [getattr(child, "observe", None) or child.inc for child in children]
    collectors = list(registry._collector_to_names)
    for value in (0.1, 3, 2e6):  # several times: the second render finds cached lines
        for update in updates[1:]:
            update(value)
        ours = _text(chain.from_iterable(_render(each, _LAYOUTS[type(each)], text_format) for each in collectors))
        if text_format is TEXT:
            expected = generate_latest(registry)
        else:
            expected = _text(chain.from_iterable(render_family(family, text_format) for family in registry.collect()))
        if ours != expected:
            return False
    return True


def _text(blocks: Iterable[Block]) -> bytes:
    return b"".join(text for text, _ in blocks)


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
    created_in: frozenset[str] = frozenset({TEXT.media_type, OPENMETRICS.media_type})
    """The media types of the texts that say when each child began."""


# By collector, then by escaping and by whether the ``_created`` lines stand among the others.
_cache: WeakKeyDictionary[Any, dict[tuple[Escaping, bool], list[RenderedChildren]]] = WeakKeyDictionary()


def _render(collector: Any, layout: ChildLayout, text_format: Format) -> Iterator[Block]:
    if collector.collect.__func__ is not client.MetricWrapperBase.collect:
        raise UnsupportedCollector
    name, documentation = collector._name, collector._documentation
    has_created = text_format.media_type in layout.created_in and (client._use_created or text_format.with_created)
    created_inline = has_created and text_format.is_openmetrics  # in text they are a family of their own, at the end
    created: list[Block] = []
    line_count = layout.line_count(collector)
    yield family_header(name, documentation, collector._type, collector._unit, text_format)
    for children, rendered in _children_with_lines(
        collector, layout, text_format.escaping, has_created=has_created, created_inline=created_inline
    ):
        text = _children_text(collector, layout, children, rendered, text_format)
        began = sum(time is not None for time in rendered.created)
        yield text, len(children) * line_count + began * created_inline
        created.append((rendered.created_lines, began))
    if created and has_created and not created_inline:
        yield family_header(f"{name}_created", documentation, "gauge", "", text_format)
        yield from created


def _children_text(
    collector: Any, layout: ChildLayout, children: list[Any], rendered: RenderedChildren, text_format: Format
) -> bytes:
    """Return the text of some children: that of the last time, the same object, where nothing has changed."""
    values = layout.values(children)
    exemplars: list[Any] = []
    if layout.exemplars is not None and text_format.is_openmetrics and any(found := list(map(_EXEMPLAR, values))):
        exemplars = layout.exemplars(collector, found)
    numbers = _numbers(values)
    text = rendered.last_text(numbers, exemplars)
    if text is None:
        texts = layout.value_texts(collector, numbers, rendered)
        if exemplars:
            texts = _with_exemplars(texts, exemplars, text_format)
        text = rendered.remember(numbers, exemplars, rendered.fill(texts))
    return text


def _children_with_lines(
    collector: Any, layout: ChildLayout, escaping: Escaping, *, has_created: bool, created_inline: bool
) -> Iterator[tuple[list[Any], RenderedChildren]]:
    """Yield a collector's children, some at a time, with their lines: from the cache if the children are the same."""
    keys: list[tuple[str, ...]] = [()]
    children: list[Any] = [collector]
    names = collector._labelnames
    if names:
        with collector._lock:  # two lists: a tuple for each child would set the garbage collector to work
            keys, children = list(collector._metrics), list(collector._metrics.values())
    step = max(1, BLOCK_SIZE // layout.line_count(collector))
    cached = _cache.setdefault(collector, {}).get((escaping, created_inline), [])
    current: list[RenderedChildren] = []
    for index, start in enumerate(range(0, len(children), step)):
        some = children[start : start + step]
        cached_for = some if names else []  # a collector that its own lines refer to would never be freed
        rendered = cached[index] if index < len(cached) else None
        created = list(map(created_of, some)) if has_created else []
        if rendered is None or rendered.children != cached_for or rendered.created != created:
            label_values = keys[start : start + step]
            prefixes = map(LinePrefixes(names, layout.samples(collector), escaping), label_values)
            lines = _created_lines(collector, created, label_values, escaping)
            rendered = RenderedChildren(cached_for, prefixes, created, lines, created_inline)
        current.append(rendered)
        yield some, rendered
    _cache[collector][escaping, created_inline] = current


def _created_lines(
    collector: Any, created: list[float | None], label_values: list[tuple[str, ...]], escaping: Escaping
) -> list[str]:
    if not created:
        return [""] * len(label_values)
    prefixes = LinePrefixes(collector._labelnames, [(f"{collector._name}_created", "")], escaping)
    return [
        "" if time is None else f"{prefixes(values)[0]}{format_value(time)}\n"
        for values, time in zip(label_values, created, strict=True)
    ]


def _simple_layout(*columns: tuple[str, str], has_exemplars: bool = False) -> ChildLayout:
    """Return the layout of children that have one line for each of these: a suffix, and the value's attribute."""
    readers = [attrgetter(attribute) for _, attribute in columns]

    def values(children: list[Any]) -> list[Any]:
        return [value for read in readers for value in map(read, children)]

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


def _numbers(values: list[Any]) -> list[Any]:
    # Value objects of another class, of several processes for example, are read by the public method.
    return list(map(_VALUE, values)) if set(map(type, values)) == {MutexValue} else [value.get() for value in values]


def _with_exemplars(texts: list[bytes], exemplars: list[Any], text_format: Format) -> list[bytes]:
    return [
        text + exemplar_suffix(exemplar, text_format).encode() if exemplar else text
        for text, exemplar in zip(texts, exemplars, strict=True)
    ]


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
_OPENMETRICS_ALONE = frozenset({OPENMETRICS.media_type})
_LAYOUTS: dict[type[Any], ChildLayout] = {
    Counter: _COUNTER,
    Gauge: replace(_PLAIN_GAUGE, values=_gauge_values, created_in=frozenset()),
    Summary: _simple_layout(("_count", "_count"), ("_sum", "_sum")),
    Histogram: _HISTOGRAM,
    TOTALS[Counter]: replace(_COUNTER, created_in=_OPENMETRICS_ALONE),
    TOTALS[Histogram]: replace(_HISTOGRAM, created_in=_OPENMETRICS_ALONE),
}
