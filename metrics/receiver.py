"""What moves the series of a signal's rows when an event is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from operator import attrgetter
from time import time
from types import NoneType
from typing import Any, NamedTuple

from events import label_overflowed, value_dropped
from events.signal import tell_failure

from .amounts import limits, refuse, show
from .instruments import OTHER, AnySignal, Metric, key_of, text_of
from .labels import Labels
from .series import Instrument
from .stock.moving import taker, ticker

Pair = tuple[Metric, Instrument]


COUNT = ""
"""Stands for the field of a row that counts events."""


class Moving(NamedTuple):
    """What one row does with an event: ``take`` its ``field``, or nothing of it (`COUNT`), or the event (None)."""

    name: str
    take: Callable[..., object]
    field: str | None = None
    limits: tuple[float, float] = (0, 0)


class Chosen(NamedTuple):
    """What events of one choice of labels move, each with the name of its metric."""

    counts: tuple[tuple[Callable[[], object], str], ...]
    read: Callable[[Any], tuple[Any, ...]]
    """Gives the amounts, in the order in which they are taken."""
    takes: tuple[tuple[Callable[[Any], object], float, float, str], ...]
    """Take an amount that is at least the first and less than the second number."""
    moves: tuple[tuple[Callable[[Any], object], str], ...]
    """Take the whole event: what is open, and gauges."""


def together(moving: list[Moving]) -> Chosen:
    """Sort what rows do with an event by how they take it, so that no time is spent on asking."""
    counts = tuple((each.take, each.name) for each in moving if each.field == COUNT)
    moves = tuple((each.take, each.name) for each in moving if each.field is None)
    amounts = [each for each in moving if each.field]
    takes = tuple((each.take, *each.limits, each.name) for each in amounts)
    fields = [str(each.field) for each in amounts]
    # Of one field alone attrgetter gives the bare value, hence one more than is asked for.
    read: Any = attrgetter(*fields, fields[0]) if fields else lambda _: ()
    return Chosen(counts, read, takes, moves)


class Receiver:
    """Moves every series of one signal's rows: one look-up, by all fields that choose between them, finds them."""

    MOST_REMEMBERED = 4096
    """Choices that are remembered; bounds and closed sets keep them far fewer."""

    # Only values of these types are remembered: others may be equal as text yet never as keys.
    _REMEMBERED = (str, int, bool, NoneType)

    def __init__(self, signal: AnySignal, pairs: Iterable[Pair], watches: Iterable[Pair], labels: Labels) -> None:
        self.__qualname__ = "metrics"  # how a failure names it
        self._signal = signal
        self._pairs = tuple(pairs)
        self._watching = [watched(row, instrument, signal) for row, instrument in watches]
        self._labels = labels
        fields = dict.fromkeys(name for row, _ in self._pairs for name in (*row.by, *row.where))
        self._fields = tuple(fields)
        self._key: Callable[[Any], Any] = attrgetter(*fields) if fields else lambda _: ()
        self._chosen: dict[Any, Chosen] = {}

    def __call__(self, event: Any) -> None:
        """Move every series that an event moves; a row that fails does not starve the others."""
        key = self._key(event)
        try:
            counts, read, takes, moves = self._chosen[key]
        except (KeyError, TypeError):  # not seen before, or not hashable
            counts, read, takes, moves = self._choose(key)
        for count, name in counts:
            try:
                count()
            except Exception as error:
                tell_failure(self._signal.name, name, error)
        for value, (take, least, limit, name) in zip(read(event), takes, strict=False):
            if value is not None:  # unknown is no sample
                try:
                    if least <= value < limit:
                        take(value)
                    else:
                        refuse(value, least, limit, name)
                except Exception as error:
                    self._failed_with(value, name, error)
        for move, name in moves:
            try:
                move(event)
            except Exception as error:
                tell_failure(self._signal.name, name, error)

    def _failed_with(self, value: Any, name: str, error: Exception) -> None:
        if isinstance(value, (int, float)):
            tell_failure(self._signal.name, name, error)
        else:
            value_dropped.emit(metric=name, reason="not_a_number")

    def _choose(self, key: Any) -> Chosen:
        raw = dict(zip(self._fields, (key,) if len(self._fields) == 1 else key, strict=True))
        folded: dict[tuple[str, str], None] = {}
        moving: list[Moving] = []
        for row, instrument in self._pairs:
            if any(values is not None and raw[name] is None for name, values in zip(row.by, row.values, strict=True)):
                continue  # without a value of its label it is no event of the row
            texts = self._admit(row, raw)
            if misfits := [name for name, text in zip(row.by, texts, strict=True) if text != text_of(raw[name])]:
                folded.update(((instrument.name, row.named.get(name, name)), None) for name in misfits)
            else:
                instrument.appear(texts)
            if all(raw[name] == wanted for name, wanted in row.where.items()):
                moving.append(moved(row, instrument, texts, self._signal))
        chosen = together([*moving, *self._watching])
        if folded:  # not remembered: keeping each value past the bound would be the leak that the bound prevents
            self._tell_overflow(folded)
        elif all(type(value) in self._REMEMBERED or isinstance(value, Enum) for value in raw.values()):
            if len(self._chosen) >= self.MOST_REMEMBERED:
                self._chosen.clear()
            self._chosen[key] = chosen
        return chosen

    def _admit(self, row: Metric, raw: dict[str, Any]) -> list[str]:
        texts: dict[str, str] = {}
        # Labels within others last, when it is known inside which value they are.
        for label, closed in sorted(zip(row.by, row.values, strict=True), key=lambda each: each[0] in row.within):
            text = text_of(raw[label])
            if closed is not None and text not in closed:
                text = OTHER
            elif closed is None or label in row.within:
                text = self._labels.admit(label, text, texts.get(row.within.get(label, "")))
            texts[label] = text
        return [texts[label] for label in row.by]

    def _tell_overflow(self, folded: Iterable[tuple[str, str]]) -> None:
        if self._signal is not label_overflowed:  # it would tell itself for ever
            for name, label in folded:
                label_overflowed.emit(metric=name, label=label)


