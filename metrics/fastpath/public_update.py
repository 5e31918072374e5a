"""Updates by prometheus_client's documented methods: of all that a plan has, or of what generated code leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from events.bus.amount_limits import drop_reason

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
    """The amounts that are expected each time, to be checked all at once: those that are not optional.

    Attributes:
        on_none: Called with the names of amounts that were None and not among the optional ones.
        optional: The names of amounts that may be None.
    """

    on_none: Callable[[Collection[str]], object]
    optional: frozenset[str] = frozenset()


def public_update(
    plan: UpdatePlan, field_names: Sequence[str] | None = None, arguments: SetArguments | None = None
) -> UpdateFn:
    """Return a function that calls prometheus_client's documented methods."""

    def update(*values: Any) -> None:
        if plan.count_other is not None:
            plan.count_other()
        event = as_event(plan, values, field_names, arguments)
        for counter in plan.counters:
            call(plan, counter.metric, counter.child.inc)
        for timestamp in plan.timestamps:
            call(plan, timestamp.metric, timestamp.child.set_to_current_time)
        update_amounts(plan, event, plan.amounts)
        report_dropped(plan, event)
        for span in plan.spans:
            try:
                span.change(getattr(event, span.field))
            except Exception as error:
                plan.on_failure(span.metric, error)

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
    plan: UpdatePlan, values: tuple[Any, ...], field_names: Sequence[str] | None, arguments: SetArguments | None
) -> Any:
    """Return what has the fields that a plan reads as attributes, by what an update takes."""
    if arguments is not None:
        fields = dict(zip(arguments.names, values, strict=True))
        computed = {name: arguments.set_fields.reader(name)(fields) for name in arguments.computed(plan)}
        return SimpleNamespace(**fields, **computed)
    (event,) = values
    return event if field_names is None else SimpleNamespace(**dict(zip(field_names, event, strict=True)))
