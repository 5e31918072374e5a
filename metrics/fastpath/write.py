"""prometheus_client's own counters, gauges, summaries and histograms, written fast.

The values are filled into the lines that `line_cache` keeps, without building a sample for each. `fast_write_works` is
the self-test: it compares with what prometheus_client itself writes; where the two differ, everything is written from
``collect()`` instead.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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
from .self_test import self_test


class Unusual(Exception):  # a way of saying "not here", never seen outside
    """A collector is not as prometheus_client makes it."""


def collectors(registry: object) -> list[tuple[Any, list[str]]] | None:
    """List a registry's collectors with the names that each registered; None where only ``collect()`` can tell."""
    if type(registry) is not CollectorRegistry:
        return None
    try:
        with registry._lock:
            return [(collector, list(names)) for collector, names in registry._collector_to_names.items()]
    except (AttributeError, TypeError, ValueError):
        return None


def blocks(collector: Any, form: Format) -> Iterator[Block] | None:
    """Write a collector's family as `families.render_family` does; None where this module does not know how.

    What comes out is good only as a whole: the iterator raises where it meets something unusual.
    """
    kind = _KINDS.get(type(collector))
    if kind is None or not fast_write_works():
        return None
    return _written(collector, kind, form)


def _differences() -> Iterator[str]:
    return (form.media_type for form in (TEXT, OPENMETRICS) if not _agrees(form))


fast_write_works = self_test(_differences, otherwise="/metrics is written the slow way, from collect()")
"""Whether this module writes every kind of collector as the prometheus_client at hand does."""


def _agrees(form: Format) -> bool:
    registry = CollectorRegistry()
    moves = []
    for kind in _KINDS:
        name = kind.__name__.lower()
        bare = kind(f"{name}_bare", "h", registry=registry)
        labelled = kind(f"{name}_labelled", "h", ["z", "a"], registry=registry)
        children = (bare, labelled.labels('"%s"\\', "\n"), labelled.labels("é", ""))
        moves += [getattr(child, "observe", None) or child.inc for child in children]
    made = list(registry._collector_to_names)
    for value in (0.1, 3, 2e6):  # also when something is kept already
        for move in moves[1:]:
            move(value)
        ours = _joined(chain.from_iterable(_written(each, _KINDS[type(each)], form) for each in made))
        told = chain.from_iterable(render_family(metric, form) for metric in registry.collect())
        if ours != (generate_latest(registry) if form is TEXT else _joined(told)):
            return False
    return True


