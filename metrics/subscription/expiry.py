"""Gauges whose series are removed once nothing has set them for a while."""

from __future__ import annotations

from contextlib import suppress
from threading import RLock
from time import monotonic

from prometheus_client import Gauge

from events.bus.after_fork import free_after_fork


class Expiry:
    """The series of a gauge that expires, and when each does unless it is set again."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], tuple[float, Gauge]] = {}
        self._lock = free_after_fork(RLock())  # the garbage collector may run code that emits, in here too

    def set(self, collector: Gauge, labels: tuple[str, ...], value: float, expires_after: float) -> None:
        """Set the series of a gauge with these labels, which expires so many seconds from now."""
        with self._lock:
            known = self._series.get(labels)  # to look it up in the gauge takes several times as long
            series = known[1] if known else collector.labels(*labels) if labels else collector
            self._series[labels] = monotonic() + expires_after, series
            series.set(value)

    def remove_expired(self, collector: Gauge) -> None:
        """Remove the series of a gauge that were not set for too long."""
        now = monotonic()
        with self._lock:
            for labels in [labels for labels, (deadline, _) in self._series.items() if deadline <= now]:
                del self._series[labels]
                remove_series(collector, labels)


def remove_series(collector: Gauge, labels: tuple[str, ...]) -> None:
    """Remove a gauge's series, if it has labels and exists."""
    if labels:
        with suppress(KeyError):  # there was none
            collector.remove(*labels)
