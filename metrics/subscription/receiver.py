"""What moves the series of a signal's rows when an event is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from operator import attrgetter
from types import NoneType
from typing import Any, NamedTuple

from events import label_overflowed, value_dropped
from events.bus.emitters import BindableReceiver
from events.bus.failures import report_failure

from ..fastpath.update import Moved, Mover, Take, mover
from ..rows import OTHER, AnySignal, Metric, key_of, text_of
from .label_limits import Labels
from .series import Instrument
from .value_limits import limits, refuse, show

Pair = tuple[Metric, Instrument]
Choice = tuple[Metric, Instrument, list[str]]
Other = tuple[Callable[[Any], object], str]


class Chosen(NamedTuple):
    """What events of one choice of labels move."""

    move: Mover
    """Moves counts and amounts."""
    others: tuple[Other, ...]
    """Take the whole event, each with the name of its metric: what is open, and gauges."""


class Receiver(BindableReceiver):
    """Moves every series of one signal's rows: one look-up, by all fields that choose between them, finds them."""

    MAX_REMEMBERED = 4096
    """Choices that are remembered; bounds and closed sets keep them far fewer."""

    # Only values of these types are remembered: others may be equal as text yet never as keys.
    _REMEMBERED = (str, int, bool, NoneType)

    def __init__(self, signal: AnySignal, pairs: Iterable[Pair], watches: Iterable[Pair], labels: Labels) -> None:
        self.__qualname__ = "metrics"  # how a failure names it
        self._signal = signal
        self._pairs = tuple(pairs)
        # The count of the events of a signal, and the time of the last one.
        watching = [(row, instrument.collector.labels(signal.name), instrument.name) for row, instrument in watches]
        self._ticks = [(child, name) for row, child, name in watching if row.kind == "counter"]
        self._stamps = [(child, name) for row, child, name in watching if row.kind == "gauge"]
        self._labels = labels
        fields = dict.fromkeys(name for row, _ in self._pairs for name in (*row.labels, *row.where))
        self._fields = tuple(fields)
        self._key: Callable[[Any], Any] = attrgetter(*fields) if fields else lambda _: ()
        self._chosen: dict[Any, Chosen] = {}

    def __call__(self, event: Any) -> None:
        """Move every series that an event moves; a row that fails does not starve the others."""
        key = self._key(event)
        try:
            move, others = self._chosen[key]
        except (KeyError, TypeError):  # not seen before, or not hashable
            move, others = self._choose(key)
        move(event)
        for other, name in others:
            try:
                other(event)
            except Exception as error:
                self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> None:
        report_failure(self._signal.name, name, error)

    def bind(self, known: Mapping[str, Any], named: tuple[str, ...]) -> Mover | None:
        """Choose once, where nothing but counts and amounts is left to be told."""
        if not known.keys() >= set(self._fields):
            return None
        chosen, folded = self._find({name: known[name] for name in self._fields})
        moved, others = self._sort(chosen)
        if folded or others or any(take.field not in named for take in moved.takes):
            return None
        return mover(moved, named)

    def _choose(self, key: Any) -> Chosen:
        raw = dict(zip(self._fields, (key,) if len(self._fields) == 1 else key, strict=True))
        chosen, folded = self._find(raw)
        moved, others = self._sort(chosen)
        bound = Chosen(mover(moved), others)
        if folded:  # not remembered: keeping each value past the bound would be the leak that the bound prevents
            self._tell_overflow(folded)
        elif all(type(value) in self._REMEMBERED or isinstance(value, Enum) for value in raw.values()):
            if len(self._chosen) >= self.MAX_REMEMBERED:
                self._chosen.clear()
            self._chosen[key] = bound
        return bound

    def _find(self, raw: dict[str, Any]) -> tuple[list[Choice], Iterable[tuple[str, str]]]:
        """Find the rows and series that fields choose, and the metrics and labels whose values are past the bound."""
        folded: dict[tuple[str, str], None] = {}
        chosen: list[Choice] = []
        for row, instrument in self._pairs:
            if any(
                values is not None and raw[name] is None
                for name, values in zip(row.labels, row.closed_label_values, strict=True)
            ):
                continue  # without a value of its label it is no event of the row
            texts = self._admit(row, raw)
            if misfits := [name for name, text in zip(row.labels, texts, strict=True) if text != text_of(raw[name])]:
                folded.update(((instrument.name, row.rename.get(name, name)), None) for name in misfits)
            else:
                instrument.appear(texts)
            if all(raw[name] == wanted for name, wanted in row.where.items()):
                chosen.append((row, instrument, texts))
        return chosen, folded

    def _sort(self, chosen: Iterable[Choice]) -> tuple[Moved, tuple[Other, ...]]:
        """Sort what rows move by how they move it, so that no time is spent on asking."""
        ticks, takes = list(self._ticks), []
        others: list[Other] = []
        for row, instrument, texts in chosen:
            name = instrument.name
            if row.kind == "gauge":
                others.append((shown(row, instrument, texts), name))
            elif row.kind == "in_flight":
                others.append((open_or_close(row, instrument, texts, self._signal), name))
            elif row.value is None:
                ticks.append((instrument.child(row, texts), name))
            else:
                takes.append(Take(instrument.child(row, texts), row.value, *limits(row), name))
        return Moved(ticks, self._stamps, takes, refuse, self._failed), tuple(others)

    def _admit(self, row: Metric, raw: dict[str, Any]) -> list[str]:
        texts: dict[str, str] = {}
        # Labels within others last, when it is known inside which value they are.
        for label, closed in sorted(
            zip(row.labels, row.closed_label_values, strict=True), key=lambda each: each[0] in row.nested_in
        ):
            text = text_of(raw[label])
            if closed is not None and text not in closed:
                text = OTHER
            elif closed is None or label in row.nested_in:
                text = self._labels.admit(label, text, texts.get(row.nested_in.get(label, "")))
            texts[label] = text
        return [texts[label] for label in row.labels]

    def _tell_overflow(self, folded: Iterable[tuple[str, str]]) -> None:
        if self._signal is not label_overflowed:  # it would tell itself for ever
            for name, label in folded:
                label_overflowed.emit(metric=name, label=label)


def shown(row: Metric, instrument: Instrument, texts: list[str]) -> Callable[[Any], None]:
    """Make what shows a field of the last event; unknown is no series."""
    read, labels = attrgetter(str(row.value)), (*texts, *row.const_labels.values())
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
