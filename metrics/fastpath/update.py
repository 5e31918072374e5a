"""Moves what stands inside prometheus_client's counters, histograms and gauges: all that one event moves, at once.

``inc`` and ``observe`` take a lock for each number, ask whether the child may be moved at all, whether the amount is
fit and whether there is an exemplar, and ``observe`` tries one bucket after another: most of what they cost. Here one
lock stands for all that is moved, and what was looked at before is not asked again. `fast_update_works` tries that on
the version at hand; where it does something else, the public way is taken.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.values import MutexValue

from .children import values_of
from .codegen import written_out
from .lock import LOCK
from .self_test import self_test

Mover = Callable[..., None]
"""Takes an event; or, where fields were named, the values of those."""

Refuse = Callable[[Any, float, float, str], None]


class SharedCell:
    """A number that is kept twice: here, and in its place of some cells that others read."""

    __slots__ = ("_at", "_cells", "_value")


class Take(NamedTuple):
    """What adds an event's field to a counter or a histogram, if it is at least ``least`` and less than ``limit``."""

    child: Any
    field: str
    least: float
    limit: float
    name: str


class Moved(NamedTuple):
    """What an event moves: counters that go up by one, gauges that are set to the time, and amounts."""

    ticks: Sequence[tuple[Any, str]]
    stamps: Sequence[tuple[Any, str]]
    takes: Sequence[Take]
    refuse: Refuse
    """Called with an amount that is no number or not within its limits: these, and the name of the metric."""
    failed: Callable[[str, Exception], None]
    """Called with the name of a metric that could not be moved."""


def mover(moved: Moved, named: Sequence[str] | None = None) -> Mover:
    """Give what moves everything by an event, or by the values of its fields that are named."""
    children = [*(child for child, _ in (*moved.ticks, *moved.stamps)), *(take.child for take in moved.takes)]
    numbers = [number for child in children for number in values_of(child)]
    kinds = {type(number) for number in numbers}
    # What is made of a class of theirs may do more.
    mirrored = bool(kinds) and all(SharedCell in kind.__bases__ for kind in kinds)
    if not fast_update_works() or not (mirrored or kinds <= {MutexValue}):
        return public(moved, named)
    for number in numbers:
        number._lock = LOCK
    return short(moved, named, mirrored=mirrored)


def short(moved: Moved, named: Sequence[str] | None = None, *, mirrored: bool = False) -> Mover:
    """Go around what prometheus_client asks."""
    ticks, stamps = ([child._value for child, _ in each] for each in (moved.ticks, moved.stamps))
    amounts = [(take.field, isinstance(take.child, Histogram)) for take in moved.takes]
    told = None if named is None else tuple(named)
    make = written_out(len(ticks), len(stamps), tuple(amounts), told, mirrored=mirrored)
    return make(
        by_values(lambda event: refuse_odd(event, moved), named), *ticks, *stamps, *chain(*map(parts_of, moved.takes))
    )


def by_values(move: Mover, named: Sequence[str] | None) -> Mover:
    """Make what takes an event take the values of the fields that are named, if any are."""
    if named is None:
        return move
    return lambda values: move(SimpleNamespace(**dict(zip(named, values, strict=True))))


def parts_of(take: Take) -> tuple[Any, ...]:
    """Give what `written_out` names for an amount."""
    if isinstance(take.child, Histogram):
        return take.least, take.limit, take.child._sum, take.child._upper_bounds, take.child._buckets
    return take.least, take.limit, take.child._value


def refuse_odd(event: Any, moved: Moved) -> None:
    """Hand on what is no number or not within its limits."""
    for take in moved.takes:
        amount = getattr(event, take.field)
        if amount is not None and not is_fit(amount, take):
            moved.refuse(amount, take.least, take.limit, take.name)


def is_fit(amount: Any, take: Take) -> bool:
    """Tell whether an amount is a number within its limits."""
    return isinstance(amount, (int, float)) and take.least <= amount < take.limit


def public(moved: Moved, named: Sequence[str] | None = None) -> Mover:
    """Take the ways that prometheus_client documents."""

    def move(event: Any) -> None:
        for child, name in moved.ticks:
            attempt(name, child.inc)
        for child, name in moved.stamps:
            attempt(name, child.set_to_current_time)
        for take in moved.takes:
            if is_fit(amount := getattr(event, take.field), take):
                attempt(take.name, getattr(take.child, "observe", None) or take.child.inc, amount)
        refuse_odd(event, moved)

    def attempt(name: str, way: Callable[..., object], *amount: float) -> None:
        try:
            way(*amount)
        except Exception as error:
            moved.failed(name, error)

    return by_values(move, named)


class _Tried(NamedTuple):
    amount: float


def _samples(way: Callable[[Moved], Mover]) -> list[tuple[object, ...]]:
    """Move every kind, with labels and without, and tell what it shows."""
    tick, stamp, bare = (kind("bare", "h", registry=None) for kind in (Counter, Gauge, Histogram))
    ladder = Histogram("ladder", "h", ["label"], registry=None, buckets=(0, 0.5, 1))
    counter = Counter("counter", "h", ["label"], registry=None)
    children = [bare, *(each.labels(label) for each in (ladder, counter) for label in "ab")]
    takes = [Take(child, "amount", 0, 10, "") for child in children]
    move = way(Moved([(tick, "")], [(stamp, "")], takes, _ignore, _ignore))
    for amount in (0, 0.25, 0.5, 0.75, 1.0, 2.0, 99):
        move(_Tried(amount))
    shown = [*tick.collect(), *bare.collect(), *ladder.collect(), *counter.collect()]
    samples = [sample for family in shown for sample in family.samples if not sample.name.endswith("_created")]
    stamped = [sample.value > 0 for family in stamp.collect() for sample in family.samples]
    return [*((sample.name, sample.labels, sample.value) for sample in samples), (stamped,)]


def _ignore(*_: object) -> None: ...


def _differences() -> Iterator[str]:
    if _samples(short) != _samples(public):
        yield "samples"


fast_update_works = self_test(_differences, otherwise="events are counted the slow way, by its public methods")
"""Whether fast updates lead to the same samples as the methods of the prometheus_client at hand."""
