"""prometheus_client's own counters, gauges, summaries and histograms, written fast.

The only module that reads private parts of prometheus_client. Of each child it keeps the text of its labels, and it
writes the values as they are, without building a sample each. `trusted` tries it out on the version at hand, against
what that version writes itself; where the two differ, everything is written from ``collect()`` instead.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate, chain
from operator import attrgetter, methodcaller
from typing import Any
from weakref import WeakKeyDictionary

import prometheus_client.metrics as client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.values import MutexValue

from .formats import OPENMETRICS, TEXT, Escaping, Format
from .kept import Texts
from .lines import AT_ONCE, Block, around, exemplar, family, head, number

log = logging.getLogger("metrics")

Writer = Callable[[Any, Format], Iterator[Block]]


MOST_KEPT = 2000
"""Characters of a histogram child's buckets that are kept, half of what prometheus_client needs for the child."""


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
    """Write a collector's family as `lines.family` does; None where this module does not know how.

    What comes out is good only as a whole: the iterator raises where it meets something unusual.
    """
    write = _WRITERS.get(type(collector))
    if write is None or not trusted():
        return None
    return write(collector, form)


@cache
def trusted() -> bool:
    """Try every writer on the prometheus_client at hand, once."""
    try:
        faults: list[str] = [form.media_type for form in (TEXT, OPENMETRICS) if not _agrees(form)]
    except Exception as error:
        faults = [type(error).__name__]
    if faults:
        log.warning("prometheus_client is not as it was (%s): /metrics is written the slow way", ", ".join(faults))
    return not faults


def _agrees(form: Format) -> bool:
    registry = CollectorRegistry()
    for kind in _WRITERS:
        name = kind.__name__.lower()
        bare = kind(f"{name}_bare", "h", registry=registry)
        labelled = kind(f"{name}_labelled", "h", ["z", "a"], registry=registry)
        for child in (bare, labelled.labels('"%s"\\', "\n"), labelled.labels("é", "")):
            move = getattr(child, "observe", None) or child.inc
            for value in (0.1, 3, 2e6):
                move(value)
    made = list(registry._collector_to_names)
    ours = "".join(text for collector in made for text, _ in _WRITERS[type(collector)](collector, form))
    if form is TEXT:
        return ours.encode() == generate_latest(registry)
    return ours == "".join(text for metric in registry.collect() for text, _ in family(metric, form))


_texts: WeakKeyDictionary[Any, dict[Escaping, Texts]] = WeakKeyDictionary()


class Opened:
    """A collector's children at this moment, and the texts that are kept of them."""

    def __init__(self, collector: Any, form: Format) -> None:
        if collector.collect.__func__ is not client.MetricWrapperBase.collect:
            raise Unusual
        self.form = form
        self._keys: list[tuple[str, ...]] = [()]
        self.children: list[Any] = [collector]
        if collector._labelnames:
            with collector._lock:  # two lists: a tuple for each child would set the garbage collector to work
                self._keys, self.children = list(collector._metrics), list(collector._metrics.values())
        kept = _texts.setdefault(collector, {})
        if form.escaping not in kept:
            kept[form.escaping] = Texts(collector._labelnames, form.escaping)
        self.texts = kept[form.escaping]
        self.texts.fit(self._keys)

    def parts(self, step: int) -> Iterator[tuple[int, list[tuple[str, ...]], list[Any]]]:
        """Give the children by so many, with the place of the first."""
        for start in range(0, len(self.children), step):
            yield start, self._keys[start : start + step], self.children[start : start + step]


def _head(collector: Any, form: Format) -> str:
    return head(collector._name, collector._documentation, collector._type, collector._unit, form)


class Column:
    """One sample of each child: its line, and the text of its value as long as that stays the same object."""

    def __init__(self, collector: Any, suffix: str, read: Callable[[list[Any]], list[Any]], opened: Opened) -> None:
        self._read = read
        self._around = around(collector._name + suffix, bool(collector._labelnames), opened.form.escaping)
        self._shown = opened.texts.column(suffix, len(opened.children))

    def lines(self, children: list[Any], labels: list[str], start: int) -> list[str]:
        """Write these children's lines; ``start`` is the place of the first among all."""
        before, after = self._around
        place = slice(start, start + len(children))
        shown = self._shown[place] = [
            pair if pair[0] is amount else (amount, number(amount))
            for pair, amount in zip(self._shown[place], self._read(children), strict=True)
        ]
        return [f"{before}{label}{after} {text}\n" for label, (_, text) in zip(labels, shown, strict=True)]


def _amounts(attribute: str) -> Callable[[list[Any]], list[Any]]:
    of = attrgetter(attribute)

    def read(children: list[Any]) -> list[Any]:
        values = list(map(of, children))
        # Another value class, of several processes for example, is asked as prometheus_client asks it.
        plain = set(map(type, values)) == {MutexValue}
        return list(map(_VALUE, values)) if plain else [value.get() for value in values]

    return read


def _times(children: list[Any]) -> list[Any]:
    return list(map(attrgetter("_created"), children))


