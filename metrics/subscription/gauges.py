"""Gauges that show a field of the last event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any

from prometheus_client import Gauge

from events.bus.amount_limits import drop_reason

from ..rows import Metric
from .dropped_values import report_dropped_value, value_range
from .series import FamilySeries


def gauge_setter(row: Metric, family: FamilySeries, label_values: list[str]) -> Callable[[Any], None]:
    """Return a function that sets a gauge to a field of the event it is called with.

    A field of None is unknown: a gauge with labels has no series then. A value outside of the row's range leaves the
    gauge as it was.
    """
    read_value, labels = attrgetter(str(row.value)), (*label_values, *row.const_labels.values())
    minimum, limit = value_range(row)

    def set_gauge(event: Any) -> None:
        value = read_value(event)
        if value is None:
            remove_series(family.collector, labels)
        elif drop_reason(value, minimum, limit) is None:
            (family.collector.labels(*labels) if labels else family.collector).set(value)
        else:
            report_dropped_value(family.name, value, minimum, limit)

    return set_gauge


def remove_series(collector: Gauge, labels: tuple[str, ...]) -> None:
    """Remove a gauge's series, if it has labels and exists."""
    if labels:
        with suppress(KeyError):  # there was none
            collector.remove(*labels)
