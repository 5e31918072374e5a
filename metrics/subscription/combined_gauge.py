"""Gauges of several things under one series, ``other``: their sum, or the largest or least, as the row says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import RLock

from events.bus.fork_locks import free_after_fork

from ..validation import MultiprocessMode

MAX_SOURCES = 1000
"""Values that one series combines; of more, the one that was set longest ago is left out."""

COMBINE: dict[MultiprocessMode, Callable[[Iterable[float]], float]] = {
    "livesum": sum,
    "livemax": max,
    "max": max,
    "min": min,
}
"""How values are combined, by the row's ``multiprocess_mode``: those of several processes are combined so as well.

The most recent value of several things says nothing of the others, so a row of that mode has no series for them.
"""


class CombinedGauge:
    """The last value of each thing that is counted as ``other``, by the series."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}
        self._lock = free_after_fork(RLock())  # the garbage collector may run code that emits, in here too

    def set(
        self, series: tuple[str, ...], source: tuple[str, ...], value: float | None, mode: MultiprocessMode
    ) -> None:
        """Set the value of one source of a series, or forget it where it is None."""
        with self._lock:
            values = self._values.setdefault(series, {})
            values.pop(source, None)
            if value is not None and mode in COMBINE:
                values[source] = value
                if len(values) > MAX_SOURCES:
                    del values[next(iter(values))]

    def read(self, series: tuple[str, ...], mode: MultiprocessMode) -> float | None:
        """Return the combined value of a series; None without any."""
        with self._lock:
            values = self._values.get(series)
            return COMBINE[mode](values.values()) if values else None
