"""The plan of an update: everything in prometheus_client that one kind of event, with its labels, changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .children import label_values_of
from .native_buckets import NativeFamily


@dataclass(frozen=True, slots=True)
class ChildUpdate:
    """A counter's child to increment by one, or a gauge's child to set to the current time."""

    metric: str
    child: Any


@dataclass(frozen=True, slots=True)
class AmountUpdate:
    """A child that takes a field of the event: a counter adds it, a histogram observes it.

    The amount has to be ``minimum <= amount < limit``, see `events.bus.amount_limits.drop_reason`; None is left out.
    Both are finite, and of the type that the field is declared as: ``int``, or ``float``.
    """

    metric: str
    child: Any
    field: str
    minimum: float
    limit: float
    native: NativeFamily | None = None
    """How the exponential buckets of a histogram are made that has them."""


@dataclass(frozen=True, slots=True)
class SpanUpdate:
    """A span that is opened or closed in an in-flight table: what is called with its key, which a field has."""

    metric: str
    change: Callable[[Any], object]
    field: str


@dataclass(frozen=True, slots=True)
class EventUpdate:
    """A function that needs the whole event, or all fields that are set: it sets a gauge to a field."""

    metric: str
    update: Callable[[Any], object]
    field: str
    keeps: bool
    """Whether the gauge keeps what it was set to where the field is None."""


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Everything that one event updates; ``print`` shows it, a line for each time series."""

    counters: tuple[ChildUpdate, ...] = ()
    timestamps: tuple[ChildUpdate, ...] = ()
    amounts: tuple[AmountUpdate, ...] = ()
    gauges: tuple[EventUpdate, ...] = ()
    spans: tuple[SpanUpdate, ...] = ()
    on_dropped: Callable[[AmountUpdate, Any], object] = field(kw_only=True, repr=False, compare=False)
    """Called with an amount that has to be left out."""
    on_failure: Callable[[str, Exception], object] = field(kw_only=True, repr=False, compare=False)
    """Called with the name of a metric that could not be updated, and why."""
    count_other: Callable[[], object] | None = field(default=None, kw_only=True, repr=False, compare=False)
    """Called at each update of a plan in which labels are past a limit, to count the samples; None if none is."""

    def __str__(self) -> str:
        """Return the plan as a table."""
        return "\n".join(
            [
                *(f"{series(each)} += 1" for each in self.counters),
                *(f"{series(each)} = now" for each in self.timestamps),
                *(f"{series(each)} takes {each.field}, {each.minimum} to {each.limit}" for each in self.amounts),
                *(f"{each.metric} is set" for each in self.gauges),
                *(f"{each.metric} counts open spans" for each in self.spans),
            ]
        )


def series(update: ChildUpdate | AmountUpdate) -> str:
    """Return a metric's name with the label values of the child."""
    return update.metric + braces(label_values_of(update.child))


def braces(label_values: Iterable[str]) -> str:
    """Return label values in braces, or nothing if there are none."""
    return f"{{{', '.join(label_values)}}}" if label_values else ""
