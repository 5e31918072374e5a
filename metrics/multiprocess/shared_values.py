"""The values of this process's instruments, which the other workers read as well."""

from __future__ import annotations

from math import isnan
from time import time
from typing import TYPE_CHECKING, Any

from ..fastpath.lock import LOCK
from ..fastpath.update import SharedCell

if TYPE_CHECKING:  # it creates these values
    from .shared_file import SharedFile


class SharedValue(SharedCell):
    """A value of this process that the other workers read as well; it has the interface of prometheus_client's values.

    It is held twice: in this object for reading, which costs less than from the file, and in the file for the others.
    """

    __slots__ = ("_file", "_lock")

    def __init__(self, file: SharedFile, cells: Any, cell: int) -> None:
        self._file = file
        self._value = 0.0
        self.relocate(cells, cell)

    def relocate(self, cells: Any, cell: int) -> None:
        """Continue in another cell, with the value as it is."""
        self._cells = cells
        self._at = cell
        self._lock = LOCK
        self.set(self._value)

    def cell_in(self, cells: Any) -> int | None:
        """Return its cell in an array, None where it is in another one."""
        return self._at if self._cells is cells else None

    def inc(self, amount: float) -> None:
        """Add an amount."""
        with self._lock:
            self._value = self._cells[self._at] = self._amount() + amount

    def _amount(self) -> float:
        """Return the value, 0 of a gauge without one: it was removed, or this process was forked and did not set it."""
        value = self._value
        return 0.0 if isnan(value) else value

    def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002  # prometheus_client's interface
        """Replace the value."""
        with self._lock:
            self._value = self._cells[self._at] = value

    def get(self) -> float:
        """Return this process's own value."""
        with self._lock:
            return self._value

    def set_exemplar(self, exemplar: Any) -> None:
        """Store an exemplar, for whichever worker answers a scrape."""
        self._file.exemplars.put(self._cells, self._at, exemplar)

    def get_exemplar(self) -> Any:
        """Return this process's newest exemplar of this value."""
        return self._file.exemplars.get(self._cells, self._at)


class TimestampedValue(SharedValue):
    """A value with the time at which it was set, which is in the next cell."""

    __slots__ = ()

    def relocate(self, cells: Any, cell: int) -> None:
        """Continue in another cell, with the value and its time as they are."""
        before: Any = getattr(self, "_cells", None)
        timestamp = before[self._at + 1] if before is not None else None
        super().relocate(cells, cell)
        if timestamp is not None:
            cells[cell + 1] = timestamp

    def inc(self, amount: float) -> None:
        """Add an amount, now."""
        with self._lock:
            self._cells[self._at + 1] = time()
            self._value = self._cells[self._at] = self._amount() + amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replace the value, now or as of a timestamp in seconds."""
        with self._lock:
            self._cells[self._at + 1] = timestamp or time()
            self._value = self._cells[self._at] = value
