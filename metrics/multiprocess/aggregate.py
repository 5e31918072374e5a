"""Aggregation over all workers: the registry's instruments are set to the totals of their files."""

from __future__ import annotations

import errno
import os
from math import nan
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import Gauge

from events.pipeline import WorkerFileFault

from ..fastpath import children
from . import archive
from .exponential_cells import TotalCounts
from .exponential_schema import is_exponential
from .fault_reports import report_total_failure
from .file_layout import CorruptFile, FamilySchema, archive_name, is_application, parse_label_values
from .file_reader import Reader, worker_files
from .folder_problems import TRANSIENT
from .merge import AnyReader, Merger, SeriesIndex
from .own_values import OwnValues
from .shared_file import SharedFile

_MAX_ATTEMPTS = 10  # to read a consistent state while other processes archive dead workers


class Aggregator:
    """Merges the files of a folder and sets instruments to the totals.

    Args:
        own_file: The file of this process; its folder is that of the others' files.
        on_fault: Called with a fault and the file or family that has it, once for both.
    """

    def __init__(self, own_file: SharedFile, on_fault: archive.OnFault) -> None:
        self._folder = own_file.folder
        self._own_file = own_file
        self._on_fault = on_fault
        self._lock = Lock()
        self._process_id = os.getpid()
        self._own_values: OwnValues | None = None  # while this process counts alone
        self._instruments: dict[str, Any] = {}  # by the digest of their schema
        self._histograms: dict[FamilySchema, FamilySchema] = {}  # by their schema without bounds
        self._reported: set[tuple[Path | str, WorkerFileFault]] = set()
        self._last_totals: list[float] = []
        self._reset()

    def add_instrument(self, schema: FamilySchema, instrument: Any) -> None:
        """Set this instrument to the totals of a family from now on."""
        with self._lock:
            self._instruments[schema.digest] = instrument
            if schema.kind == "histogram" and not is_exponential(schema):
                self._histograms[schema.without_bounds] = schema
            self.close()
            self._reset()

    def refresh(self) -> None:
        """Read all files and set the instruments; a process that counts alone reads its own values.

        Raises:
            OSError: there is no telling what is in the folder, for want of descriptors or memory.
        """
        if self._process_id != os.getpid():  # a thread that is not in this process may have held the lock
            self._process_id, self._lock = os.getpid(), Lock()
        with self._lock:
            self._own_file.check()
            readers = self._readers_at_hand()
            exemplars = self._merger.exemplars(readers, lambda path: self._report(path, "torn"))
            self._read_own_again()
            merged = self._merger.merge(readers)
            self._show_created()
            totals = merged.totals
            self._show_gauges(merged.gauges)
            self._last_totals += [nan] * (len(self._targets) - len(self._last_totals))
            for index, (value, last) in enumerate(zip(totals, self._last_totals, strict=True)):
                if value != last:
                    self._targets[index].set(value)
            self._last_totals = totals
            for index, exemplar in exemplars.items():
                self._targets[index].set_exemplar(exemplar)

    def _read_own_again(self) -> None:
        """Read the series that this process has begun meanwhile: faults of files are counted as they are read."""
        own = self._readers.get(self._own_file.path) if self._own_file.path is not None else None
        if own is not None:
            self._index_new(own, alive=True)

    def _readers_at_hand(self) -> list[AnyReader]:
        if self._own_file.path is not None:
            try:
                return [*self._read_folder()]
            except OSError as error:
                if error.errno is None or error.errno in TRANSIENT:  # None: it is not the system's
                    raise
                self._own_file.leave(error)
        if self._own_values is None:
            for reader in self._all_readers():
                self._merger.drop(reader)
            self.close()
            self._own_values = OwnValues(self._own_file)
        self._merger.index(self._own_values, self._own_values.read_new(), alive=True)
        return [self._own_values]

    def _read_folder(self) -> list[Reader]:
        if self._own_values is not None:  # it counted alone until now
            self._merger.drop(self._own_values)
            self._own_values = None
        live, dead = self._scan()
        if dead:
            archive.archive_dead(self._folder, self._on_fault, self._own_file.application)
            live, dead = self._scan()
        for _ in range(_MAX_ATTEMPTS):
            if self._archive_version() == self._read_version:
                break
            live, dead = self._scan()  # another process archived workers after we read the archive
        return [*([self._archive] if self._archive is not None else []), *live, *dead]

    def _reset(self) -> None:
        self._readers: dict[Path, Reader] = {}
        self._archive: Reader | None = None
        self._read_version: object = None  # of the archive, when it was read
        self._own_values = None
        self._foreign: set[Path] = set()  # of other applications
        self._series = SeriesIndex(self._admit, self._shown_as)
        self._merger = Merger(self._series)
        self._hidden = children.values_of(Gauge("hidden", "Never shown.", registry=None))[0]
        self._targets: list[Any] = [self._hidden]  # by the index in the totals
        self._last_totals = [nan]  # unequal to everything, so that a new value is set
        self._gauges: dict[bytes, bool] = {}  # series that vanish with their worker, and whether they are shown

    def close(self) -> None:
        """Close the files, once: afterwards the numbers of their descriptors may be those of other files."""
        readers = self._all_readers()
        self._readers, self._archive, self._read_version = {}, None, None
        for reader in readers:
            reader.close()

    def _all_readers(self) -> list[Reader]:
        return [*self._readers.values(), *([self._archive] if self._archive is not None else [])]

    def _scan(self) -> tuple[list[Reader], list[Reader]]:
        """Read the archive, then what is new in the workers' files; return those of live and of dead workers."""
        self._read_archive()
        archived = self._archive.archived if self._archive is not None else frozenset()
        paths = {path for path in worker_files(self._folder) if path.stem not in archived}
        if self._own_file.path not in paths:  # removed just now
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        for path in self._readers.keys() - paths:
            self._drop(path)
        self._foreign &= paths
        live, dead = [], []
        for path in sorted(paths - self._foreign):
            reader = self._readers.get(path) or self._open(path)
            if reader is None or not self._is_ours(reader):
                continue
            if reader.is_truncated:
                self._report(path, "torn")
                self._drop(path)
                continue
            if path == self._own_file.path or reader.is_alive():
                live.append(reader)
            else:
                dead.append(reader)
                self._merger.drop(reader)
            self._index_new(reader, alive=reader not in dead)
        return live, dead

    def _index_new(self, reader: Reader, *, alive: bool) -> None:
        """Find the place in the totals of what is new in a file; of a dead process, which was dropped, of all of it."""
        try:
            new = reader.read_new()
        except CorruptFile as error:
            self._report(reader.path, error.fault)
            new = reader.new
        self._merger.index(reader, new if alive else reader.series, alive=alive)

    def _is_ours(self, reader: Reader) -> bool:
        """Return whether a file is of this process's application; one of another is not read again."""
        if reader.path == self._own_file.path or reader.application == self._own_file.application:
            return True
        if reader.application:
            if not is_application(reader.application):
                self._report(reader.path, "torn")
            self._drop(reader.path)
            self._foreign.add(reader.path)
        elif reader.has_text and not reader.is_alive():
            self._report(reader.path, "torn")
        return False  # nobody has said yet whose it is, so nothing is counted in it yet

    def _read_archive(self) -> None:
        version = self._archive_version()
        if version == self._read_version:
            return
        if self._archive is not None:
            self._merger.drop(self._archive)
            self._archive.close()
        self._archive = archive.open_archive(self._archive_path, self._report_archive)
        self._read_version = version
        if self._archive is not None:
            self._merger.index(self._archive, self._archive.series, alive=False)

    @property
    def _archive_path(self) -> Path:
        return self._folder / archive_name(self._own_file.application)

    def _archive_version(self) -> object:
        try:
            state = self._archive_path.stat()
        except FileNotFoundError:
            return None
        return state.st_ino, state.st_mtime_ns

    def _open(self, path: Path) -> Reader | None:
        try:
            self._readers[path] = Reader(path)
        except CorruptFile as error:
            if archive.may_remove(path, error.fault):  # the process that removes it reports it
                archive.archive_dead(self._folder, self._on_fault, self._own_file.application)
            else:
                self._report(path, error.fault)
        except FileNotFoundError:
            return None  # another process has archived it just now
        except OSError as error:
            # Without it the totals would go down, as if counters had begun anew; or they would lack this process's own.
            if error.errno in TRANSIENT or path == self._own_file.path:
                raise
            self._report(path, "unreadable")
        return self._readers.get(path)

    def _drop(self, path: Path) -> None:
        reader = self._readers.pop(path)
        self._merger.drop(reader)
        reader.close()

    def _shown_as(self, schema: FamilySchema) -> FamilySchema:
        """Return the schema in which a family is shown here: a histogram of other bounds goes on in those of today."""
        if schema.digest in self._instruments:
            return schema
        return self._histograms.get(schema.without_bounds, schema)

    def _admit(self, schema: FamilySchema, line: bytes) -> bool:
        """Return whether a new series has an instrument here, whose values become the targets of its totals."""
        instrument = self._instruments.get(schema.digest)
        if instrument is None:  # of a worker of another version, or of a metric that this worker does not have
            if not is_exponential(schema):  # where this worker does not have these, its classic buckets have it all
                self._report(schema.family, "unknown")
            return False
        try:
            self._targets += (
                instrument.values_of(parse_label_values(line))
                if isinstance(instrument, TotalCounts)
                else children.values_of(_child(instrument, line))
            )
        except Exception as error:  # it takes no other family with it
            report_total_failure(schema.family, error)
            return False
        if schema.kind == "gauge" and schema.labels:
            self._gauges[line] = True
        return True

    def _show_created(self) -> None:
        """Have series say when they began, of which another file may have said less."""
        while self._series.begun:
            line = self._series.begun.pop()
            schema = self._series.schemas[line]
            if schema.kind != "gauge" and not is_exponential(schema):
                child = _child(self._instruments[schema.digest], line)
                children.set_created(child, self._series.created[line])

    def _show_gauges(self, present: set[int]) -> None:
        """Remove the gauges that no worker has any more, and restore those that a worker has again."""
        for line, shown in self._gauges.items():
            index = self._series.first[line]
            if (index in present) is shown:
                continue
            schema = self._series.schemas[line]
            try:
                self._show_gauge(index, self._instruments[schema.digest], line, show=not shown)
            except Exception as error:  # the same
                report_total_failure(schema.family, error)
            self._gauges[line] = not shown

    def _show_gauge(self, index: int, instrument: Any, line: bytes, *, show: bool) -> None:
        if show:
            [self._targets[index]] = children.values_of(_child(instrument, line))
            self._last_totals[index] = nan
        else:
            self._targets[index] = self._hidden
            instrument.remove(*parse_label_values(line))

    def _report(self, subject: Path | str, fault: WorkerFileFault) -> None:
        if (subject, fault) not in self._reported:
            self._reported.add((subject, fault))
            self._on_fault(fault, str(subject))

    def _report_archive(self, fault: WorkerFileFault, path: str) -> None:
        self._report(path, fault)


def _child(instrument: Any, line: bytes) -> Any:
    label_values = parse_label_values(line)
    return instrument.labels(*label_values) if label_values else instrument
