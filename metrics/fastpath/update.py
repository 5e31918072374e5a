"""Fast updates of the values inside prometheus_client's counters, histograms and gauges: all of one event's at once.

``inc`` and ``observe`` take a lock for each value, check whether the child may be updated at all, whether the amount is
valid and whether there is an exemplar, and ``observe`` tries one bucket after another: most of what they cost. Here one
lock is held for all values, and what was checked when the plan was made is not checked again. `fast_update_works` is
the self-test; where it fails, prometheus_client's public methods are called.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil, isfinite
from types import SimpleNamespace
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.values import MutexValue

from events.bus.amount_limits import drop_reason

from .children import values_of
from .codegen import generate_update_function
from .lock import LOCK
from .native_buckets import native_buckets
from .plan import AmountUpdate, ChildUpdate, UpdatePlan
from .self_test import self_test
from .set_fields import SetFields

UpdateFn = Callable[..., None]
"""Takes an event; or, if field names were passed, a tuple of the values of those fields."""


class SharedCell:
    """A value that is held twice: in the object, and at its index of an array of doubles that other processes read."""

    __slots__ = ("_at", "_cells", "_value")


def update_function(
    plan: UpdatePlan, field_names: Sequence[str] | None = None, set_fields: SetFields | None = None
) -> UpdateFn:
    """Return a function that updates a plan's counters, timestamps and amounts; gauges and spans are the caller's.

    It takes an event, or the values of the fields that are named; where these are those of ``set_fields``, amounts may
    be computed from them.
    """
    children = [each.child for each in (*plan.counters, *plan.timestamps)] + [each.child for each in plan.amounts]
    values = [value for child in children for value in values_of(child)]
    types = {type(value) for value in values}
    # The exact types alone: a subclass of theirs may do more.
    shared = bool(types) and all(SharedCell in each.__bases__ for each in types)
    if not fast_update_works() or not (shared or types <= {MutexValue}):
        return public_update(plan, field_names, set_fields)
    for value in values:
        value._lock = LOCK
    return fast_update(plan, field_names, set_fields, shared_cells=shared)


def fast_update(
    plan: UpdatePlan,
    field_names: Sequence[str] | None = None,
    set_fields: SetFields | None = None,
    *,
    shared_cells: bool = False,
) -> UpdateFn:
    """Return generated code that writes to the children's values directly."""
    amounts = sorted(plan.amounts, key=checked_by)  # so that those which are checked alike are checked once
    computed = computed_fields(plan, set_fields)
    constants = {} if set_fields is None else set_fields.constants(computed)
    make_update = generate_update_function(
        len(plan.counters),
        len(plan.timestamps),
        tuple((each.field, isinstance(each.child, Histogram)) for each in amounts),
        None if field_names is None else tuple(field_names),
        shared_cells=shared_cells,
        native=frozenset(i for i, each in enumerate(amounts) if each.native is not None),
        joined=frozenset(i for i, each in enumerate(amounts) if i and checked_by(each) == checked_by(amounts[i - 1])),
        computed=tuple(computed.items()),
        constants=tuple(constants),
    )

    def update_unusual(event: Any) -> None:
        if field_names is not None:
            event = as_event(plan, event, field_names, set_fields)
        # Those of these exact types are added already, if they are valid.
        others = [each for each in plan.amounts if type(getattr(event, each.field)) not in (float, int)]
        update_amounts(plan, event, others)
        report_dropped(plan, event)

    return make_update(update_unusual=update_unusual, **update_arguments(plan, amounts), **constants)


def computed_fields(plan: UpdatePlan, set_fields: SetFields | None) -> dict[str, str]:
    """Return the expression of each field of a plan's amounts that is not one of those that are set, by its name."""
    if set_fields is None:
        return {}
    fields = {each.field: None for each in plan.amounts if not set_fields.is_set(each.field)}
    return {field: set_fields.expression(field, "value{}") for field in fields}


def checked_by(amount: AmountUpdate) -> tuple[str, float, float]:
    """Return what decides whether an amount may be added: its field and its limits."""
    return amount.field, amount.minimum, amount.limit


def update_arguments(plan: UpdatePlan, amounts: Sequence[AmountUpdate]) -> dict[str, Any]:
    """Return the arguments of ``make_update``, by the names that `update_source` uses."""
    arguments = {f"counter{i}": each.child._value for i, each in enumerate(plan.counters)}
    arguments |= {f"timestamp{i}": each.child._value for i, each in enumerate(plan.timestamps)}
    for i, each in enumerate(amounts):
        if i == 0 or checked_by(each) != checked_by(amounts[i - 1]):
            arguments |= {f"minimum{i}": each.minimum, f"limit{i}": each.limit}
            arguments |= {f"floor{i}": int_at(each.minimum), f"top{i}": int_at(each.limit)}
        if each.native is not None:
            arguments[f"sum{i}"] = each.child._sum
            arguments[f"native{i}"] = native_buckets(each.child, each.native, each.limit)
        elif isinstance(each.child, Histogram):
            arguments[f"sum{i}"] = each.child._sum
            arguments |= {f"bounds{i}": each.child._upper_bounds, f"buckets{i}": each.child._buckets}
        else:
            arguments[f"sum{i}"] = each.child._value
    return arguments


def int_at(bound: float) -> float:
    """Return the integer that an integer compares with as with a bound, but faster; infinity itself."""
    return ceil(bound) if isfinite(bound) else bound


def public_update(
    plan: UpdatePlan, field_names: Sequence[str] | None = None, set_fields: SetFields | None = None
) -> UpdateFn:
    """Return a function that calls prometheus_client's documented methods."""

    def update(event: Any) -> None:
        if field_names is not None:
            event = as_event(plan, event, field_names, set_fields)
        for each in plan.counters:
            call(plan, each.metric, each.child.inc)
        for each in plan.timestamps:
            call(plan, each.metric, each.child.set_to_current_time)
        update_amounts(plan, event, plan.amounts)
        report_dropped(plan, event)

    return update


def update_amounts(plan: UpdatePlan, event: Any, amounts: Sequence[AmountUpdate]) -> None:
    """Add or observe those of the event's amounts that are valid, by prometheus_client's methods."""
    for each in amounts:
        amount = getattr(event, each.field)
        if amount is not None and drop_reason(amount, each.minimum, each.limit) is None:
            call(plan, each.metric, getattr(each.child, "observe", None) or each.child.inc, amount)
            if each.native is not None:
                call(plan, each.metric, native_buckets(each.child, each.native, each.limit).add, amount)


def report_dropped(plan: UpdatePlan, event: Any) -> None:
    """Call the plan's ``on_dropped`` for each of the event's amounts that is not valid."""
    for each in plan.amounts:
        amount = getattr(event, each.field)
        if amount is not None and drop_reason(amount, each.minimum, each.limit):
            plan.on_dropped(each, amount)


def call(plan: UpdatePlan, metric: str, method: Callable[..., object], *amount: Any) -> None:
    """Call a method of a child; a failure is reported, so that one metric does not starve the others."""
    try:
        method(*map(float, amount))
    except Exception as error:
        plan.on_failure(metric, error)


def as_event(
    plan: UpdatePlan, values: tuple[Any, ...], field_names: Sequence[str], set_fields: SetFields | None
) -> SimpleNamespace:
    """Return what has the fields of a plan's amounts as attributes, by the values of the fields that are named."""
    event = SimpleNamespace(**dict(zip(field_names, values, strict=True)))
    for field in computed_fields(plan, set_fields):
        setattr(event, field, set_fields.reader(field)(values))  # type: ignore[union-attr]  # else there are none
    return event


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
