"""The file of this process: it alone writes there, and the kernel keeps what it wrote when it is killed."""

from __future__ import annotations

import errno
import logging
import os
from array import array
from collections.abc import Callable
from contextlib import suppress
from math import nan
from pathlib import Path
from time import time
from typing import Any
from weakref import WeakSet

from events.pipeline import WorkerFileFault
from metrics.fastpath.lock import LOCK
from metrics.fastpath.update import SharedCell

from .exemplars import ExemplarStore
from .file_creation import make
from .file_layout import HEADER_SIZE, MAX_CELLS, FamilySchema, text_offset

log = logging.getLogger("metrics")


class SharedValue(SharedCell):
    """A number of this process that the other workers read as well; the interface is prometheus_client's.

    It is kept twice: here for reading, which costs less than from the file, and in the file for the others.
    """

    __slots__ = ("_file", "_lock")

    def __init__(self, page: SharedFile, cells: Any, at: int) -> None:
        self._file = page
        self._value = 0.0
        self.move(cells, at)

    def move(self, cells: Any, at: int) -> None:
        """Go on at zero in another place."""
        self._cells = cells
        self._at = at
        self._lock = LOCK
        self.set(0.0)

    def inc(self, amount: float) -> None:
        """Add an amount."""
        with self._lock:
            self._value = self._cells[self._at] = self._value + amount

    def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002  # prometheus_client's interface
        """Put a value in its place."""
        with self._lock:
            self._value = self._cells[self._at] = value

    def get(self) -> float:
        """Give this process's own value."""
        with self._lock:
            return self._value

    def set_exemplar(self, exemplar: Any) -> None:
        """Keep an exemplar for whoever answers."""
        self._file.exemplars.keep(self._cells, self._at, exemplar)

    def get_exemplar(self) -> Any:
        """Give this process's newest exemplar."""
        return self._file.exemplars.of(self._cells, self._at)


class TimestampedValue(SharedValue):
    """A number with the moment at which it was set, in the next place."""

    __slots__ = ()

    def inc(self, amount: float) -> None:
        """Add an amount, now."""
        with self._lock:
            self._cells[self._at + 1] = time()
            self._value = self._cells[self._at] = self._value + amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Put a value in its place, now."""
        with self._lock:
            self._cells[self._at + 1] = timestamp or time()
            self._value = self._cells[self._at] = value


class SharedFile:
    """Where the numbers of this process stand. A process that is forked from this one goes on in a file of its own.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, cells: int = MAX_CELLS, faulty: Callable[[WorkerFileFault], object] = lambda _: None
    ) -> None:
        self._folder = folder
        self._most = cells
        self._faulty = faulty
        self._told_full = False
        self._series: dict[tuple[FamilySchema, tuple[str, ...]], list[SharedValue]] = {}
        self._closed = False
        self._locked = -1
        self._cells: Any = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()
        _files.add(self)

    def take(self, shape: FamilySchema, values: tuple[str, ...]) -> list[SharedValue]:
        """Make the numbers of a series; past the end of the file they are this process's alone."""
        with LOCK:
            taken = self._series.get((shape, values))
            if taken is not None:  # it was removed and is made again
                for value in taken:
                    value.set(0.0)
                return taken
            cells, at, problem = self._place(shape, values)
            kind = TimestampedValue if shape.mode == "livemostrecent" else SharedValue
            made = [kind(self, cells, at + number) for number in range(shape.numbers)]
            taken = self._series.setdefault((shape, values), made)
            if taken is not made and shape.kind == "gauge":  # the garbage collector called what made it meanwhile
                made[0].set(nan)
            tell, self._told_full = problem and not self._told_full, self._told_full or bool(problem)
        if tell:  # without the lock: whoever handles the log may wait for it
            log.warning("no room in %s: %s: new series count in this process alone", self.path.name, problem)
            self._faulty("full")
        return taken

    def drop(self, shape: FamilySchema, values: tuple[str, ...]) -> None:
        """Take a gauge's series away; counts stay, since sums do not shrink."""
        if shape.kind == "gauge":
            with LOCK:
                for value in self._series.get((shape, values), ()):
                    value.set(nan)

    def renew(self) -> None:
        """Go on at zero in a file of the process that calls."""
        self._leave()
        try:
            self._open()
        except OSError as error:
            log.warning("this process's numbers are not shared: %s: %s", error.filename, error.strerror)
            self._cells, self._used, self._most = array("d"), 0, 0
            self.exemplars = ExemplarStore(self._cells, self._write_record)
        for (shape, values), taken in self._series.copy().items():
            cells, at, _ = self._place(shape, values)
            for number, value in enumerate(taken):
                value.move(cells, at + number)

    def close(self) -> None:
        """Let the others see that no more comes; what was counted stays in their sums."""
        if not self._closed:
            self._closed = True
            _files.discard(self)
            with LOCK:
                self._leave()

    def _leave(self) -> None:
        if self._locked >= 0:
            os.close(self._locked)
        self._locked = -1  # what is opened next has that number: nothing may be written there

    def _open(self) -> None:
        self.path, locked, memory = make(self._folder, self._most)
        self._known: set[str] = set()
        self._cells = memoryview(memory)[HEADER_SIZE:].cast("d")
        self.exemplars = ExemplarStore(self._cells, self._write_record)
        self._used, self._end = 0, text_offset(self._most)
        self._locked = locked  # at last: what the garbage collector calls before writes nowhere

    def _place(self, shape: FamilySchema, values: tuple[str, ...]) -> tuple[Any, int, str]:
        """Find room for a series: in the file, else, with the reason, in memory that nobody else reads."""
        text = shape.series(values)
        if shape.digest not in self._known:
            text = shape.line + text
        try:
            at, _ = self._append(text, cells=shape.cells)
        except OSError as error:
            return array("d", bytes(8 * shape.cells)), 0, error.strerror or type(error).__name__
        self._known.add(shape.digest)
        return self._cells, at, ""

    def _write_record(self, record: bytes, place: int | None) -> int | None:
        """Write over a record, or, without a place, one at the end; give its place, or none where there is no room.

        It lies within a page of memory: the kernel writes that whole even for a process that is killed meanwhile.
        """
        with LOCK, suppress(OSError):
            if place is None:
                _, place = self._append(record, step=len(record))
            else:
                os.pwrite(self._locked, record, place)
        return place

    def _append(self, text: bytes, cells: int = 0, step: int = 1) -> tuple[int, int]:
        """Write text behind all other, at a multiple of ``step``; give its first cell and its place.

        Both are reserved before it is written: the garbage collector may call what writes, but not in between.

        Raises:
            OSError: there is no room; what is half written the next text replaces.
        """
        size = len(text)
        at, end = self._used, self._end
        place = end + -end % step
        if at + cells > self._most:
            raise OSError(errno.ENOSPC, f"it holds {self._most:,} numbers at most")
        self._used, self._end = at + cells, place + size
        written = 0
        try:
            written = os.pwrite(self._locked, b" " * (place - end) + text, end)
        finally:
            if (short := end + written < place + size) and self._end == place + size:
                self._used, self._end = at, end
        if short:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return at, place


_files: WeakSet[SharedFile] = WeakSet()


def _after_fork() -> None:
    for page in tuple(_files):
        with suppress(Exception):  # a child process has to live, counted or not
            page.renew()


os.register_at_fork(after_in_child=_after_fork)
