"""In-flight gauges: the number of spans that are open."""

from __future__ import annotations

from typing import Any

from events.bus.after_fork import clear_after_fork

from ..fastpath.lock import LOCK


class InFlightTable:
    """The open spans of one metric, by key.

    The gauge shows the table's size, so an end that is lost or comes twice cannot make it drift.
    """

    def __init__(self) -> None:
        self._gauges: dict[str, Any] = {}
        self._sizes: dict[Any, int] = {}
        clear_after_fork(self)

    def clear(self) -> None:
        """Forget the spans: those of the process that this one was forked from are not open here."""
        self._gauges.clear()
        self._sizes.clear()

    def open(self, key: str, gauge: Any) -> None:
        """Add a key and count it in a gauge; a key that is there already stays in the gauge that it was opened in.

        Of the gauge only ``set`` is called, with a float.
        """
        with LOCK:  # the gauge's too, and reentrant: the garbage collector may end a span in here
            if key not in self._gauges:
                self._gauges[key] = gauge
                self._change_size(gauge, 1)

    def close(self, key: str) -> None:
        """Remove a key; of one that is not there, the start was never seen."""
        gauge = self._gauges.pop(key, None)  # one step, so that of two ends at once one finds it
        if gauge is not None:
            with LOCK:
                self._change_size(gauge, -1)

    def _change_size(self, gauge: Any, change: int) -> None:
        size = self._sizes[gauge] = self._sizes.get(gauge, 0) + change
        gauge.set(float(size))
        while (now := self._sizes[gauge]) != size:  # the garbage collector ended a span meanwhile
            size = now
            gauge.set(float(size))
