"""How an event becomes a number: rows of the catalogue, checked when they are declared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from math import prod
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from events import Signal, Span
from events.bus.fields import Measure, OpenLabel, PairingKey

Kind = Literal["counter", "gauge", "histogram", "in_flight"]
MultiprocessMode = Literal["livesum", "livemax", "livemostrecent", "max", "min"]
"""What a gauge shows of several processes, in prometheus_client's words: ``live`` counts living processes alone."""

AnySignal = Signal[..., Any]

OTHER = "other"
"""The value of a label past its bound or outside its closed set."""

RESERVED = frozenset({"unknown", OTHER})
"""Values that every open label may take beside those that its bound counts."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row: an instrument and the event that moves it. Made by the functions below.

    ``labels`` names the event's fields that become labels, ``rename`` gives some of them another label name, and
    ``const_labels`` adds labels of one value. ``value`` names the field that is added, observed or shown; without it
    each event counts 1. ``where`` holds the values that closed labels must have for the row to apply. Several rows may
    move one instrument; they agree in everything but ``signal``, ``value``, ``where`` and the values of
    ``const_labels``.

    Series of closed labels are initialized: they exist at 0 before the first event. ``initialize=False`` leaves that
    out, for labels most of whose combinations never occur. ``nested_in`` names labels whose values belong to another
    label's value, as the steps of a workflow do (``{"step": "workflow_type"}``): the limit of such a label counts
    pairs. A closed label may be nested too, where few of all pairs are possible: a route has not every method.

    ``multiprocess_mode`` says what a gauge shows of several worker processes: ``livesum`` (the default), ``livemax`` or
    ``livemostrecent`` of those that live, ``max`` or ``min`` of all there ever were.
    """

    kind: Kind
    name: str
    help: str
    signal: AnySignal
    labels: tuple[str, ...] = ()
    value: str | None = None
    where: Mapping[str, object] = field(default_factory=dict)
    const_labels: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    resumed: AnySignal | None = None
    closed: AnySignal | None = None
    released: AnySignal | None = None
    initialize: bool = True
    nested_in: Mapping[str, str] = field(default_factory=dict)
    multiprocess_mode: MultiprocessMode | None = None

    def __post_init__(self) -> None:
        if fault := next(faults(self), None):
            raise TypeError(f"{self.name}: {fault}")

    @property
    def label_names(self) -> tuple[str, ...]:
        """The instrument's label names."""
        return (*(self.rename.get(name, name) for name in self.labels), *self.const_labels)

    @property
    def signals(self) -> tuple[AnySignal, ...]:
        """Every signal that moves the row."""
        return tuple(signal for signal in (self.signal, self.resumed, self.closed, self.released) if signal is not None)

    @property
    def closed_label_values(self) -> tuple[tuple[str, ...] | None, ...]:
        """For each field in ``labels`` the closed set of its values, or None where they are learned."""
        hints = roles(self.signal)
        return tuple(closed_values(hints[name]) for name in self.labels)

    def most_series(self, bounds: Mapping[str, int]) -> int:
        """How many time series the row can ever make, every label at its bound."""
        sizes, beside = {}, {}  # beside: how many values a label takes past its bound
        for name, values in zip(self.labels, self.closed_label_values, strict=True):
            beside[name] = len(RESERVED) if values is None else 1
            sizes[name] = bounds[name] + beside[name] if values is None else len({*values, OTHER})
        for name, whose in self.nested_in.items():
            sizes[name] = bounds[name] + beside[name] * sizes.pop(whose)
        return prod(sizes.values()) * (len(self.buckets) + 3 if self.kind == "histogram" else 1)


def counter(name: str, help: str, signal: AnySignal, **row: Any) -> Metric:  # noqa: A002  # Prometheus's word
    """Count events, or add up their field ``value``; the name ends in ``_total``."""
    return Metric(kind="counter", name=name, help=help, signal=signal, **row)


def histogram(name: str, help: str, signal: AnySignal, *, value: str, buckets: Iterable[float], **row: Any) -> Metric:  # noqa: A002  # Prometheus's word
    """Sort the field ``value`` of each event into buckets; an unknown amount (None) is no sample."""
    return Metric(kind="histogram", name=name, help=help, signal=signal, value=value, buckets=tuple(buckets), **row)


def gauge(name: str, help: str, signal: AnySignal, *, value: str, **row: Any) -> Metric:  # noqa: A002  # Prometheus's word
    """Show the field ``value`` of the last event."""
    return Metric(kind="gauge", name=name, help=help, signal=signal, value=value, **row)


def in_flight(
    name: str,
    help: str,  # noqa: A002  # Prometheus's word
    span: Span[...],
    *,
    resumed: AnySignal | None = None,
    released: AnySignal | None = None,
    **row: Any,
) -> Metric:
    """Show how many of a span's stretches of work are open: the size of a table, not a sum of steps.

    ``resumed`` names a signal that opens one as well, such as a run taken up after its process died; ``released`` one
    that closes one as well, such as a run left to another process.
    """
    signals = {"signal": span.started, "resumed": resumed, "closed": span.finished, "released": released}
    return Metric(kind="in_flight", name=name, help=help, **signals, **row)  # type: ignore[arg-type]  # all of them signals


