"""Which amounts reach a series: sensible ones; the others are told as dropped."""

from __future__ import annotations

from contextlib import suppress
from sys import float_info
from typing import Any

from prometheus_client import Gauge

from events import value_dropped
from events.bus.fields import Measure
from events.bus.numbers import MAX_AMOUNT, drop_reason

from ..rows import Metric, mark, roles

LEAST = -float_info.max  # of a gauge


def limits(row: Metric) -> tuple[float, float]:
    """Say the least amount that a row takes, and the one from which it takes none."""
    measure = mark(roles(row.signal)[str(row.value)], Measure)
    return LEAST if row.kind == "gauge" else 0.0, measure.max_amount if measure else MAX_AMOUNT


def refuse(value: Any, least: float, limit: float, name: str) -> None:
    """Tell that an amount outside of the limits was left out: it would spoil a sum for ever, as a NaN does."""
    if reason := drop_reason(value, least, limit):
        value_dropped.emit(metric=name, reason=reason)


def show(collector: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set a gauge, or take away the series that nobody knows a value of any more."""
    if value is not None:
        (collector.labels(*labels) if labels else collector).set(value)
    elif labels:
        with suppress(KeyError):  # there was none
            collector.remove(*labels)
