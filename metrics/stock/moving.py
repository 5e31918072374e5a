"""Moves what stands inside prometheus_client's counters, histograms and gauges: all that one event moves, at once.

``inc`` and ``observe`` take a lock for each number, ask whether the child may be moved at all, whether the amount is
fit and whether there is an exemplar, and ``observe`` tries one bucket after another: most of what they cost. Here one
lock stands for all that is moved, and what was looked at before is not asked again. `trusted` tries that on the version
at hand; where it does something else, the public way is taken.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

import logging
import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from threading import RLock
from time import time
from types import SimpleNamespace
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.values import MutexValue

from .children import numbers_of

log = logging.getLogger("metrics")

Mover = Callable[..., None]
"""Takes an event; or, where fields were named, the values of those."""

Refuse = Callable[[Any, float, float, str], None]

LOCK = RLock()
"""Held to move a number. Reentrant: the garbage collector may tell an event in the middle of another."""

if hasattr(os, "register_at_fork"):  # not on Windows
    # Whoever held it is not there any more. To hold it across the fork, beside other locks, might wait for ever.
    os.register_at_fork(after_in_child=LOCK._at_fork_reinit)  # type: ignore[attr-defined]  # as threading does itself


class Mirrored:
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
    numbers = [number for child in children for number in numbers_of(child)]
    kinds = {type(number) for number in numbers}
    # What is made of a class of theirs may do more.
    mirrored = bool(kinds) and all(Mirrored in kind.__bases__ for kind in kinds)
    if not trusted() or not (mirrored or kinds <= {MutexValue}):
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


@cache
def written_out(
    ticks: int, stamps: int, amounts: tuple[tuple[str, bool], ...], named: tuple[str, ...] | None, *, mirrored: bool
) -> Callable[..., Mover]:
    """Write the code that moves so many counters of events, times and amounts, and compile it.

    Looping over them instead takes half as long again. Amounts come with the name of their field and with whether they
    go into a histogram. For ``1, 1, (("duration", True),), None`` it is this function; where fields are named, ``move``
    takes their values instead::

        def make(refuse, tick0, stamp0, least0, limit0, total0, bounds0, buckets0):
            def move(event):
                odd = False
                now = time()
                try:
                    acquire()
                    tick0._value = tick0._value + 1.0
                    stamp0._value = now
                    amount = event.duration
                    if amount is not None:
                        try:
                            if least0 <= amount < limit0:
                                total0._value = total0._value + amount
                                bucket = buckets0[bisect_left(bounds0, amount)]
                                bucket._value = bucket._value + 1.0
                            else:
                                odd = True
                        except Exception:
                            odd = True
                except BaseException:
                    let_go()
                    raise
                release()
                if odd:
                    refuse(event)
            return move

    The lock is taken inside of ``try``: what a signal's handler raises may come as soon as ``acquire`` returns, or
    while it waits. ``with`` takes twice as long.
    """
    place = "{0}._value = {0}._cells[{0}._at] = " if mirrored else "{0}._value = "
    add = place + "{0}._value + {1}"
    names = [*(f"tick{each}" for each in range(ticks)), *(f"stamp{each}" for each in range(stamps))]
    told = (
        {field: f"event.{field}" for field, _ in amounts}
        if named is None
        else {field: f"told{each}" for each, field in enumerate(named)}
    )
    lines = [add.format(name, "1.0") for name in names[:ticks]]
    lines += [place.format(name) + "now" for name in names[ticks:]]
    for each, (field, is_histogram) in enumerate(amounts):
        names += [f"least{each}", f"limit{each}", f"total{each}"]
        taking = [add.format(f"total{each}", "amount")]
        if is_histogram:
            names += [f"bounds{each}", f"buckets{each}"]
            taking += [f"bucket = buckets{each}[bisect_left(bounds{each}, amount)]", add.format("bucket", "1.0")]
        lines += [
            f"amount = {told[field]}",
            "if amount is not None:",
            "    try:",
            f"        if least{each} <= amount < limit{each}:",
            *(f"            {line}" for line in taking),
            "        else:",
            "            odd = True",
            "    except Exception:",
            "        odd = True",
        ]
    source = [
        f"def make(refuse, {', '.join(names)}):",
        "    def move(event):",
        *([] if named is None else [f"        [{', '.join(told.values())}] = event"]),
        "        odd = False",
        "        now = time()",
        "        try:",
        "            acquire()",
        *(f"            {line}" for line in lines or ["pass"]),
        "        except BaseException:",
        "            let_go()",
        "            raise",
        "        release()",
        "        if odd:",
        "            refuse(event)",
        "    return move",
    ]
    lock = {"acquire": LOCK.acquire, "release": LOCK.release, "let_go": let_go}
    made: dict[str, Any] = {"time": time, "bisect_left": bisect_left, **lock}
    exec(compile("\n".join(source), "<moving>", "exec"), made)  # noqa: S102  # of names of fields and numbers alone
    return made["make"]  # type: ignore[no-any-return]  # the function above


def let_go() -> None:
    """Release the lock, if it was taken at all."""
    with suppress(RuntimeError):
        LOCK.release()


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


@cache
def trusted() -> bool:
    """See, once, whether both ways make the same samples."""
    try:
        same = _samples(short) == _samples(public)
    except Exception:
        same = False
    if not same:
        log.warning("prometheus_client is not as it was: events are counted the slow way")
    return same


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
