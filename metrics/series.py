"""The time series of the instruments, and what moves them when an event is told."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from itertools import product
from operator import attrgetter
from threading import Lock
from time import time
from types import NoneType
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from events import label_overflowed
from events.signal import tell_failure

from .amounts import Move, amount, show
from .instruments import OTHER, AnySignal, Metric, key_of, text_of
from .labels import Labels

Step = Callable[[Any], None]


class Instrument:
    """One prometheus_client object, complete at zero."""

    def __init__(self, row: Metric, full_name: str, labels: Labels) -> None:
        self.name = full_name
        self.first = row
        self.table = OpenTable()
        self.constants: list[tuple[str, ...]] = []
        self._labels = labels
        self._expected: dict[str, list[str]] = {}
        for label, values in zip(row.by, row.values, strict=True):
            if values is None and label not in labels.bounds:
                raise ValueError(f"{row.name}: open label {label!r} has no bound; add it to subscribe(bounds=...)")
        shape: dict[str, Any] = {"buckets": row.buckets} if row.kind == "histogram" else {}
        kind: Any = {"counter": Counter, "histogram": Histogram}.get(row.kind, Gauge)
        self.collector = kind(full_name, row.help, row.labels, registry=None, **shape)

    def add(self, row: Metric) -> None:
        """Take a row that moves this instrument; its series with closed labels exist from now on.

        Raises:
            ValueError: the row disagrees with the first one of its name.
        """
        for aspect in ("kind", "help", "by", "labels", "buckets", "zeroes", "within"):
            if getattr(row, aspect) != getattr(self.first, aspect):
                raise ValueError(f"{row.name}: two rows of this name differ in {aspect}")
        self.constants.append(tuple(row.constant.values()))
        self._complete()

    def expect(self, label: str, value: str) -> None:
        """Make the series that an open label's value can have, as far as the other labels are known."""
        if label in self.first.by:
            self._expected.setdefault(label, []).append(value)
            self._complete()

    def appear(self, texts: list[str]) -> None:
        """Make the series that go with values just learned: every closed combination beside them."""
        self._make([values or (text,) for text, values in zip(texts, self.first.values, strict=True)])

    def child(self, row: Metric, texts: list[str]) -> Any:
        """One series of a row."""
        values = (*texts, *row.constant.values())
        return self.collector.labels(*values) if values else self.collector

    def _complete(self) -> None:
        self._make(
            [
                values
                if values is not None
                else ()
                if label in self.first.within
                else tuple(self._expected.get(label, ()))
                for label, values in zip(self.first.by, self.first.values, strict=True)
            ]
        )

    def _make(self, choices: list[tuple[str, ...]]) -> None:
        if self.first.zeroes and self.first.labels:
            for texts, constants in product(product(*choices), self.constants):
                self.collector.labels(*texts, *constants)


class OpenTable:
    """What is open now, by key: an in-flight gauge shows its size, so a lost or doubled end can't make it drift."""

    def __init__(self) -> None:
        self._open: dict[str, Any] = {}
        self._sizes: dict[Any, int] = {}
        self._lock = Lock()

    def open(self, key: str, gauge: Any) -> None:
        """Put a key in, under the series that it counts for; one that is in already stays where it is."""
        with self._lock:
            if key not in self._open:
                self._open[key] = gauge
                self._resize(gauge, 1)

    def close(self, key: str) -> None:
        """Take a key out; one that is not in was never seen to begin."""
        with self._lock:
            gauge = self._open.pop(key, None)
            if gauge is not None:
                self._resize(gauge, -1)

    def _resize(self, gauge: Any, step: int) -> None:
        self._sizes[gauge] = self._sizes.get(gauge, 0) + step
        gauge.set(self._sizes[gauge])


