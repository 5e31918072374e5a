"""Gauges that show a field of the last event."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from events import value_dropped
from events.bus.amount_limits import drop_reason, exact_number

from ..event_fields import label_text
from ..fastpath.set_fields import ReadField
from ..rows import Metric
from .dropped_values import report_dropped_value, value_range
from .expiry import remove_series
from .series import FamilySeries


def gauge_setter(
    row: Metric,
    family: FamilySeries,
    label_values: list[str],
    *,
    is_other: bool = False,
    reader: Callable[[str], ReadField] = attrgetter,
) -> Callable[[Any], None]:
    """Return a function that sets a gauge to a field of the event it is called with.

    A field of None is unknown: a gauge with labels has no series then, but one that expires keeps what it was last set
    to until then. A value outside of the row's range leaves the gauge as it was.

    ``is_other`` is for a series that stands for several things, which are past a label's limit: it shows their values
    combined, see `CombinedGauge`. ``reader`` returns what reads a field of the event, or of what stands for it.
    """
    read_value, labels = reader(str(row.value)), (*label_values, *row.const_labels.values())
    read_labels = [reader(name) for name in row.labels] if is_other else []
    minimum, limit = value_range(row)
    expires_after = row.expires_after

    def set_gauge(event: Any) -> None:
        value = exact_number(read_value(event))
        if value is None and expires_after is not None:
            return
        is_usual = type(value) is int and minimum <= value < limit  # as the rule says, without a call
        if not is_usual and value is not None and drop_reason(value, minimum, limit) is not None:
            report_dropped_value(family.name, value, minimum, limit)
            return
        if is_other:
            source = tuple(label_text(read(event)) for read in read_labels)
            if not family.combined.set(labels, source, value):
                value_dropped.emit(metric=family.name, reason="too_many")
            return
        if value is None:
            remove_series(family.collector, labels)
            return
        if expires_after is not None:
            family.expiry.set(family.collector, labels, value, expires_after)
        else:
            (family.collector.labels(*labels) if labels else family.collector).set(value)
        if not labels:
            family.show()

    return set_gauge
