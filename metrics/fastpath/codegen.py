"""Generated code that updates everything that one event changes: written and compiled once for each shape of update."""

from __future__ import annotations

import linecache
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from math import ceil
from time import time
from typing import Any

from .lock import LOCK, release_if_held
from .shape import AmountShape, UpdateShape

_FAST_INT = 2**30  # CPython compares integers below it without a call


@cache
def generate_update_function(shape: UpdateShape) -> Callable[..., Callable[..., None]]:
    """Return ``make_update``, whose keyword arguments are value objects, and which returns the update function.

    Code without loops: looping over the values takes half as long again.
    """
    lines = update_source(shape)
    scope = {
        "time": time,
        "bisect_left": bisect_left,
        "acquire": LOCK.acquire,
        "release": LOCK.release,
        "release_if_held": release_if_held,
    }
    made = compile_source(lines, f"<{__name__.partition('.fastpath')[0]} update {shape}>", scope)
    return made["make_update"]  # type: ignore[no-any-return]  # the function above


def compile_source(lines: Iterable[str], file_name: str, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return what generated code defines; it is registered with `linecache`, so tracebacks and debuggers show it."""
    source = "".join(f"{line}\n" for line in lines)
    linecache.cache[file_name] = len(source), None, source.splitlines(keepends=True), file_name
    defined = {**scope}
    exec(compile(source, file_name, "exec"), defined)  # noqa: S102  # made of names of fields and numbers alone
    return defined


def update_source(shape: UpdateShape) -> list[str]:
    """Return the lines of the source of ``make_update``; tests/metrics/fastpath/golden shows some of them.

    The lock is acquired inside of ``try``: what a signal's handler raises may come as soon as ``acquire`` returns, or
    while it waits. ``with`` takes twice as long.
    """
    counters = [f"counter{i}" for i in range(shape.counters)]
    timestamps = [f"timestamp{i}" for i in range(shape.timestamps)]
    spans = [f"span{i}" for i in range(len(shape.spans))]
    assign, add = assignment(shape), addition(shape)
    updates = [add.format(name, "1.0") for name in counters] + [assign.format(name) + "now" for name in timestamps]
    parameters: list[str] = []
    for leading, alike in shape.checked_alike():
        for i in alike:
            parameters += amount_parameters(i, shape.amounts[i])
        updates += amount_source(shape, leading, alike)
    amounts = ", ".join(map(shape.variable, shape.amount_fields()))
    alone = not all(each.is_together for each in shape.amounts)
    functions = [*(["count_other"] if shape.counts_other else []), "slow_path"]
    update = [
        *(["unusual = False"] if alone else []),
        *(["now = time()"] if timestamps else []),
        "try:",
        "    acquire()",
        *(f"    {line}" for line in updates),
        "except BaseException:",
        "    release_if_held()",
        "    raise",
        "release()",
        *(["if unusual:", f"    slow_path.update_unusual({amounts})"] if alone else []),
    ]
    condition = check_source(shape)
    if condition:
        update = [*condition, f"    slow_path.update_each({amounts})", "else:", *(f"    {line}" for line in update)]
    body = [*read_source(shape), *(["count_other()"] if shape.counts_other else []), *update]
    for i, field in enumerate(shape.spans):
        body += ["try:", f"    span{i}({shape.expression(field)})"]
        body += ["except Exception as error:", f"    slow_path.span_failed({i}, error)"]
    return [
        f"def make_update({', '.join([*functions, *counters, *timestamps, *parameters, *spans, *shape.constants])}):",
        f"    def update({shape.argument}):",
        *(f"        {line}" for line in body),
        "    return update",
    ]


def assignment(shape: UpdateShape) -> str:
    """Return what stands before the new number of a value."""
    return "{0}._value = {0}._cells[{0}._at] = " if shape.shared_cells else "{0}._value = "


def addition(shape: UpdateShape) -> str:
    """Return the line that adds a number to a value."""
    return assignment(shape) + "{0}._value + {1}"


def amount_parameters(i: int, amount: AmountShape) -> list[str]:
    """Return the names of the value objects of an amount, and of the bounds of its buckets."""
    return {"counter": [f"sum{i}"], "histogram": [f"sum{i}", f"bounds{i}", f"buckets{i}"]}.get(
        amount.kind, [f"sum{i}", f"native{i}"]
    )


def read_source(shape: UpdateShape) -> list[str]:
    """Return the lines that read every amount, once and before anything is counted: to compute one may fail."""
    values = shape.argument == "values"
    lines = [f"[{', '.join(map(shape.variable, shape.field_names or ()))}] = values"] if values else []
    fields = shape.amount_fields()
    expressions = {shape.variable(field): shape.expression(field) for field in fields}
    if reads := [f"    {name} = {expression}" for name, expression in expressions.items() if name != expression]:
        lines += ["try:", *reads, "except Exception:"]
        lines += [f"    [{', '.join(map(shape.variable, fields))}] = slow_path.read_each({shape.argument})"]
    return lines


def check_source(shape: UpdateShape) -> list[str]:
    """Return the lines before what is done if amounts which are checked together are valid; else each is checked alone.

    Nothing but the exact types is compared: what another one, such as a subclass of theirs, makes of that says nothing
    of the number that is counted for it. Comparisons stand last, and what follows them is short: the interpreter
    specialises none whose jump goes far, and none of larger integers, which `SlowPath.update_each` adds as well. Of
    times of which one is often another, such as that of an answer's first byte and that of all of it, each is compared
    with the first one before.
    """
    types, bounds = [], []
    first: AmountShape | None = None
    for each in shape.together():
        variable = shape.variable(each.field)
        is_number = f"type({variable}) is {each.number}"
        limit = min(each.limit, _FAST_INT) if each.number == "int" else each.limit
        is_within = f"{variable} >= {each.minimum!r} and {variable} < {limit!r}"
        if shape.argument == "values" and each.number == "float":
            if first is not None and (first.minimum, first.limit) == (each.minimum, each.limit):
                bounds.append(f"({variable} is {shape.variable(first.field)} or {is_number} and {is_within})")
                continue
            first = first or each
        types.append(is_number)
        bounds.append(is_within)
    if not types:
        return []
    start, *others = types + bounds
    return ["if not (", f"    {start}", *(f"    and {condition}" for condition in others), "):"]


def amount_source(shape: UpdateShape, leading: AmountShape, alike: list[int]) -> list[str]:
    """Return the lines that add an amount to all that it goes into, having checked it unless that is done.

    Amounts that are not of the exact types int and float, or not within their limits, go to ``slow_path``,
    so one rule holds for all: `events.bus.amount_limits.drop_reason`. Integers have limits of their own, and those of a
    field that is declared as ``int`` are observed as floats: to compare one with a float, or to add it to one, takes
    twice as long. So do comparisons that are chained.
    """
    add = addition(shape)
    is_observed = any(shape.amounts[i].kind != "counter" for i in alike)
    value = shape.variable(leading.field)
    is_converted = is_observed and leading.number == "int" and not (leading.is_together and len(alike) == 1)
    number = "amount" if is_converted else value
    searched = value if leading.is_together else number  # of integers, the bounds are too
    lines = [f"amount = {value} + 0.0"] if is_converted else []
    for i in alike:
        lines.append(add.format(f"sum{i}", number))
        if shape.amounts[i].kind == "native":
            lines += [
                "try:",
                f"    bucket, exponential, total = native{i}.places[bisect_left(native{i}.bounds, {number})]",
                "except KeyError:",
                f"    bucket, exponential, total = native{i}.find({number})",
            ]
            lines += [add.format("bucket", "1.0"), add.format("exponential", "1.0"), add.format("total", number)]
        elif shape.amounts[i].kind == "histogram":
            lines += [f"bucket = buckets{i}[bisect_left(bounds{i}, {searched})]", add.format("bucket", "1.0")]
    if leading.is_together:
        return lines
    return [
        f"if {value} is not None:",
        f"    if {alone_condition(leading, value)}:",
        *(f"        {line}" for line in lines),
        "    else:",
        "        unusual = True",
    ]


def alone_condition(amount: AmountShape, value: str) -> str:
    """Return the condition that an amount of an exact type is within its limits; the declared type is tried first."""
    within = {
        "float": f"{value} >= {float(amount.minimum)!r} and {value} < {float(amount.limit)!r}",
        "int": f"{value} >= {ceil(amount.minimum)} and {value} < {ceil(amount.limit)}",
    }
    other = "int" if amount.number == "float" else "float"
    return (
        f"{within[amount.number]} if type({value}) is {amount.number} else type({value}) is {other} and {within[other]}"
    )
