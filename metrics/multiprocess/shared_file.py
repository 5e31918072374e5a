"""The file of this process: it alone writes to it, and the kernel keeps what it wrote when it is killed."""

from __future__ import annotations

import errno
import logging
import os
from array import array
from collections.abc import Callable
from contextlib import suppress
from math import nan
from pathlib import Path
from typing import Any
from weakref import WeakSet

from events.pipeline import WorkerFileFault

from ..fastpath.lock import LOCK
from .exemplars import ExemplarStore
from .file_creation import create_file
from .file_layout import HEADER_SIZE, MAX_CELLS, FamilySchema, text_offset
from .shared_values import SharedValue, TimestampedValue

log = logging.getLogger("metrics")


class SharedFile:
    """The file that holds this process's values; a process forked from this one continues in a file of its own.

    Args:
        folder: Where the workers' files are.
        capacity: The number of cells in the file; values past it are this process's alone.
        on_fault: Called with ``"full"``, once, when there is no space for a new series.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, capacity: int = MAX_CELLS, on_fault: Callable[[WorkerFileFault], object] = lambda _: None
    ) -> None:
        self._folder = folder
        self._capacity = capacity
        self._on_fault = on_fault
        self._reported_full = False
        self._series: dict[tuple[FamilySchema, tuple[str, ...]], list[SharedValue]] = {}
        self._closed = False
        self._descriptor = -1
        self._cells: Any = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()
        _files.add(self)

    def add_series(self, schema: FamilySchema, label_values: tuple[str, ...]) -> list[SharedValue]:
        """Return the values of a series, at zero; past the end of the file they are this process's alone."""
        with LOCK:
            values = self._series.get((schema, label_values))
            if values is not None:  # it was removed and is created again
                for value in values:
                    value.set(0.0)
                return values
            cells, cell, problem = self._allocate(schema, label_values)
            value_class = TimestampedValue if schema.mode == "livemostrecent" else SharedValue
            created = [value_class(self, cells, cell + number) for number in range(schema.value_count)]
            values = self._series.setdefault((schema, label_values), created)
            if values is not created and schema.kind == "gauge":
                created[0].set(nan)  # the garbage collector ran code that created the same series meanwhile
            report, self._reported_full = problem and not self._reported_full, self._reported_full or bool(problem)
        if report:  # outside the lock: a log handler may wait for it
            log.warning("no room in %s: %s: new series count in this process alone", self.path.name, problem)
            self._on_fault("full")
        return values

    def remove_series(self, schema: FamilySchema, label_values: tuple[str, ...]) -> None:
        """Remove a gauge's series, by NaN; other series stay, since their sums must not decrease."""
        if schema.kind == "gauge":
            with LOCK:
                for value in self._series.get((schema, label_values), ()):
                    value.set(nan)

    def reopen_after_fork(self) -> None:
        """Continue at zero in a file of the calling process."""
        self._release()
        try:
            self._open()
        except OSError as error:
            log.warning("this process's numbers are not shared: %s: %s", error.filename, error.strerror)
            self._cells, self._used, self._capacity = array("d"), 0, 0
            self.exemplars = ExemplarStore(self._cells, self._write_record)
        for (schema, label_values), values in self._series.copy().items():
            cells, cell, _ = self._allocate(schema, label_values)
            for number, value in enumerate(values):
                value.relocate(cells, cell + number)

    def close(self) -> None:
        """Release the lock, so that the others see this process as gone; what was counted stays in their sums."""
        if not self._closed:
            self._closed = True
            _files.discard(self)
            with LOCK:
                self._release()

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1  # the number is reused for the next file that is opened: nothing may be written there

    def _open(self) -> None:
        created = create_file(self._folder, self._capacity)
        self.path = created.path
        self._described: set[str] = set()  # digests of the families whose line is in the file
        self._cells = memoryview(created.memory)[HEADER_SIZE:].cast("d")
        self.exemplars = ExemplarStore(self._cells, self._write_record)
        self._used, self._end = 0, text_offset(self._capacity)
        self._descriptor = created.descriptor  # last: writes of code that the garbage collector runs before this fail

    def _allocate(self, schema: FamilySchema, label_values: tuple[str, ...]) -> tuple[Any, int, str]:
        """Return an array and a series' first cell in it: the file's or, with the reason why, one in private memory."""
        text = schema.series_line(label_values)
        if schema.digest not in self._described:
            text = schema.line + text
        try:
            cell, _ = self._append(text, cells=schema.cell_count)
        except OSError as error:
            return array("d", bytes(8 * schema.cell_count)), 0, error.strerror or type(error).__name__
        self._described.add(schema.digest)
        return self._cells, cell, ""

    def _write_record(self, record: bytes, offset: int | None) -> int | None:
        """Overwrite the record at an offset, or append one if that is None; return its offset, None without space.

        A record lies within one page of memory, which the kernel writes as a whole even if the process is killed.
        """
        with LOCK, suppress(OSError):
            if offset is None:
                _, offset = self._append(record, alignment=len(record))
            else:
                os.pwrite(self._descriptor, record, offset)
        return offset

    def _append(self, text: bytes, cells: int = 0, alignment: int = 1) -> tuple[int, int]:
        """Write text at the end, at a multiple of ``alignment``; return its first cell and its offset.

        Both are reserved before the text is written: the garbage collector may run code that appends, but only then.

        Raises:
            OSError: there is no space; a half-written text is overwritten by the next one.
        """
        size = len(text)
        cell, end = self._used, self._end
        offset = end + -end % alignment
        if cell + cells > self._capacity:
            raise OSError(errno.ENOSPC, f"it holds {self._capacity:,} numbers at most")
        self._used, self._end = cell + cells, offset + size
        written = 0
        try:
            written = os.pwrite(self._descriptor, b" " * (offset - end) + text, end)
        finally:
            if (incomplete := end + written < offset + size) and self._end == offset + size:
                self._used, self._end = cell, end
        if incomplete:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return cell, offset


_files: WeakSet[SharedFile] = WeakSet()


def _after_fork() -> None:
    for file in tuple(_files):
        with suppress(Exception):  # the child process has to go on, counted or not
            file.reopen_after_fork()


os.register_at_fork(after_in_child=_after_fork)