def faults(row: Metric) -> Iterator[str]:
    """Say what is wrong with a row: its name, its labels, its amount, its signals."""
    yield from faults_of_name(row)
    hints = roles(row.signal)
    if unknown := [
        name for name in (*row.labels, *row.where, *([row.value] if row.value else [])) if name not in hints
    ]:
        yield f"{row.signal.name} has no field {unknown[0]!r}; it has {', '.join(hints)}"
        return
    yield from faults_of_labels(row, hints)
    yield from faults_of_where(row, hints)
    yield from faults_of_amount(row, hints)
    if row.multiprocess_mode is not None and row.kind != "gauge":
        yield f"multiprocess_mode is for gauges; over processes a {row.kind} is always a sum"
    for signal in row.signals[1:]:
        if missing := {*row.labels, key_of(row.signal)} - {*roles(signal)}:
            yield f"{signal.name} lacks {', '.join(sorted(missing))}"


def faults_of_name(row: Metric) -> Iterator[str]:
    """Hold a name against Prometheus's naming rules (prometheus.io/docs/practices/naming)."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", row.name):
        yield "a name is lower-case words joined by underscores"
    if row.kind == "counter" and not row.name.endswith("_total"):
        yield "a counter ends in _total"
    if row.kind != "counter" and row.name.endswith("_total"):
        yield f"a {row.kind} does not end in _total"


def faults_of_labels(row: Metric, hints: Mapping[str, Any]) -> Iterator[str]:
    """Hold the fields that become labels against what they can be."""
    for name in row.labels:
        if closed_values(hints[name]) is None and mark(hints[name], OpenLabel) is None:
            yield f"{name!r} of {row.signal.name} is not a label"
    for name, whose in row.nested_in.items():
        if name == whose or not {name, whose} <= {*row.labels}:
            yield f"{name!r} can't be nested in {whose!r}: name two fields, both of them in labels"
        elif closed_values(hints[name]) is not None and row.initialize:
            yield f"{name!r} is closed: nested in {whose!r} it needs initialize=False, else all pairs exist at once"
    if len({*row.nested_in.values()} | {*row.nested_in}) < 2 * len(row.nested_in):
        yield "nested_in takes pairs of labels that have none in common"
    if unknown := {*row.rename} - {*row.labels}:
        yield f"{unknown.pop()!r} is renamed and no field in labels"
    if overlap := {*row.label_names[: len(row.labels)]} & {*row.const_labels}:
        yield f"label {overlap.pop()!r} is both a field and in const_labels"


def faults_of_where(row: Metric, hints: Mapping[str, Any]) -> Iterator[str]:
    """Hold the values that fields must have against what they can be."""
    for name, value in row.where.items():
        if (values := closed_values(hints[name])) is None:
            yield f"{name!r} of {row.signal.name} can't be in where: its values are not known beforehand"
        elif text_of(value) not in values:
            yield f"{name!r} of {row.signal.name} is never {value!r}; it is one of {', '.join(values)}"


def faults_of_amount(row: Metric, hints: Mapping[str, Any]) -> Iterator[str]:
    """Hold the amount's unit against the name, and the buckets against each other."""
    if (
        row.value
        and (measure := mark(hints[row.value], Measure))
        and not {measure.unit, measure.unit.removesuffix("s")} & {*row.name.split("_")}
    ):
        yield f"{row.value!r} of {row.signal.name} is in {measure.unit}, the name should say so"
    if row.kind == "histogram" and (not row.buckets or any(a >= b for a, b in pairwise(row.buckets))):
        yield f"buckets must ascend, got {row.buckets}"


def roles(signal: AnySignal) -> dict[str, Any]:
    """Read the fields of a signal's event with their roles."""
    return get_type_hints(signal.event, include_extras=True)


def key_of(signal: AnySignal) -> str:
    """Name the field that pairs a start with its end.

    Raises:
        TypeError: the event has none.
    """
    for name, hint in roles(signal).items():
        if mark(hint, PairingKey):
            return name
    raise TypeError(f"{signal.name} has no Key field to pair a start with its end")


def closed_values(hint: Any) -> tuple[str, ...] | None:
    """Every value of a closed label, also of one that may be None; None for anything else."""
    if NoneType in (parts := get_args(hint)):
        (hint,) = parts[:1] if len(parts) == 2 else (None,)
    if get_origin(hint) is Literal:
        return tuple(text_of(value) for value in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(text_of(member) for member in hint)
    if hint is bool:
        return ("false", "true")
    return None


def text_of(value: object) -> str:
    """Write a label value as text."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return value or "unknown"
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return text_of(value.value)
    return str(value)


def mark(hint: Any, kind: type[Any]) -> Any:
    """Find a role among a field's annotations, also in ``Role | None``."""
    for part in (hint, *get_args(hint)):
        for role in getattr(part, "__metadata__", ()):
            if isinstance(role, kind):
                return role
    return None