class Created:
    """The times at which children were made: in OpenMetrics beside their samples, in text a family at the end."""

    def __init__(self, collector: Any, opened: Opened) -> None:
        self.beside = client._use_created and opened.form.openmetrics
        self._apart = client._use_created and not opened.form.openmetrics
        self._head = head(f"{collector._name}_created", collector._documentation, "gauge", "", opened.form)
        self._column = Column(collector, "_created", _times, opened)
        self._blocks: list[Block] = []

    def lines(self, children: list[Any], labels: list[str], start: int) -> list[str]:
        """Write these children's times, or keep them for the end; without any wanted, empty lines."""
        if self.beside:
            return self._column.lines(children, labels, start)
        if self._apart:
            self._blocks.append(("".join(self._column.lines(children, labels, start)), len(children)))
        return []

    def blocks(self) -> Iterator[Block]:
        """Write the family at the end, if there is one."""
        if self._blocks:
            yield self._head, 0
            yield from self._blocks


def _singles(*samples: tuple[str, str]) -> Writer:
    """Make the writer of a kind whose children have these samples: suffix and attribute of each."""

    def write(collector: Any, form: Format) -> Iterator[Block]:
        opened = Opened(collector, form)
        columns = [Column(collector, suffix, _amounts(attribute), opened) for suffix, attribute in samples]
        is_gauge = isinstance(collector, Gauge)
        with_exemplars = form.openmetrics and isinstance(collector, Counter)
        created = Created(collector, opened)
        yield _head(collector, form), 0
        for start, keys, children in opened.parts(AT_ONCE):
            if is_gauge and any(child._child_samples.__func__ is not Gauge._child_samples for child in children):
                raise Unusual  # its value is what a function says
            labels = list(map(opened.texts.whole.__getitem__, keys))
            lines = [column.lines(children, labels, start) for column in columns]
            if with_exemplars:
                lines[0] = [
                    _with_exemplar(line, child._value, form) for line, child in zip(lines[0], children, strict=True)
                ]
            if not is_gauge and (times := created.lines(children, labels, start)):
                lines.append(times)
            text = "".join(lines[0] if len(lines) == 1 else chain.from_iterable(zip(*lines, strict=True)))
            yield text, len(children) * len(lines)
        yield from created.blocks()

    return write


def _with_exemplar(line: str, value: Any, form: Format) -> str:
    given = value.get_exemplar()
    return f"{line[:-1]}{exemplar(given, form)}\n" if given else line


def _histogram(collector: Any, form: Format) -> Iterator[Block]:
    opened = Opened(collector, form)
    name, labelled = collector._name, bool(collector._labelnames)
    bounds = [f'le="{number(bound)}"' for bound in collector._upper_bounds]
    has_sum = collector._upper_bounds[0] >= 0
    bucket, close = around(f"{name}_bucket", True, form.escaping)
    count, count_end = around(f"{name}_count", labelled, form.escaping)
    total = Column(collector, "_sum", _amounts("_sum"), opened)
    created = Created(collector, opened)
    kept = opened.texts.buckets
    yield _head(collector, form), 0
    for start, keys, children in opened.parts(max(1, AT_ONCE // (len(bounds) + 3))):
        texts = list(map(opened.texts.halves.__getitem__, keys))
        labels = [text for text, _, _ in texts]
        sums = total.lines(children, labels, start) if has_sum else [""] * len(children)
        times = created.lines(children, labels, start) or [""] * len(children)
        block: list[str] = []
        for key, child, (text, before, after), sum_line, time_line in zip(
            keys, children, texts, sums, times, strict=True
        ):
            buckets = child._buckets
            plain = buckets[0].__class__ is MutexValue
            values = list(map(_VALUE, buckets)) if plain else [value.get() for value in buckets]
            examples = form.openmetrics and any(map(_EXEMPLAR, buckets))
            was, rows = kept.get(key, _NOTHING)
            if was != values or examples:
                counts = list(map(_SHOWN.__getitem__, accumulate(values)))
                lines = counts
                if examples:
                    lines = [
                        _with_exemplar(f"{n}\n", value, form)[:-1] for n, value in zip(counts, buckets, strict=True)
                    ]
                # One join a child: the text between two bounds is the same all the way down.
                end = f"{after}{close} "
                rows = f"\n{bucket}{before}".join([f"{le}{end}{n}" for le, n in zip(bounds, lines, strict=True)])
                rows = f"{bucket}{before}{rows}\n{count}{text}{count_end} {counts[-1]}\n"
                if not examples and len(rows) <= MOST_KEPT and rows.isascii():
                    kept[key] = values, rows
            block.append(f"{rows}{sum_line}{time_line}")
        yield "".join(block), len(children) * (len(bounds) + 1 + has_sum + created.beside)
    yield from created.blocks()


class Shown(dict[float, str]):
    """Counts as text; most are small, and looking one up takes a fifth of the time."""

    def __missing__(self, amount: float) -> str:
        text = number(amount)
        if len(self) < 1024:
            self[amount] = text
        return text


_SHOWN = Shown()
_NOTHING: tuple[list[Any], str] = ([], "")
_VALUE = attrgetter("_value")
_EXEMPLAR = methodcaller("get_exemplar")
_WRITERS: dict[type[Any], Writer] = {
    Counter: _singles(("_total", "_value")),
    Gauge: _singles(("", "_value")),
    Summary: _singles(("_count", "_count"), ("_sum", "_sum")),
    Histogram: _histogram,
}
