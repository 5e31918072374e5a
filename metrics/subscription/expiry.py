"""Gauges whose series are removed once nothing has set them for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from time import monotonic

from prometheus_client import Gauge

from events.bus.after_fork import free_after_fork


class Expiry:
    """When series of a gauge that expires were last set."""

    def __init__(self) -> None:
        self._deadlines: dict[tuple[str, ...], float] = {}
        self._lock = free_after_fork(RLock())  # the garbage collector may run code that emits, in here too

    @contextmanager
    def setting(self, labels: tuple[str, ...], expires_after: float | None) -> Iterator[None]:
        """Note that the series with these labels is set inside of the block; without a time it does not expire."""
        if expires_after is None:
            yield
            return
        with self._lock:
            self._deadlines[labels] = monotonic() + expires_after
            yield

    def remove_expired(self, collector: Gauge) -> None:
        """Remove the series of a gauge that were not set for too long."""
        now = monotonic()
        with self._lock:
            for labels in [labels for labels, deadline in self._deadlines.items() if deadline <= now]:
                del self._deadlines[labels]
                remove_series(collector, labels)


def remove_series(collector: Gauge, labels: tuple[str, ...]) -> None:
    """Remove a gauge's series, if it has labels and exists."""
    if labels:
        with suppress(KeyError):  # there was none
            collector.remove(*labels)
