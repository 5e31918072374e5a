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
from events.bus.fields import Open, Pairing, Unit

Kind = Literal["counter", "gauge", "histogram", "in_flight"]
Across = Literal["sum", "max", "newest", "latest", "first"]
AnySignal = Signal[..., Any]

OTHER = "other"
"""The value of a label past its bound or outside its closed set."""

RESERVED = frozenset({"unknown", OTHER})
"""Values that every open label may take beside those that its bound counts."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row: an instrument and the event that moves it. Made by the functions below.

    ``by`` names the fields that become labels, ``constant`` adds labels of one value, ``of`` names the field that is
    the amount (without it each event counts 1), ``where`` the values that closed labels must have for the row to apply.
    Several rows may move one instrument; they then agree in everything but ``on``, ``of``, ``where`` and the values of
    ``constant``. ``zeroes=False`` keeps series from existing before they are first moved, for labels whose product is
    mostly impossible. ``within`` names labels whose values belong to another label's, as the steps of a workflow do
    (``{"step": "workflow_type"}``): the bound of such a label counts pairs. A closed label may be within another too,
    where of all pairs few are possible: a route has not every method.

    ``across`` says what a gauge shows of several worker processes: of those that live the ``sum`` (by default), the
    ``max`` or the ``newest``; or the ``latest`` or ``first`` of all there ever were: the largest and the smallest.
    """

    kind: Kind
    name: str
    help: str
    on: AnySignal
    by: tuple[str, ...] = ()
    of: str | None = None
    where: Mapping[str, object] = field(default_factory=dict)
    constant: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    resumed: AnySignal | None = None
    closed: AnySignal | None = None
    released: AnySignal | None = None
    zeroes: bool = True
    within: Mapping[str, str] = field(default_factory=dict)
    across: Across | None = None

    def __post_init__(self) -> None:
        if fault := next(faults(self), None):
            raise TypeError(f"{self.name}: {fault}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The instrument's label names."""
        return (*(self.named.get(name, name) for name in self.by), *self.constant)

    @property
    def signals(self) -> tuple[AnySignal, ...]:
        """Every signal that moves the row."""
        return tuple(signal for signal in (self.on, self.resumed, self.closed, self.released) if signal is not None)

    @property
    def values(self) -> tuple[tuple[str, ...] | None, ...]:
        """For each field in ``by`` the closed set of its values, or None where they are learned."""
        hints = roles(self.on)
        return tuple(closed_values(hints[name]) for name in self.by)

    def most_series(self, bounds: Mapping[str, int]) -> int:
        """How many time series the row can ever make, every label at its bound."""
        sizes, beside = {}, {}  # beside: how many values a label takes past its bound
        for name, values in zip(self.by, self.values, strict=True):
            beside[name] = len(RESERVED) if values is None else 1
            sizes[name] = bounds[name] + beside[name] if values is None else len({*values, OTHER})
        for name, whose in self.within.items():
            sizes[name] = bounds[name] + beside[name] * sizes.pop(whose)
        return prod(sizes.values()) * (len(self.buckets) + 3 if self.kind == "histogram" else 1)


def counter(name: str, help: str, on: AnySignal, **row: Any) -> Metric:  # noqa: A002  # Prometheus's word
    """Count events, or add up their field ``of``; the name ends in ``_total``."""
    return Metric(kind="counter", name=name, help=help, on=on, **row)


def histogram(name: str, help: str, on: AnySignal, *, of: str, buckets: Iterable[float], **row: Any) -> Metric:  # noqa: A002  # Prometheus's word
    """Sort the field ``of`` of each event into buckets; an unknown amount (None) is no sample."""
    return Metric(kind="histogram", name=name, help=help, on=on, of=of, buckets=tuple(buckets), **row)


def gauge(name: str, help: str, on: AnySignal, *, of: str, **row: Any) -> Metric:  # noqa: A002  # Prometheus's word
    """Show the field ``of`` of the last event."""
    return Metric(kind="gauge", name=name, help=help, on=on, of=of, **row)


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
    signals = {"on": span.started, "resumed": resumed, "closed": span.finished, "released": released}
    return Metric(kind="in_flight", name=name, help=help, **signals, **row)  # type: ignore[arg-type]  # all of them signals


def faults(row: Metric) -> Iterator[str]:
    """Say what is wrong with a row: its name, its labels, its amount, its signals."""
    yield from faults_of_name(row)
    hints = roles(row.on)
    if unknown := [name for name in (*row.by, *row.where, *([row.of] if row.of else [])) if name not in hints]:
        yield f"{row.on.name} has no field {unknown[0]!r}; it has {', '.join(hints)}"
        return
    yield from faults_of_labels(row, hints)
    yield from faults_of_where(row, hints)
    yield from faults_of_amount(row, hints)
    if row.across is not None and row.kind != "gauge":
        yield f"across is for gauges; over workers a {row.kind} is always a sum"
    for signal in row.signals[1:]:
        if missing := {*row.by, key_of(row.on)} - {*roles(signal)}:
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
    for name in row.by:
        if closed_values(hints[name]) is None and mark(hints[name], Open) is None:
            yield f"{name!r} of {row.on.name} is not a label"
    for name, whose in row.within.items():
        if name == whose or not {name, whose} <= {*row.by}:
            yield f"{name!r} can't be within {whose!r}: two fields, both of which stand in by"
        elif closed_values(hints[name]) is not None and row.zeroes:
            yield f"{name!r} is closed: within {whose!r} it takes zeroes=False, else all pairs would exist at once"
    if len({*row.within.values()} | {*row.within}) < 2 * len(row.within):
        yield "within takes pairs of labels that have none in common"
    if unknown := {*row.named} - {*row.by}:
        yield f"{unknown.pop()!r} is named and no field in by"
    if overlap := {*row.labels[: len(row.by)]} & {*row.constant}:
        yield f"label {overlap.pop()!r} is both a field and constant"


def faults_of_where(row: Metric, hints: Mapping[str, Any]) -> Iterator[str]:
    """Hold the values that fields must have against what they can be."""
    for name, value in row.where.items():
        if (values := closed_values(hints[name])) is None:
            yield f"{name!r} of {row.on.name} can't be in where: its values are not known beforehand"
        elif text_of(value) not in values:
            yield f"{name!r} of {row.on.name} is never {value!r}; it is one of {', '.join(values)}"


def faults_of_amount(row: Metric, hints: Mapping[str, Any]) -> Iterator[str]:
    """Hold the amount's unit against the name, and the buckets against each other."""
    if (
        row.of
        and (unit := mark(hints[row.of], Unit))
        and not {unit.name, unit.name.removesuffix("s")} & {*row.name.split("_")}
    ):
        yield f"{row.of!r} of {row.on.name} is in {unit.name}, the name should say so"
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
        if mark(hint, Pairing):
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