def _joined(written: Iterable[Block]) -> bytes:
    return b"".join(text for text, _ in written)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a child of some type is written as."""

    samples: Callable[[Any], list[tuple[str, str]]]
    """Name and own label of each line that a child of a collector has."""
    slots: Callable[[list[Any], RenderedChildren, Format], Iterable[bytes]]
    """The texts to fill into a batch of children."""
    has_created: bool = True


_batches: WeakKeyDictionary[Any, dict[tuple[Escaping, bool], list[RenderedChildren]]] = WeakKeyDictionary()


def _written(collector: Any, kind: Kind, form: Format) -> Iterator[Block]:
    if collector.collect.__func__ is not client.MetricWrapperBase.collect:
        raise Unusual
    name, documentation = collector._name, collector._documentation
    told = kind.has_created and client._use_created
    beside = told and form.is_openmetrics  # in text the times are a family of their own, at the end
    apart = []
    lines = len(kind.samples(collector))
    yield family_header(name, documentation, collector._type, collector._unit, form)
    for children, batch in _opened(collector, kind, form.escaping, beside):
        yield batch.fill(kind.slots(children, batch, form)), len(children) * (lines + beside)
        apart.append((batch.created_lines, len(children)))
    if apart and told and not beside:
        yield family_header(f"{name}_created", documentation, "gauge", "", form)
        yield from apart


def _opened(
    collector: Any, kind: Kind, escaping: Escaping, beside: bool
) -> Iterator[tuple[list[Any], RenderedChildren]]:
    """Give a collector's children as they are now, with what is kept of them as far as it fits."""
    keys: list[tuple[str, ...]] = [()]
    children: list[Any] = [collector]
    names = collector._labelnames
    if names:
        with collector._lock:  # two lists: a tuple for each child would set the garbage collector to work
            keys, children = list(collector._metrics), list(collector._metrics.values())
    samples = kind.samples(collector)
    step = max(1, BLOCK_SIZE // len(samples))
    kept = _batches.setdefault(collector, {}).get((escaping, beside), [])
    now: list[RenderedChildren] = []
    for place, start in enumerate(range(0, len(children), step)):
        part = children[start : start + step]
        held = part if names else []  # a collector that its own texts held would be there for ever
        batch = kept[place] if place < len(kept) else None
        if batch is None or batch.children != held:
            called = keys[start : start + step]
            lines = map(LinePrefixes(names, samples, escaping), called)
            batch = RenderedChildren(held, lines, _created(collector, part, called, escaping), beside)
        now.append(batch)
        yield part, batch
    _batches[collector][escaping, beside] = now


def _created(collector: Any, children: list[Any], keys: list[tuple[str, ...]], escaping: Escaping) -> list[str]:
    if isinstance(collector, Gauge):
        return [""] * len(children)
    prefixes = LinePrefixes(collector._labelnames, [(f"{collector._name}_created", "")], escaping)
    return [f"{prefixes(key)[0]}{format_value(child._created)}\n" for key, child in zip(keys, children, strict=True)]


def _singles(*columns: tuple[str, str]) -> Kind:
    """Make the kind whose children have these samples: suffix and attribute of each."""
    read = [attrgetter(attribute) for _, attribute in columns]

    def slots(children: list[Any], batch: RenderedChildren, form: Format) -> Iterable[bytes]:
        values = [list(map(of, children)) for of in read]
        texts = [batch.value_texts(place, _amounts(column)) for place, column in enumerate(values)]
        if form.is_openmetrics and isinstance(children[0], Counter):
            texts = [_with_exemplars(texts[0], values[0], form)]
        return texts[0] if len(texts) == 1 else chain.from_iterable(zip(*texts, strict=True))

    return Kind(lambda collector: [(collector._name + suffix, "") for suffix, _ in columns], slots)


def _amounts(values: list[Any]) -> list[Any]:
    # Another value class, of several processes for example, is asked as prometheus_client asks it.
    return list(map(_VALUE, values)) if set(map(type, values)) == {MutexValue} else [value.get() for value in values]


def _with_exemplars(texts: list[bytes], values: list[Any], form: Format) -> list[bytes]:
    given = list(map(_EXEMPLAR, values))
    if not any(given):
        return texts
    return [
        text + exemplar_suffix(each, form).encode() if each else text for text, each in zip(texts, given, strict=True)
    ]


def _gauge_slots(children: list[Any], batch: RenderedChildren, form: Format) -> Iterable[bytes]:
    if any(child._child_samples.__func__ is not Gauge._child_samples for child in children):
        raise Unusual  # its value is what a function says
    return _PLAIN_GAUGE.slots(children, batch, form)


def _histogram_samples(collector: Any) -> list[tuple[str, str]]:
    name, bounds = collector._name, collector._upper_bounds
    samples = [(f"{name}_bucket", f'le="{format_value(bound)}"') for bound in bounds] + [(f"{name}_count", "")]
    return samples + [(f"{name}_sum", "")] * bool(bounds[0] >= 0)


def _histogram_slots(children: list[Any], batch: RenderedChildren, form: Format) -> Iterable[bytes]:
    sums = batch.value_texts(0, _amounts([child._sum for child in children]))
    has_sum = children[0]._upper_bounds[0] >= 0
    slots: list[bytes] = []
    for child, total in zip(children, sums, strict=True):
        buckets = child._buckets
        plain = buckets[0].__class__ is MutexValue
        counts = list(accumulate(map(_VALUE, buckets) if plain else [value.get() for value in buckets]))
        texts = list(map(_FEW.__getitem__, counts)) if counts[-1] < len(_FEW) else format_values(counts)
        slots += _with_exemplars(texts, buckets, form) if form.is_openmetrics else texts
        slots.append(texts[-1])
        if has_sum:
            slots.append(total)
    return slots


class Few(dict[float, bytes]):
    """Small counts as text: looking one up takes a fifth of the time."""

    def __missing__(self, count: float) -> bytes:
        return format_value(count).encode()


_FEW = Few((float(count), b"%d.0" % count) for count in range(1024))
_VALUE = attrgetter("_value")
_EXEMPLAR = methodcaller("get_exemplar")
_PLAIN_GAUGE = _singles(("", "_value"))
_KINDS: dict[type[Any], Kind] = {
    Counter: _singles(("_total", "_value")),
    Gauge: Kind(_PLAIN_GAUGE.samples, _gauge_slots, has_created=False),
    Summary: _singles(("_count", "_count"), ("_sum", "_sum")),
    Histogram: Kind(_histogram_samples, _histogram_slots),
}