class Group:
    """The rows of one signal that share their label fields: one look-up finds the series of all of them."""

    # Only values of these types are remembered as keys: others may be equal as text yet never as keys.
    _REMEMBERED = (str, int, bool, NoneType)

    def __init__(self, signal: AnySignal, members: list[tuple[Metric, Instrument]], labels: Labels) -> None:
        self._signal = signal
        self._members = [(row, instrument, mover(row, instrument, signal)) for row, instrument in members]
        self._labels = labels
        first = members[0][0]
        self._by = first.by
        self._closed = first.values
        self._within = first.within
        self._key: Callable[[Any], Any] = attrgetter(*first.by) if first.by else lambda _: ()
        self._series: dict[Any, tuple[tuple[Move, Any, str], ...]] = {}

    def record(self, event: Any) -> None:
        """Move every series of the group by one event; a row that fails does not starve the others."""
        key = self._key(event)
        try:
            series = self._series[key]
        except (KeyError, TypeError):  # not seen before, or not hashable
            series = self._admit(key)
        for move, target, name in series:
            try:
                move(target, event)
            except Exception as error:
                tell_failure(self._signal.name, name, error)

    def _admit(self, key: Any) -> tuple[tuple[Move, Any, str], ...]:
        raw = (key,) if len(self._by) == 1 else key
        if any(value is None and closed is not None for value, closed in zip(raw, self._closed, strict=True)):
            return ()  # no value of the label, so no event for the row
        texts: list[str] = []
        folded = []
        for label, closed, value in zip(self._by, self._closed, raw, strict=True):
            text = text_of(value)
            if closed is None:
                whose = self._within.get(label)
                inside = None if whose is None else texts[self._by.index(whose)]
                admitted = self._labels.admit(label, text, inside)
            else:
                admitted = text if text in closed else OTHER
            texts.append(admitted)
            if admitted != text:
                folded.append(label)
        series = tuple(
            (move, target_of(row, instrument, texts), instrument.name) for row, instrument, move in self._members
        )
        if folded:  # not remembered: keeping each value past the bound would be the leak that the bound prevents
            self._tell_overflow(folded)
            return series
        for _, instrument, _ in self._members:
            instrument.appear(texts)
        if all(type(value) in self._REMEMBERED or isinstance(value, Enum) for value in raw):
            self._series[key] = series
        return series

    def _tell_overflow(self, folded: list[str]) -> None:
        if self._signal is label_overflowed:
            return  # it would tell itself for ever
        for name, named in {instrument.name: row.named for row, instrument, _ in self._members}.items():
            for label in folded:
                label_overflowed.emit(metric=name, label=named.get(label, label))


def target_of(row: Metric, instrument: Instrument, texts: list[str]) -> Any:
    """Bind once what a move of the row takes: the child's method."""
    if row.kind == "gauge":
        return partial(show, instrument.collector, (*texts, *row.constant.values()))
    child = instrument.child(row, texts)
    match row.kind:
        case "counter":
            return child.inc
        case "histogram":
            return child.observe
        case "in_flight":
            return child


def mover(row: Metric, instrument: Instrument, signal: AnySignal) -> Move:
    """Make what moves one series of a row by one event of a signal."""
    move: Move
    if row.kind == "in_flight":
        move = open_or_close(row, instrument.table, signal)
    elif row.of is None:
        move = one
    else:
        move = amount(row, instrument.name)
    return only_where(row, move) if row.where else move


def one(inc: Any, _: Any) -> None:
    """Count the event."""
    inc()


def open_or_close(row: Metric, table: OpenTable, signal: AnySignal) -> Move:
    """Put the event's key into the table of open ones, or take it out."""
    key = attrgetter(key_of(signal))
    if signal in {row.closed, row.released}:
        return lambda _, event: table.close(key(event))
    return lambda gauge, event: table.open(key(event), gauge)


def only_where(row: Metric, move: Move) -> Move:
    """Leave out events whose fields have other values than the row asks for."""
    read, wanted = attrgetter(*row.where), tuple(row.where.values())
    match = wanted[0] if len(wanted) == 1 else wanted

    def move_where(target: Any, event: Any) -> None:
        if read(event) == match:
            move(target, event)

    return move_where


def watched(row: Metric, instrument: Instrument, signal: str) -> Step:
    """Make the step that counts a signal's events, or stamps the time of the last one."""
    child = instrument.collector.labels(signal)
    if row.kind == "counter":
        return lambda _: child.inc()
    return lambda _: child.set(time())


def told(signal: str, steps: tuple[Step, ...]) -> Step:
    """Join a signal's steps into its one receiver."""

    def receive(event: Any) -> None:
        for step in steps:
            try:
                step(event)
            except Exception as error:
                tell_failure(signal, "metrics", error)

    receive.__qualname__ = "metrics"
    return receive
