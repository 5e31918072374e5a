"""Generated code that updates everything that one event changes: written and compiled once for each shape of update."""

from __future__ import annotations

import linecache
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from itertools import count, takewhile
from time import time
from typing import Any

from .lock import LOCK, release_if_held


@cache
def generate_update_function(
    counters: int,
    timestamps: int,
    amounts: tuple[tuple[str, bool], ...],
    field_names: tuple[str, ...] | None = None,
    *,
    shared_cells: bool = False,
    native: frozenset[int] = frozenset(),
    joined: frozenset[int] = frozenset(),
    computed: tuple[tuple[str, str], ...] = (),
    constants: tuple[str, ...] = (),
) -> Callable[..., Callable[[Any], None]]:
    """Return ``make_update``, whose keyword arguments are value objects, and which returns the update function.

    Code without loops: looping over the values takes half as long again. The source of each shape is registered with
    `linecache`, so tracebacks and debuggers show its lines.

    Args:
        counters: How many counters are incremented by one.
        timestamps: How many gauges are set to the current time.
        amounts: For each amount the name of its field, and whether it goes into a histogram.
        field_names: None for an update function that takes the event; else it takes a tuple of the values of these.
        shared_cells: The value objects are of class `SharedCell`, else they are prometheus_client's ``MutexValue``.
        native: Which of the amounts go into exponential buckets too.
        joined: Which are of the same field as the one before, within the same limits, so that they need no check.
        computed: By the names of fields that are not among ``field_names``, expressions that compute them from those.
        constants: The names of further arguments, which these expressions have in them.
    """
    shape: dict[str, Any] = {"shared_cells": shared_cells, "native": native, "joined": joined, "computed": computed}
    file_name = shape_name(counters, timestamps, amounts, field_names, **shape)
    lines = update_source(counters, timestamps, amounts, field_names, **shape, constants=constants)
    source = "".join(f"{line}\n" for line in lines)
    linecache.cache[file_name] = len(source), None, source.splitlines(keepends=True), file_name
    scope: dict[str, Any] = {
        "time": time,
        "bisect_left": bisect_left,
        "acquire": LOCK.acquire,
        "release": LOCK.release,
        "release_if_held": release_if_held,
    }
    exec(compile(source, file_name, "exec"), scope)  # noqa: S102  # made of names of fields and numbers alone
    return scope["make_update"]  # type: ignore[no-any-return]  # the function above


def shape_name(
    counters: int,
    timestamps: int,
    amounts: tuple[tuple[str, bool], ...],
    field_names: tuple[str, ...] | None,
    *,
    shared_cells: bool,
    native: frozenset[int] = frozenset(),
    joined: frozenset[int] = frozenset(),
    computed: tuple[tuple[str, str], ...] = (),
) -> str:
    """Return the file name that stands for a shape in tracebacks, another one for each."""
    numbers = [(counters, "counter"), (timestamps, "timestamp")]
    parts = [f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in numbers]
    kinds = ["native" if i in native else ("counter", "histogram")[each[1]] for i, each in enumerate(amounts)]
    parts += [
        f"{'joined ' if i in joined else ''}{field}:{kind}"
        for i, ((field, _), kind) in enumerate(zip(amounts, kinds, strict=True))
    ]
    parts += [f"by values of ({', '.join(field_names)})"] if field_names is not None else []
    parts += [f"{name} is {expression}" for name, expression in computed]
    parts += ["in shared cells"] if shared_cells else []
    return f"<{__name__.partition('.fastpath')[0]} update {', '.join(parts)}>"


def update_source(
    counters: int,
    timestamps: int,
    amounts: tuple[tuple[str, bool], ...],
    field_names: tuple[str, ...] | None,
    *,
    shared_cells: bool,
    native: frozenset[int] = frozenset(),
    joined: frozenset[int] = frozenset(),
    computed: tuple[tuple[str, str], ...] = (),
    constants: tuple[str, ...] = (),
) -> list[str]:
    """Return the lines of the source of ``make_update``; tests/metrics/fastpath/golden shows some of them.

    The lock is acquired inside of ``try``: what a signal's handler raises may come as soon as ``acquire`` returns, or
    while it waits. ``with`` takes twice as long. Amounts that are not of the exact types int and float, or not within
    their limits, are left to ``update_unusual``, so one rule holds for all: `events.bus.amount_limits.drop_reason`.
    Integers have limits of their own, and are observed as floats: to compare one with a float, or to add it to one,
    takes twice as long. So do comparisons that are chained.
    """
    assign = "{0}._value = {0}._cells[{0}._at] = " if shared_cells else "{0}._value = "
    add = assign + "{0}._value + {1}"
    parameters = [f"counter{i}" for i in range(counters)] + [f"timestamp{i}" for i in range(timestamps)]
    updates = [add.format(name, "1.0") for name in parameters[:counters]]
    updates += [assign.format(name) + "now" for name in parameters[counters:]]
    expressions = dict(computed) if field_names is None else {**named_values(field_names), **dict(computed)}
    value = number = "amount"  # the names of what is checked, and of what is added
    for i, (field, is_histogram) in enumerate(amounts):
        parameters += [f"sum{i}"]
        additions = []
        if i not in joined:
            value = expression if (expression := expressions.get(field, "")).isidentifier() else "amount"
            alike = [i, *takewhile(joined.__contains__, count(i + 1))]
            number = "amount" if any(amounts[each][1] for each in alike) else value
            additions += [f"amount = {value} + 0.0"] if any(amounts[each][1] for each in alike) else []
        additions += [add.format(f"sum{i}", number)]
        if i in native:
            parameters += [f"native{i}"]
            additions += [f"bucket, exponential, total = native{i}[bisect_left(native{i}.bounds, amount)]"]
            additions += [add.format("bucket", "1.0"), add.format("exponential", "1.0")]
            additions += [add.format("total", "amount")]
        elif is_histogram:
            parameters += [f"bounds{i}", f"buckets{i}"]
            additions += [f"bucket = buckets{i}[bisect_left(bounds{i}, amount)]", add.format("bucket", "1.0")]
        if i in joined:
            updates[-2:-2] = [f"        {line}" for line in additions]
            continue
        parameters += [f"minimum{i}", f"limit{i}", f"floor{i}", f"top{i}"]
        updates += [f"amount = {expressions.get(field, f'event.{field}')}"] if value == "amount" else []
        updates += [
            f"if {value} is not None:",
            f"    if {value} >= minimum{i} and {value} < limit{i} if type({value}) is float"
            f" else type({value}) is int and {value} >= floor{i} and {value} < top{i}:",
            *(f"        {line}" for line in additions),
            "    else:",
            "        unusual = True",
        ]
    argument, unpacking = "event", []
    if field_names is not None:
        argument, unpacking = "values", [f"[{', '.join(named_values(field_names).values())}] = values"]
    return [
        f"def make_update({', '.join(['update_unusual', *parameters, *constants])}):",
        f"    def update({argument}):",
        *(f"        {line}" for line in unpacking),
        "        unusual = False",
        "        now = time()",
        "        try:",
        "            acquire()",
        *(f"            {line}" for line in updates or ["pass"]),
        "        except BaseException:",
        "            release_if_held()",
        "            raise",
        "        release()",
        "        if unusual:",
        f"            update_unusual({argument})",
        "    return update",
    ]


def named_values(field_names: tuple[str, ...]) -> dict[str, str]:
    """Return the name of each field's value in the code of an update that takes the values of these fields."""
    return {field: f"value{place}" for place, field in enumerate(field_names)}
