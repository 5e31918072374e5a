"""Fast rendering of prometheus_client's own counters, gauges, summaries and histograms as Protocol Buffers.

The message of a child is cached, and written anew where its values have changed; its labels are encoded once. No sample
is built. `fast_write_works` is the self-test: it compares with what is written from ``collect()``, byte for byte. Where
the two differ, everything is rendered from there.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import copysign, fsum
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import Counter, Gauge, Histogram, Metric, Summary
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.values import MutexValue

from ..protobuf_format.family_messages import render_family
from ..protobuf_format.messages import (
    MetricType,
    bound_field,
    created_field,
    exemplar_field,
    family,
    histogram_fields,
    label_fields,
    metric_field,
    metric_name,
    number_fields,
    total_fields,
)
from ..protobuf_format.native_histogram import native_fields
from ..text_format.families import BLOCK_SIZE, Block
from ..text_format.formats import PROTOBUF, Escaping, Format
from .child_layouts import UnsupportedCollector
from .children import TOTALS, children_of, created_of, has_own_values, label_names_of, number_reader
from .exponential import ZERO_THRESHOLD, folded, lowest_index
from .lock import LOCK
from .native_buckets import NativeFamily, counts_of, native_family, sums_of
from .self_test import self_test


def render_blocks(collector: Any, text_format: Format) -> Iterator[Block] | None:
    """Return the message of a collector's family; None if it is of no known class, or the message is not of its type.

    It is as `family_messages.render_family` writes it, and good only as a whole: the iterator raises where it meets a
    child that it does not know.
    """
    kind = _TYPES.get(type(collector))
    if kind is None or (kind == "histogram" and collector._upper_bounds[0] < 0) or not fast_write_works():
        return None
    return _render(collector, kind, text_format)


class _Encoded:
    """A child's labels, and the message of the values that it had at the last render."""

    __slots__ = ("child", "labels", "last")

    def __init__(self, child: Any, labels: bytes) -> None:
        self.child = child
        self.labels = labels
        self.last: tuple[tuple[Any, ...], bytes] = (), b""


# By collector, escaping, and whether there are classic buckets beside exponential ones. A collector without labels is
# its own only child: a cache that refers to it would never free it.
_cache: WeakKeyDictionary[Any, dict[tuple[Escaping, bool], list[_Encoded]]] = WeakKeyDictionary()


