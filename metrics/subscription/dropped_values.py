"""The limits of values: a NaN, or an amount that no event can mean, is left out and counted as dropped."""

from __future__ import annotations

from sys import float_info
from typing import Any

from events import value_dropped
from events.bus.amount_limits import MAX_AMOUNT, drop_reason
from events.bus.fields import Measure

from ..event_fields import field_types, find_annotation, is_integer
from ..rows import Metric

MIN_GAUGE_VALUE = -float_info.max


def value_range(row: Metric) -> tuple[float, float]:
    """Return the least value that a row takes, and the limit that its values stay below.

    Those of amounts that are declared as integers are such: to compare one with a float takes twice as long.
    """
    field_type = field_types(row.signal)[str(row.value)]
    measure = find_annotation(field_type, Measure)
    # Those of units without a limit too: of an integer that fits into no float nothing can be made.
    limit = min(measure.max_amount, float_info.max) if measure else MAX_AMOUNT
    if row.kind == "gauge":
        return MIN_GAUGE_VALUE, limit
    return (0, int(limit)) if is_integer(field_type) else (0.0, limit)


def report_dropped_value(metric: str, value: Any, minimum: float, limit: float) -> None:
    """Emit `value_dropped` for a value outside of its range: it would spoil a sum for good, as a NaN does."""
    if reason := drop_reason(value, minimum, limit):
        value_dropped.emit(metric=metric, reason=reason)