def moved(row: Metric, instrument: Instrument, texts: list[str], signal: AnySignal) -> Moving:
    """Bind what an event of a signal moves of a row."""
    match row.kind:
        case "gauge":
            return Moving(instrument.name, shown(row, instrument, texts))
        case "in_flight":
            return Moving(instrument.name, open_or_close(row, instrument, texts, signal))
    child = instrument.child(row, texts)
    if row.of is None:
        return Moving(instrument.name, ticker(child), COUNT)
    return Moving(instrument.name, taker(child), row.of, limits(row))


def watched(row: Metric, instrument: Instrument, signal: AnySignal) -> Moving:
    """Bind what counts the events of a signal, or stamps the time of the last one."""
    child = instrument.collector.labels(signal.name)
    if row.kind == "counter":
        return Moving(instrument.name, ticker(child), COUNT)
    show = taker(child)
    return Moving(instrument.name, lambda _: show(time()))


def shown(row: Metric, instrument: Instrument, texts: list[str]) -> Callable[[Any], None]:
    """Make what shows a field of the last event; unknown is no series."""
    read, labels = attrgetter(str(row.of)), (*texts, *row.constant.values())
    least, limit = limits(row)

    def move(event: Any) -> None:
        value = read(event)
        try:
            sensible = value is None or least <= value < limit
        except TypeError:
            value_dropped.emit(metric=instrument.name, reason="not_a_number")
            return
        if sensible:
            show(instrument.collector, labels, value)
        else:
            refuse(value, least, limit, instrument.name)

    return move


def open_or_close(row: Metric, instrument: Instrument, texts: list[str], signal: AnySignal) -> Callable[[Any], None]:
    """Make what puts an event's key into the table of open ones, or takes it out."""
    key, table = attrgetter(key_of(signal)), instrument.table
    if signal in {row.closed, row.released}:
        return lambda event: table.close(key(event))
    child = instrument.child(row, texts)
    return lambda event: table.open(key(event), child)