def _render(collector: Any, kind: MetricType, text_format: Format) -> Iterator[Block]:
    """Yield blocks without content as the message is built, then the message; nothing of a family without children."""
    if collector.collect.__func__ is not MetricWrapperBase.collect:
        raise UnsupportedCollector
    native = native_family(collector)
    escaping = text_format.escaping
    layout = _LAYOUTS[kind] if native is None else _native_layout(native, with_classic=text_format.with_classic)
    samples = layout.samples(collector)
    bounds = [bound_field(bound) for bound in getattr(collector, "_upper_bounds", ())]
    fields: list[bytes] = []
    step = max(1, BLOCK_SIZE // samples)
    for encoded in _children(collector, escaping, with_classic=text_format.with_classic):
        values = layout.read(encoded.child)
        last_values, field = encoded.last
        if values != last_values:
            field = metric_field(encoded.labels, kind, layout.fields(values, bounds, escaping))
            encoded.last = values, field  # at once: several threads may render
        fields.append(field)
        if not len(fields) % step:
            yield b"", samples * step
    if not fields:
        return
    name = metric_name(collector._name + ("_total" if kind == "counter" else ""), escaping)
    message = family(name, collector._documentation, kind, collector._unit, fields)
    yield message, samples * (len(fields) % step)


def _children(collector: Any, escaping: Escaping, *, with_classic: bool) -> list[_Encoded]:
    names = label_names_of(collector)
    if not names:
        return [_Encoded(collector, b"")]
    with collector._lock:
        keys, children = list(collector._metrics), list(collector._metrics.values())
    cached = _cache.setdefault(collector, {})
    encoded = cached.get((escaping, with_classic), [])
    if [each.child for each in encoded] != children:
        known = {each.child: each for each in encoded}
        encoded = [
            known.get(child) or _Encoded(child, label_fields(dict(zip(names, key, strict=True)), escaping))
            for key, child in zip(keys, children, strict=True)
        ]
        cached[escaping, with_classic] = encoded
    return encoded


def _read_counter(child: Any) -> tuple[Any, ...]:
    value = child._value
    return value.get(), value.get_exemplar(), created_of(child)


def _counter_fields(values: tuple[Any, ...], _: list[bytes], escaping: Escaping) -> bytes:
    value, exemplar, created = values
    return number_fields(value) + exemplar_field(2, exemplar, escaping) + created_field("counter", created)


def _read_gauge(child: Any) -> tuple[Any, ...]:
    if not has_own_values(child):
        raise UnsupportedCollector  # its value is what a function returns
    value = child._value.get()
    return value, copysign(1.0, value)  # 0.0 is equal to -0.0


def _gauge_fields(values: tuple[Any, ...], _: list[bytes], __: Escaping) -> bytes:
    return number_fields(values[0])


def _read_summary(child: Any) -> tuple[Any, ...]:
    return child._count.get(), child._sum.get(), created_of(child)


def _summary_fields(values: tuple[Any, ...], _: list[bytes], __: Escaping) -> bytes:
    count, total, created = values
    return total_fields(int(count), total) + created_field("summary", created)


def _read_histogram(child: Any) -> tuple[Any, ...]:
    buckets = child._buckets
    counts = tuple(accumulate(map(number_reader(buckets), buckets)))
    is_plain = buckets[0].__class__ is MutexValue
    exemplars = tuple(map(_EXEMPLAR, buckets) if is_plain else (bucket.get_exemplar() for bucket in buckets))
    return child._sum.get(), counts, exemplars if any(exemplars) else (), created_of(child)


def _histogram_fields(
    values: tuple[Any, ...], bounds: list[bytes], escaping: Escaping, number: int | None = None, native: bytes = b""
) -> bytes:
    """Return the fields of a histogram; ``number`` is its count, where it is not that of the classic buckets."""
    total, floats, exemplars, created = values
    counts = list(map(int, floats))
    encoded = [exemplar_field(3, exemplar, escaping) for exemplar in exemplars]
    count = counts[-1] if number is None else number
    began = created_field("histogram", created)
    return histogram_fields(count, total, counts, bounds, exemplars=encoded, created=began, native=native)


def _native_layout(native: NativeFamily, *, with_classic: bool) -> _Layout:
    """Return how the children of a histogram with exponential buckets are read and written."""

    def read(child: Any) -> tuple[Any, ...]:
        with LOCK:  # the counts of both kinds of buckets are of the same observations
            counts = counts_of(child).copy()
            total = fsum(map(_VALUE, sums_of(child).copy().values()))  # of the amounts in exponential buckets alone
            return (total, *_read_histogram(child)[1:], tuple(counts), tuple(map(_VALUE, counts.values())))

    def fields(values: tuple[Any, ...], bounds: list[bytes], escaping: Escaping) -> bytes:
        *classic, keys, counts = values
        schema, exponential = folded(dict(zip(keys, counts, strict=True)), native.schema, native.max_buckets)
        number = int(sum(exponential.values()))  # Prometheus refuses another count than that of these buckets
        zero = exponential.pop(lowest_index(schema), 0.0)
        buckets = [(index, int(count)) for index, count in sorted(exponential.items())]
        own = native_fields(schema, ZERO_THRESHOLD, int(zero), buckets)
        if not with_classic:
            began = created_field("histogram", classic[-1])
            return histogram_fields(number, classic[0], (), (), created=began, native=own)
        return _histogram_fields(tuple(classic), bounds, escaping, number, own)

    return _Layout(read, fields, lambda _: 1)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the children of a class of collectors are read and written."""

    read: Callable[[Any], tuple[Any, ...]]
    fields: Callable[[tuple[Any, ...], list[bytes], Escaping], bytes]
    """Returns the fields of the message of such values; of a histogram, by the fields of its bounds."""
    samples: Callable[[Any], int]
    """Returns how many samples a scraper makes of a child."""


_EXEMPLAR = attrgetter("_exemplar")
_VALUE = attrgetter("_value")
_LAYOUTS: Mapping[MetricType, _Layout] = {
    "counter": _Layout(_read_counter, _counter_fields, lambda _: 1),
    "gauge": _Layout(_read_gauge, _gauge_fields, lambda _: 1),
    "summary": _Layout(_read_summary, _summary_fields, lambda _: 2),
    "histogram": _Layout(_read_histogram, _histogram_fields, lambda collector: len(collector._upper_bounds) + 2),
}
_TYPES: Mapping[type[Any], MetricType] = {
    Counter: "counter",
    Gauge: "gauge",
    Summary: "summary",
    Histogram: "histogram",
    TOTALS[Counter]: "counter",
    TOTALS[Histogram]: "histogram",
}


def _writes_alike(kind: type[Any]) -> bool:
    bare, labelled = kind("bare", "h", registry=None), kind("labelled", "h", ["z", "a"], registry=None)
    children = (bare, labelled.labels('"%s"\\', "\n"), labelled.labels("é", ""))
    for value in (0.1, 3, 2e6):  # several times: the second render finds cached messages
        for child in children[1:]:
            (getattr(child, "observe", None) or child.inc)(value)
        for collector in (bare, labelled):
            [metric] = collector.collect()
            expected = b"".join(message for message, _ in render_family(_with_created(metric, collector), PROTOBUF))
            if b"".join(message for message, _ in _render(collector, _TYPES[kind], PROTOBUF)) != expected:
                return False
    return True


def _with_created(metric: Metric, collector: Any) -> Metric:
    """Return a family with the times of creation, which are in no sample while they are disabled."""
    metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
    names = label_names_of(collector)
    for key, child in children_of(collector):
        if hasattr(child, "_created") and (created := created_of(child)) is not None:
            metric.add_sample(f"{metric.name}_created", dict(zip(names, key, strict=True)), created)
    return metric


def _differences() -> Iterator[str]:
    return (kind.__name__ for kind in _TYPES if not _writes_alike(kind))


fast_write_works = self_test(_differences, otherwise="messages are written the slow way, without exponential buckets")
"""Whether this module writes every kind of collector as the prometheus_client at hand collects it."""
