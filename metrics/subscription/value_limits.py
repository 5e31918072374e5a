"""Which amounts reach a series: sensible ones; the others are told as dropped."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from sys import float_info
from typing import Any

from prometheus_client import Gauge

from events import value_dropped
from events.bus.fields import Unit

from ..rows import Metric, mark, roles

LEAST = -float_info.max  # of a gauge
TOO_MUCH = 2.0**63  # an amount without a unit: past every counter and identifier


def limits(row: Metric) -> tuple[float, float]:
    """Say the least amount that a row takes, and the one from which it takes none."""
    unit = mark(roles(row.on)[str(row.of)], Unit)
    return LEAST if row.kind == "gauge" else 0.0, unit.most if unit else TOO_MUCH


def refuse(value: Any, least: float, limit: float, name: str) -> None:
    """Tell that an amount outside of the limits was left out: it would spoil a sum for ever, as a NaN does."""
    if not isinstance(value, (int, float)):
        value_dropped.emit(metric=name, reason="not_a_number")
    elif -inf < value < least:
        value_dropped.emit(metric=name, reason="negative")
    else:
        value_dropped.emit(metric=name, reason="too_large" if limit <= value < inf else "not_finite")


def show(collector: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set a gauge, or take away the series that nobody knows a value of any more."""
    if value is not None:
        (collector.labels(*labels) if labels else collector).set(value)
    elif labels:
        with suppress(KeyError):  # there was none
            collector.remove(*labels)
