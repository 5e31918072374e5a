"""Fast updates of the values inside prometheus_client's counters, histograms and gauges: all of one event's at once.

``inc`` and ``observe`` take a lock for each value, check whether the child may be updated at all, whether the amount is
valid and whether there is an exemplar, and ``observe`` tries one bucket after another: most of what they cost. Here one
lock is held for all values, and what was checked when the plan was made is not checked again. `fast_update_works` is
the self-test; where it fails, prometheus_client's public methods are called.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.values import MutexValue

from events.bus.amount_limits import exact_number

from .children import values_of
from .codegen import generate_update_function
from .lock import LOCK
from .native_buckets import native_buckets
from .plan import AmountUpdate, ChildUpdate, UpdatePlan
from .public_update import (
    Expected,
    SetArguments,
    UpdateFn,
    field_reader,
    public_update,
    read_amounts,
    report_dropped,
    update_amounts,
)
from .self_test import self_test
from .shape import AmountShape, Number, UpdateShape

NUMBERS: dict[Number, type] = {"float": float, "int": int}


class SharedCell:
    """A value that is held twice: in the object, and at its index of an array of doubles that other processes read."""

    __slots__ = ("_at", "_cells", "_value")


def update_function(
    plan: UpdatePlan,
    field_names: Sequence[str] | None = None,
    arguments: SetArguments | None = None,
    expected: Expected | None = None,
) -> UpdateFn:
    """Return a function that updates what a plan has, but for gauges, which are the caller's to set.

    It takes an event, or a tuple of the values of the fields that are named, or some that are set as its arguments.
    Of an event no amount is expected.
    """
    children = [each.child for each in (*plan.counters, *plan.timestamps)] + [each.child for each in plan.amounts]
    values = [value for child in children for value in values_of(child)]
    types = {type(value) for value in values}
    # The exact types alone: a subclass of theirs may do more.
    shared = bool(types) and all(SharedCell in each.__bases__ for each in types)
    if not fast_update_works() or not (shared or types <= {MutexValue}):
        return public_update(plan, field_names, arguments)
    for value in values:
        value._lock = LOCK
    return fast_update(plan, field_names, arguments, expected, shared_cells=shared)


def fast_update(
    plan: UpdatePlan,
    field_names: Sequence[str] | None = None,
    arguments: SetArguments | None = None,
    expected: Expected | None = None,
    *,
    shared_cells: bool = False,
) -> UpdateFn:
    """Return generated code that writes to the children's values directly."""
    amounts = sorted(plan.amounts, key=checked_by)  # so that those which are checked alike are checked once
    names = field_names if arguments is None else arguments.names
    computed = {} if arguments is None else arguments.computed(plan)
    constants = {} if arguments is None else arguments.set_fields.constants(computed)
    together = frozenset[str]() if expected is None else checked_together(plan, expected)
    shape = UpdateShape(
        counters=len(plan.counters),
        timestamps=len(plan.timestamps),
        amounts=tuple(
            amount_shape(each, is_joined=bool(i) and checked_by(each) == checked_by(amounts[i - 1]), together=together)
            for i, each in enumerate(amounts)
        ),
        spans=tuple(each.field for each in plan.spans),
        field_names=None if names is None else tuple(names),
        is_unpacked=arguments is not None,
        counts_other=plan.count_other is not None,
        shared_cells=shared_cells,
        computed=tuple(computed.items()),
        constants=tuple(constants),
    )
    slow_path = SlowPath(plan, shape, arguments, expected)
    counts_other = {} if plan.count_other is None else {"count_other": plan.count_other}
    return generate_update_function(shape)(
        **counts_other, slow_path=slow_path, **update_arguments(plan, amounts, together), **constants
    )


class SlowPath:
    """The slow path of generated code: updates of amounts that are not as it expects, and reports of failures.

    Amounts are those of `UpdateShape.amount_fields`, as generated code has read them.
    """

    __slots__ = ("_alone", "_arguments", "_expected", "_plan", "_shape")

    def __init__(
        self, plan: UpdatePlan, shape: UpdateShape, arguments: SetArguments | None, expected: Expected | None
    ) -> None:
        self._plan = plan
        self._shape = shape
        self._arguments = arguments
        self._expected = expected
        self._alone: UpdateFn | None = None

    def read_each(self, *values: Any) -> list[Any]:
        """Return the amounts, by what the update is called with; one that cannot be computed is None, and reported."""
        read = field_reader(values, self._shape.field_names, self._arguments)
        amounts = read_amounts(self._plan, read)
        return [amounts[field] for field in self._shape.amount_fields()]

    def update_unusual(self, *values: Any) -> None:
        """Update those of the amounts that are numbers of other types than float and int; report what is not valid."""
        read = dict(zip(self._shape.amount_fields(), values, strict=True))
        amounts = {field: exact_number(amount) for field, amount in read.items()}
        # Those that are of these types have been added already, if they are valid.
        others = [each for each in self._plan.amounts if amounts[each.field] is not read[each.field]]
        update_amounts(self._plan, others, amounts)
        report_dropped(self._plan, amounts)

    def update_each(self, *values: Any) -> None:
        """Update all that the plan has but spans, by code that checks each amount alone."""
        fields = self._shape.amount_fields()
        if self._alone is None:
            plan = replace(self._plan, spans=(), count_other=None)
            self._alone = fast_update(plan, fields, shared_cells=self._shape.shared_cells)
        self._alone(values)
        if self._expected is not None:
            types = {each.field: NUMBERS[each.number] for each in self._shape.together()}
            amounts = dict(zip(fields, values, strict=True))
            if others := [field for field, number in types.items() if type(amounts[field]) is not number]:
                self._expected.on_other(others)

    def span_failed(self, place: int, error: Exception) -> None:
        """Report that a span could not be opened or closed."""
        self._plan.on_failure(self._plan.spans[place].metric, error)


