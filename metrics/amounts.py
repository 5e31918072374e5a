"""Which amounts reach a series: sensible ones; the others are told as dropped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from operator import attrgetter
from typing import Any

from prometheus_client import Gauge

from events import value_dropped
from events.fields import Unit

from .instruments import Metric, mark, roles

TOO_MUCH = 2.0**63  # an amount without a unit: past every counter and identifier

Move = Callable[[Any, Any], None]  # what a series takes (inc, set, observe, or the series itself), and the event


def amount(row: Metric, name: str) -> Move:
    """Take a field's value; None is no sample, and what is no sensible number is told as dropped."""
    of, field = attrgetter(str(row.of)), roles(row.on)[str(row.of)]
    unit = mark(field, Unit)
    gauge = row.kind == "gauge"
    least, most = -inf if gauge else 0, unit.most if unit else TOO_MUCH

    def move(take: Any, event: Any) -> None:
        value = of(event)
        if value is None:
            if gauge:
                take(None)
            return
        try:
            sensible = least <= value < most and value != -inf
        except TypeError:
            value_dropped.emit(metric=name, reason="not_a_number")
            return
        if sensible:
            take(value)
        elif -inf < value < least:
            value_dropped.emit(metric=name, reason="negative")
        else:  # a NaN or a negative amount would spoil a sum for ever, and so would 10 ** 30 tokens
            value_dropped.emit(metric=name, reason="too_large" if most <= value < inf else "not_finite")

    return move


def show(collector: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set a gauge, or take away the series that nobody knows a value of any more."""
    if value is not None:
        (collector.labels(*labels) if labels else collector).set(value)
    elif labels:
        with suppress(KeyError):  # there was none
            collector.remove(*labels)
