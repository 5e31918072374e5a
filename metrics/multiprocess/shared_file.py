"""The values of this process: in a file that the others read, or in memory of its own while there can be no file."""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf, nan
from pathlib import Path
from threading import Lock
from time import monotonic, time
from types import MappingProxyType
from typing import Any
from weakref import WeakSet

from events.pipeline import WorkerFileFault

from ..fastpath.lock import LOCK
from .exemplars import PrivateExemplars
from .exponential_schema import is_exponential
from .file_layout import CELL_SIZE, MAX_CELLS, FamilySchema
from .folder_problems import COUNTS_ALONE, SHARED_AGAIN, SUBSCRIBED_TWICE, describe, describe_creation
from .left_file import LeftFile
from .shared_values import SharedValue, TimestampedValue
from .written_file import WrittenFile

log = logging.getLogger("metrics")

RETRY_INTERVAL = 60.0
"""Seconds until a folder or a file that could not be used is tried again."""

NO_ROOM = "no room in %s: %s: new series are not in the totals"

SeriesKey = tuple[FamilySchema, tuple[str, ...]]


class SharedFile:
    """The file that holds this process's values; a process forked from this one continues in a file of its own.

    Where there can be no file, or it is gone, the process counts alone: its values are in memory of its own, and the
    folder is tried again by `check`. Nothing that fails here reaches who counts.

    Args:
        folder: Where the workers' files are; created if it does not exist.
        capacity: The number of cells in the file; values past it are this process's alone.
        on_fault: Called with ``"full"``, once for exponential buckets and once for all else, when there is no space for
            a new series, and with ``"unshared"`` when
            the process begins to count alone.
        application: Whose worker this process is, where that is known by now.
    """

    def __init__(
        self,
        folder: Path,
        capacity: int = MAX_CELLS,
        on_fault: Callable[[WorkerFileFault], object] = lambda _: None,
        application: str = "",
    ) -> None:
        self.folder = folder.absolute()
        self.series: dict[SeriesKey, list[SharedValue]] = {}
        self.created: dict[SeriesKey, int] = {}  # the Unix times at which they began, in this process
        self.families: set[FamilySchema] = set()  # without bounds, by which two subscriptions may differ
        self.application = application
        self.inherited = False  # from the process that this one was forked from
        self._capacity = capacity
        self._on_fault = on_fault
        self._superseded: set[FamilySchema] = set()
        self._unwritten: set[SeriesKey] = set()  # there was no room for them
        self._was_there = False  # the folder, ever
        self._reported_full: set[bool] = set()  # of exponential buckets, and of what else is counted
        self._reported_problem = ""
        self._reported_superseded = False
        self._pending_faults: list[WorkerFileFault] = []  # of moments when nobody could hear of them
        self._retry_at = inf
        self._checking = Lock()
        self._closed = False
        self._written: WrittenFile | None = None
        self._left: LeftFile | None = None
        self.exemplars: Any = PrivateExemplars()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            self._report_alone(error)
        _files.add(self)

    @property
    def path(self) -> Path | None:
        """The file; None while this process counts alone."""
        return self._written.path if self._written is not None else None

    def set_application(self, application: str) -> None:
        """Set whose worker this process is; a second time does nothing."""
        if not self.application:
            self.application = application
            if self._written is not None:
                self._written.set_application(application)

    def add_family(self, schema: FamilySchema) -> None:
        """Take on a family, from a file that this process had before it was forked, if one has it.

        Both subscriptions get every event, so the sum over the folder would have each twice.
        """
        self.families.add(schema.without_bounds)
        if not self.inherited:
            for other in tuple(_files):
                if other.inherited and other.folder == self.folder and other.supersede(schema):
                    self._report_superseded()

    def supersede(self, schema: FamilySchema) -> bool:
        """Leave a family to a later subscription of this process; return whether it was counted here until now."""
        superseded = schema.without_bounds
        if superseded not in self.families or superseded in self._superseded or self._closed:
            return False
        with LOCK:
            self._superseded.add(superseded)
            for (family, _), values in self.series.copy().items():
                if family.without_bounds == superseded:
                    if schema.kind == "gauge":
                        values[0].set(nan)
                    self._place(values, _private_cells(family))
        return True

    def add_series(
        self, schema: FamilySchema, label_values: tuple[str, ...], *, report_later: bool = False
    ) -> list[SharedValue]:
        """Return the values of a series, at zero; where there is no room they are this process's alone.

        That is reported at once, or by the next `check`, where the caller holds the lock.
        """
        with LOCK:
            values = self.series.get((schema, label_values))
            if values is not None:  # it was removed and is created again
                for value in values:
                    value.set(0.0)
                return values
            self.created.setdefault((schema, label_values), _now(schema))
            cells, cell, problem = self._allocate(schema, label_values)
            value_class = TimestampedValue if schema.mode == "livemostrecent" else SharedValue
            created = [value_class(self, cells, cell + number) for number in range(schema.value_count)]
            values = self.series.setdefault((schema, label_values), created)
            if values is not created and schema.kind == "gauge":
                created[0].set(nan)  # the garbage collector ran code that created the same series meanwhile
            report = problem and is_exponential(schema) not in self._reported_full
            if report:
                self._reported_full.add(is_exponential(schema))
        if report and report_later:
            self._pending_faults.append("full")
        elif report:  # outside the lock: a log handler may wait for it
            log.warning(NO_ROOM, self.path, problem)
            self._on_fault("full")
        return values

    def remove_series(self, schema: FamilySchema, label_values: tuple[str, ...]) -> None:
        """Remove a gauge's series, by NaN; other series stay, since their sums must not decrease."""
        if schema.kind == "gauge":
            with LOCK:
                for value in self.series.get((schema, label_values), ()):
                    value.set(nan)

    def check(self) -> None:
        """Find out whether the file is still there, or can be there again; emit what was to be emitted.

        It is called before each scrape and every second, and costs one system call.
        """
        if self._closed or not self._checking.acquire(blocking=False):
            return
        try:
            if self._written is not None:
                try:
                    self._written.check()
                except OSError as error:
                    self.leave(error)
            if (self._written is None or self._unwritten) and monotonic() >= self._retry_at:
                self._retry_at = monotonic() + RETRY_INTERVAL
                self._reopen() if self._written is None else self._write_again()
            while self._pending_faults:
                fault = self._pending_faults.pop()
                if fault == "full":
                    log.warning(NO_ROOM, self.path, "it has none left for exponential buckets")
                self._on_fault(fault)
        finally:
            self._checking.release()

    def leave(self, error: OSError) -> None:
        """Count alone from now on, for this reason: each value is kept, in memory of this process.

        The file stays this process's, unless it is broken: to the others, who may see it still, its values are as they
        were, and if it comes back it is continued.
        """
        with LOCK:
            written, self._written = self._written, None
            self.exemplars = PrivateExemplars()
            if written is not None and written.is_whole():
                self._left = LeftFile(written, self.series)
            elif written is not None:
                written.close()
            self._place_all()
        self._report_alone(error)

    def reopen_after_fork(self) -> None:
        """Continue at zero in a file of the calling process."""
        self.inherited = True
        self._checking = Lock()  # a thread that is not in this process may have held it
        self._reported_problem, self._reported_full = "", set()  # what the other process reported is its own
        self._pending_faults.clear()
        self._release()
        for (schema, label_values), values in self.series.copy().items():
            self._place(values, _private_cells(schema))  # before they are at zero: the file is the other process's
            self.created[schema, label_values] = _now(schema)
            for value in values:
                value.set(nan if schema.kind == "gauge" else 0.0)
        try:
            self._open()
        except OSError as error:
            self._report_alone(error)
        self._place_all()

    def close(self) -> None:
        """Release the lock, so that the others see this process as gone; what was counted stays in their sums."""
        if not self._closed:
            self._closed = True
            _files.discard(self)
            with LOCK:
                for file in (self._written, self._left):
                    if file is not None:
                        file.close()

    def _open(self) -> None:
        next(self.folder.iterdir(), None)  # the files of the others are to be read
        self._was_there = True
        written = WrittenFile(self.folder, self._capacity, self.application)
        self._written, self.exemplars = written, written.exemplars

    def _release(self) -> None:
        written, self._written = self._written, None
        left, self._left = self._left, None
        self.exemplars = PrivateExemplars()
        for file in (written, left):
            if file is not None:
                file.close()

    def _allocate(self, schema: FamilySchema, label_values: tuple[str, ...]) -> tuple[Any, int, str]:
        """Return an array and a series' first cell in it: the file's, or one in private memory.

        If it is that because there is no room, the third is the reason.
        """
        written = self._written
        if written is None or self._closed or schema.without_bounds in self._superseded:
            return _private_cells(schema), 0, ""
        try:
            cell = written.allocate(schema, label_values, self.created[schema, label_values])
        except OSError as error:
            self._unwritten.add((schema, label_values))
            self._retry_at = min(self._retry_at, monotonic() + RETRY_INTERVAL)
            return _private_cells(schema), 0, error.strerror or type(error).__name__
        self._unwritten.discard((schema, label_values))
        return written.cells, cell, ""

    def _place_all(self, places: Mapping[SeriesKey, int] = MappingProxyType({})) -> None:
        """Place each series, its values as they are, in the file at hand, or in private memory.

        ``places`` are the cells of those that the file has already.
        """
        self._unwritten.clear()
        for (schema, label_values), values in self.series.copy().items():
            known = places.get((schema, label_values))
            if known is not None and self._written is not None:
                self._place(values, self._written.cells, known)
            else:
                cells, cell, _ = self._allocate(schema, label_values)
                self._place(values, cells, cell)

    @staticmethod
    def _place(values: list[SharedValue], cells: Any, cell: int = 0) -> None:
        for number, value in enumerate(values):
            value.relocate(cells, cell + number)

    def _reopen(self) -> None:
        """Share the values again, as they are; where that fails still, or the folder is gone, count alone on."""
        try:
            with LOCK:
                if self._left is not None and self._left.is_back():
                    self._written, places = self._left.written, self._left.places
                    self.exemplars, self._left = self._written.exemplars, None
                    self._place_all(places)
                else:
                    self._open()
                    if self._left is not None:
                        self._left.withdraw()
                        self._left = None
                    self._place_all()
        except OSError:
            return
        self._reported_problem = ""
        log.warning(SHARED_AGAIN, self.folder)

    def _write_again(self) -> None:
        """Write the series that there was no room for, their values as they are."""
        with LOCK:
            for schema, label_values in sorted(self._unwritten, key=lambda key: is_exponential(key[0])):
                cells, cell, problem = self._allocate(schema, label_values)
                if problem:
                    break
                self._place(self.series[schema, label_values], cells, cell)
            self._reported_full &= {is_exponential(schema) for schema, _ in self._unwritten}

    def _report_alone(self, error: OSError) -> None:
        """Log that this process counts alone: once a reason, until its numbers are shared again."""
        self._retry_at = monotonic() + RETRY_INTERVAL
        problem = describe(error) if self._was_there else describe_creation(error)
        if problem != self._reported_problem:
            self._reported_problem = problem
            log.warning(COUNTS_ALONE, self.folder, problem)
            self._pending_faults.append("unshared")

    def _report_superseded(self) -> None:
        """Log that this process subscribed twice, once."""
        if not self._reported_superseded:
            self._reported_superseded = True
            log.warning(SUBSCRIBED_TWICE, self.folder)


def _now(schema: FamilySchema) -> int:
    """Return when a series begins that is created now, in Unix seconds; 0 where that is of no interest."""
    return 0 if schema.kind == "gauge" or is_exponential(schema) else int(time())


def _private_cells(schema: FamilySchema) -> array[float]:
    return array("d", bytes(CELL_SIZE * schema.cell_count))


_files: WeakSet[SharedFile] = WeakSet()


def _after_fork() -> None:
    for file in tuple(_files):
        with suppress(Exception):  # the child process has to go on, counted or not
            file.reopen_after_fork()


os.register_at_fork(after_in_child=_after_fork)
