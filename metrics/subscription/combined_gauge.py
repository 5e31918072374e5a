"""Gauges of several things under one series, ``other``: their sum, or the largest or least, as the row says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import fsum, inf
from threading import RLock
from time import monotonic

from prometheus_client import Gauge

from events.bus.after_fork import clear_after_fork, free_after_fork

from ..validation import MultiprocessMode
from .expiry import remove_series

MAX_SOURCES = 10_000
"""Things whose values one series combines. Of more, those that came first are in it, and each value of the others is
left out and counted: a sum can only be kept exact by whoever knows the last value of each."""

COMBINE: dict[MultiprocessMode, Callable[[Iterable[float]], float]] = {
    "livesum": fsum,
    "livemax": max,
    "livemin": min,
    "max": max,
    "min": min,
}
"""How values are combined, by the row's ``multiprocess_mode``: those of several processes are combined so as well.

The most recent value of several things says nothing of the others, so a row of that mode has no series for them.
"""

SeriesLabels = tuple[str, ...]


class CombinedGauge:
    """The last value of each thing that is counted as ``other``, by the series; `show` sets the gauge to them.

    Args:
        mode: How values are combined.
        expires_after: Seconds after which a value that was not set again goes; None if it stays.
    """

    def __init__(self, mode: MultiprocessMode, expires_after: float | None = None) -> None:
        self._combine = COMBINE.get(mode)
        self._expires_after = expires_after
        self._values: dict[SeriesLabels, dict[tuple[str, ...], tuple[float, float]]] = {}  # and when each goes
        self._changed: set[SeriesLabels] = set()
        self._lock = free_after_fork(RLock())  # the garbage collector may run code that emits, in here too
        clear_after_fork(self)

    @property
    def combines(self) -> bool:
        """Whether values of several things have one that stands for all."""
        return self._combine is not None

    def clear(self) -> None:
        """Forget all values: those of the process that this one was forked from are not this one's."""
        self._values.clear()
        self._changed.clear()

    def set(self, series: SeriesLabels, source: tuple[str, ...], value: float | None) -> bool:
        """Set the value of one source of a series, or forget it where it is None; return whether there was room."""
        if self._combine is None:
            return True
        with self._lock:
            values = self._values.setdefault(series, {})
            if value is None:
                values.pop(source, None)
            elif source in values or len(values) < MAX_SOURCES:
                expires_after = self._expires_after
                values[source] = float(value), inf if expires_after is None else monotonic() + expires_after
            else:
                return False
            self._changed.add(series)
        return True

    def show(self, gauge: Gauge) -> None:
        """Set the series that have changed to the combined values, without those that have expired; remove empty ones.

        It is called before each render: to add up many values each time that one is set would take too long.
        """
        if not self._values:
            return
        with self._lock:
            if self._expires_after is not None:
                self._forget_expired()
            while self._changed:
                series = self._changed.pop()
                if (combined := self._read(series)) is None:
                    remove_series(gauge, series)
                else:
                    gauge.labels(*series).set(combined)

    def _read(self, series: SeriesLabels) -> float | None:
        values = self._values.get(series)
        if not values or self._combine is None:
            self._values.pop(series, None)
            return None
        return self._combine(value for value, _ in values.values())

    def _forget_expired(self) -> None:
        now = monotonic()
        for series, values in self._values.items():
            for source in [source for source, (_, deadline) in values.items() if deadline <= now]:
                del values[source]
                self._changed.add(series)
