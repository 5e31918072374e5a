"""Updates by prometheus_client's documented methods: of all that a plan has, or of what generated code leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from events.bus.amount_limits import drop_reason, exact_number

from .native_buckets import native_buckets
from .plan import AmountUpdate, UpdatePlan
from .set_fields import VALUE, SetFields

UpdateFn = Callable[..., None]
"""Takes an event; or the values of some fields, as a tuple or each as an argument."""


@dataclass(frozen=True, slots=True)
class SetArguments:
    """Which fields an update takes as its arguments, where no event is built.

    Attributes:
        set_fields: What computes others from those that are set.
        names: Which of those that are set it takes.
    """

    set_fields: SetFields
    names: tuple[str, ...]

    def computed(self, plan: UpdatePlan) -> dict[str, str]:
        """Return the expression of each field that a plan reads and that is not one of the arguments, by its name."""
        fields = dict.fromkeys([each.field for each in plan.amounts] + [each.field for each in plan.spans])
        return {field: self.set_fields.expression(field, VALUE) for field in fields if field not in self.names}


@dataclass(frozen=True, slots=True)
class Expected:
    """The amounts that are expected each time, of the type that they are declared as, to be checked all at once.

    Attributes:
        on_other: Called with the names of amounts that were None or of another type, though not among those below.
        alone: The names of amounts that may be so, and are checked each alone.
    """

    on_other: Callable[[Collection[str]], object]
    alone: frozenset[str] = frozenset()


def public_update(
    plan: UpdatePlan, field_names: Sequence[str] | None = None, arguments: SetArguments | None = None
) -> UpdateFn:
    """Return a function that calls prometheus_client's documented methods."""

    def update(*values: Any) -> None:
        read = field_reader(values, field_names, arguments)
        amounts = read_amounts(plan, read)
        if plan.count_other is not None:
            plan.count_other()
        for counter in plan.counters:
            call(plan, counter.metric, counter.child.inc)
        for timestamp in plan.timestamps:
            call(plan, timestamp.metric, timestamp.child.set_to_current_time)
        update_amounts(plan, plan.amounts, amounts)
        report_dropped(plan, amounts)
        for span in plan.spans:
            try:
                span.change(read(span.field))
            except Exception as error:
                plan.on_failure(span.metric, error)

    return update


def read_amounts(plan: UpdatePlan, read: Callable[[str], Any]) -> dict[str, Any]:
    """Return every amount by its field; one that cannot be computed is None, and reported for each of its metrics."""
    amounts: dict[str, Any] = dict.fromkeys(each.field for each in plan.amounts)
    for field in amounts:
        try:
            amounts[field] = exact_number(read(field))
        except Exception as error:
            for each in plan.amounts:
                if each.field == field:
                    plan.on_failure(each.metric, error)
    return amounts


def update_amounts(plan: UpdatePlan, updates: Sequence[AmountUpdate], amounts: Mapping[str, Any]) -> None:
    """Add or observe those amounts that are valid, by prometheus_client's methods."""
    for each in updates:
        amount = amounts[each.field]
        if amount is not None and drop_reason(amount, each.minimum, each.limit) is None:
            call(plan, each.metric, getattr(each.child, "observe", None) or each.child.inc, amount)
            if each.native is not None:
                call(plan, each.metric, native_buckets(each.child, each.native, each.limit).add, amount)


def report_dropped(plan: UpdatePlan, amounts: Mapping[str, Any]) -> None:
    """Call the plan's ``on_dropped`` for each amount that is not valid."""
    for each in plan.amounts:
        amount = amounts[each.field]
        if amount is not None and drop_reason(amount, each.minimum, each.limit):
            plan.on_dropped(each, amount)


def call(plan: UpdatePlan, metric: str, method: Callable[..., object], *amount: Any) -> None:
    """Call a method of a child; a failure is reported, so that one metric does not starve the others."""
    try:
        method(*map(float, amount))
    except Exception as error:
        plan.on_failure(metric, error)


def field_reader(
    values: tuple[Any, ...], field_names: Sequence[str] | None, arguments: SetArguments | None
) -> Callable[[str], Any]:
    """Return what reads a field by its name, of what an update is called with.

    Raises:
        ValueError: there are more values than fields, or fewer.
    """
    if arguments is not None:
        set_fields, fields = arguments.set_fields, dict(zip(arguments.names, values, strict=True))
        return lambda name: set_fields.reader(name)(fields)
    (event,) = values
    if field_names is None:
        return partial(getattr, event)
    return dict(zip(field_names, event, strict=True)).__getitem__
