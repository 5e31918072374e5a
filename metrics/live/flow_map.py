"""The map of events: which signals there are, which instruments they feed, and who else listens to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from blinker import ANY

from events.bus.background import Background
from events.bus.receiver_inspection import callable_name

from ..catalogue import GROUPS, every_signal
from ..diagnostics.listing import describe_families
from ..event_fields import AnySignal
from ..fastpath import children
from ..rows import Metric
from ..subscription.receiver import MetricsReceiver
from ..subscription.series import HiddenUntilSet
from ..subscription.subscribe import declared_signals

EVERY_SIGNAL = "*"
"""Stands for all signals, where an instrument is fed by every one."""

OTHERS = "other"
"""The group of signals and rows that are in none of the catalogue's."""


ListenerKind = Literal["metrics", "background", "direct"]


@dataclass(frozen=True, slots=True)
class Listener:
    """All receivers of signals that have one name.

    ``receivers`` are the names that failures have; ``kind`` is how it is called: ``metrics`` by a subscription,
    ``background`` in a thread of its own, ``direct`` by whoever emits.
    """

    name: str
    kind: ListenerKind
    signals: tuple[str, ...]
    receivers: tuple[str, ...]


class FlowMap:
    """The map of a subscription: what does not change of it is found out once, when it is asked for first.

    Args:
        catalogue: The rows that are subscribed.
        namespace: The first word of the metrics' names.
        label_limits: How many values each open label takes.
    """

    def __init__(self, catalogue: Sequence[Metric], namespace: str, label_limits: Mapping[str, int]) -> None:
        self._catalogue = catalogue
        self._namespace = namespace
        self._label_limits = label_limits

    @cached_property
    def groups(self) -> dict[str, str]:
        """The group of each signal that feeds a row."""
        return signal_groups(self._catalogue)

    @cached_property
    def instruments(self) -> list[dict[str, Any]]:
        """The families, as JSON has them, without how many series they have."""
        return describe_instruments(self._catalogue, self._namespace, self._label_limits)

    def describe(
        self,
        listeners: Iterable[Listener],
        *,
        counts: Mapping[str, int],
        series: Mapping[str, int],
        failures: Mapping[str, int],
    ) -> dict[str, Any]:
        """Return signals, instruments and listeners as JSON has them.

        Args:
            listeners: Who is connected.
            counts: The events of each signal.
            series: The series of each family.
            failures: The failures of each listener.
        """
        names = sorted(each.name for each in declared_signals())
        return {
            "signals": [
                {"name": name, "group": self.groups.get(name, OTHERS), "count": counts.get(name, 0)} for name in names
            ],
            "instruments": [{**each, "series": series.get(each["family"], 0)} for each in self.instruments],
            "listeners": [
                {
                    "name": each.name,
                    "kind": each.kind,
                    "signals": list(each.signals),
                    "failures": failures.get(each.name, 0),
                }
                for each in listeners
            ],
        }


def describe_instruments(
    catalogue: Sequence[Metric], namespace: str, label_limits: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return the families of a catalogue as the map has them, with the signals that feed them."""
    by_name: dict[str, list[Metric]] = {}
    for row in catalogue:
        by_name.setdefault(row.name, []).append(row)
    families = zip(describe_families(catalogue, namespace, label_limits), by_name.values(), strict=True)
    return [
        {
            "family": family["name"],
            "signal": signals[0],
            "signals": signals,
            "type": family["type"],
            "labels": family["labels"],
            "limit": family["most_series"],
            "help": family["help"],
            "group": group_of(rows[0]),
        }
        for family, rows in families
        for signals in [list(dict.fromkeys(signal_name(signal) for row in rows for signal in row.signals))]
    ]


def kind_of(receiver: Any) -> ListenerKind:
    """Return how a receiver is called."""
    if isinstance(receiver, MetricsReceiver):
        return "metrics"
    return "background" if isinstance(receiver, Background) else "direct"


def connected_listeners(
    name_of: Callable[[Any], str] = callable_name, kind_of: Callable[[Any], ListenerKind] = kind_of
) -> list[Listener]:
    """Return who is connected to any declared signal, the metrics first.

    Args:
        name_of: Returns the name of a receiver; several receivers of one name are one listener.
        kind_of: Returns how a receiver is called.
    """
    found: dict[str, dict[str, Any]] = {}
    for signal in sorted(declared_signals(), key=lambda each: each.name):
        for receiver in signal.receivers_for(ANY):
            kind = kind_of(receiver)
            name = kind if kind == "metrics" else name_of(receiver)
            each = found.setdefault(name, {"kind": kind, "signals": {}, "receivers": {}})
            each["signals"][signal.name] = None
            each["receivers"][callable_name(receiver)] = None
    listeners = [
        Listener(name, each["kind"], tuple(each["signals"]), tuple(each["receivers"])) for name, each in found.items()
    ]
    return sorted(listeners, key=lambda each: (each.kind != "metrics", each.name))


def count_series(collectors: Mapping[str, Any], families: Iterable[str]) -> dict[str, int]:
    """Return how many series each family shows, by its full name; those that cannot be read are left out."""
    counts = {}
    for name in families:
        with suppress(Exception):  # whoever reads its values reports it
            counts[name] = shown_series(collectors[name])
    return counts


def shown_series(collector: Any) -> int:
    """Return how many series a collector shows."""
    if type(collector) is HiddenUntilSet:
        return int(collector.is_set)
    if children.is_readable(collector):
        return children.series_count(collector)
    return sum(len(family.samples) for family in collector.collect())


def signal_groups(catalogue: Iterable[Metric]) -> dict[str, str]:
    """Return the group of each signal: that of the first row which it feeds."""
    found: dict[str, str] = {}
    for row, signal in feeds(catalogue):
        found.setdefault(signal.name, group_of(row))
    return found


def feeds(catalogue: Iterable[Metric]) -> Iterator[tuple[Metric, AnySignal]]:
    """Yield each row with each of the signals that feed it, but for the one that stands for all."""
    for row in catalogue:
        yield from ((row, signal) for signal in row.signals if signal is not every_signal)


def group_of(row: Metric) -> str:
    """Return the name of the catalogue's group that a row is in."""
    return next((name for name, group in GROUPS.items() if any(each is row for each in group)), OTHERS)


def signal_name(signal: AnySignal) -> str:
    """Return a signal's name, or what stands for all of them."""
    return EVERY_SIGNAL if signal is every_signal else signal.name
