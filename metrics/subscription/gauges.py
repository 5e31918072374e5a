"""Gauges that show a field of the last event."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from events.bus.amount_limits import drop_reason

from ..rows import Metric
from .dropped_values import report_dropped_value, value_range
from .expiry import remove_series
from .series import FamilySeries


def gauge_setter(row: Metric, family: FamilySeries, label_values: list[str]) -> Callable[[Any], None]:
    """Return a function that sets a gauge to a field of the event it is called with.

    A field of None is unknown: a gauge with labels has no series then, but one that expires keeps what it was last set
    to until then. A value outside of the row's range leaves the gauge as it was.
    """
    read_value, labels = attrgetter(str(row.value)), (*label_values, *row.const_labels.values())
    minimum, limit = value_range(row)

    def set_gauge(event: Any) -> None:
        value = read_value(event)
        if value is None:
            if row.expires_after is None:
                remove_series(family.collector, labels)
        elif drop_reason(value, minimum, limit) is None:
            with family.expiry.setting(labels, row.expires_after):
                (family.collector.labels(*labels) if labels else family.collector).set(value)
        else:
            report_dropped_value(family.name, value, minimum, limit)

    return set_gauge