def checked_together(plan: UpdatePlan, expected: Expected) -> frozenset[str]:
    """Return the names of the amounts that are expected each time, if there are several."""
    found = {each.field for each in plan.amounts if each.minimum >= 0} - expected.alone
    return frozenset(found) if len(found) > 1 else frozenset()


def amount_shape(amount: AmountUpdate, *, is_joined: bool, together: Collection[str]) -> AmountShape:
    """Return the shape of an amount."""
    kind: Any = "histogram" if isinstance(amount.child, Histogram) else "counter"
    return AmountShape(
        amount.field,
        kind if amount.native is None else "native",
        "int" if isinstance(amount.minimum, int) else "float",
        amount.minimum,
        amount.limit,
        is_joined=is_joined,
        is_together=amount.field in together,
    )


def checked_by(amount: AmountUpdate) -> tuple[str, float, float]:
    """Return what decides whether an amount may be added: its field and its limits."""
    return amount.field, amount.minimum, amount.limit


def update_arguments(plan: UpdatePlan, amounts: Sequence[AmountUpdate], together: Collection[str]) -> dict[str, Any]:
    """Return the arguments of ``make_update``, by the names that `update_source` uses."""
    arguments = {f"counter{i}": each.child._value for i, each in enumerate(plan.counters)}
    arguments |= {f"timestamp{i}": each.child._value for i, each in enumerate(plan.timestamps)}
    arguments |= {f"span{i}": each.change for i, each in enumerate(plan.spans)}
    for i, each in enumerate(amounts):
        if each.native is not None:
            arguments[f"sum{i}"] = each.child._sum
            arguments[f"native{i}"] = native_buckets(each.child, each.native, each.limit)
        elif isinstance(each.child, Histogram):
            arguments[f"sum{i}"] = each.child._sum
            are_integers = each.field in together and isinstance(each.minimum, int)
            bounds = each.child._upper_bounds
            arguments[f"bounds{i}"] = bounds_of_integers(tuple(bounds)) if are_integers else bounds
            arguments[f"buckets{i}"] = each.child._buckets
        else:
            arguments[f"sum{i}"] = each.child._value
    return arguments


@lru_cache(512)  # one for all children of a histogram
def bounds_of_integers(bounds: tuple[float, ...]) -> Sequence[float]:
    """Return the upper bounds of buckets, whole ones as integers: these compare with one in half of a float's time."""
    return [int(bound) if bound.is_integer() else bound for bound in bounds]


class _Tried(NamedTuple):
    amount: float


def _samples(make: Callable[[UpdatePlan], UpdateFn]) -> list[tuple[object, ...]]:
    """Update every kind, with labels and without, and return the samples that it shows."""
    counted, timestamp, bare = (kind("bare", "h", registry=None) for kind in (Counter, Gauge, Histogram))
    histogram = Histogram("histogram", "h", ["label"], registry=None, buckets=(0, 0.5, 1))
    counter = Counter("counter", "h", ["label"], registry=None)
    children = [bare, *(each.labels(label) for each in (histogram, counter) for label in "ab")]
    update = make(
        UpdatePlan(
            counters=(ChildUpdate("", counted),),
            timestamps=(ChildUpdate("", timestamp),),
            amounts=tuple(AmountUpdate("", child, "amount", 0, 10) for child in children),
            on_dropped=_ignore,
            on_failure=_ignore,
        )
    )
    for amount in (0, 0.25, 0.5, 0.75, 1.0, 2.0, 99):
        update(_Tried(amount))
    shown = [*counted.collect(), *bare.collect(), *histogram.collect(), *counter.collect()]
    samples = [sample for family in shown for sample in family.samples if not sample.name.endswith("_created")]
    is_set = [sample.value > 0 for family in timestamp.collect() for sample in family.samples]
    return [*((sample.name, sample.labels, sample.value) for sample in samples), (is_set,)]


def _ignore(*_: object) -> None: ...


def _differences() -> Iterator[str]:
    if _samples(fast_update) != _samples(public_update):
        yield "samples"


fast_update_works = self_test(_differences, otherwise="events are counted the slow way, by its public methods")
"""Whether fast updates lead to the same samples as the methods of the prometheus_client at hand."""
