"""What the registry shows: instruments set to the sums of all workers' files."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import Gauge

from events.pipeline import WorkerFileFault
from metrics.fastpath import children

from . import archive
from .file_layout import ARCHIVE, CorruptFile, FamilySchema, parse_label_values
from .file_reader import Reader, files_in
from .merge import Merger, SeriesIndex
from .shared_file import SharedFile

_ATTEMPTS = 10  # reading begins again when workers were folded meanwhile


class Aggregator:
    """Adds the files of a folder up and puts the sums into the instruments that are shown."""

    def __init__(self, folder: Path, page: SharedFile, faulty: Callable[[WorkerFileFault], object]) -> None:
        self._folder = folder
        self._file = page
        self._faulty = faulty
        self._lock = Lock()
        self._shown: dict[str, Any] = {}  # by the digest of their shape
        self._told: set[tuple[object, WorkerFileFault]] = set()
        self._was: list[float] = []
        self._begin_again()

    def show(self, shape: FamilySchema, instrument: Any) -> None:
        """Put the sums of a family into an instrument from now on."""
        with self._lock:
            self._shown[shape.digest] = instrument
            self.close()
            self._begin_again()

    def refresh(self) -> None:
        """Read all files and set what is shown."""
        with self._lock:
            live, gone = self._look()
            if gone:
                archive.archive_dead(self._folder, self._faulty)
                live, gone = self._look()
            for _ in range(_ATTEMPTS):
                if self._stamp() == self._stamped:
                    break
                live, gone = self._look()  # somebody folded workers between our looks at the archive and at them
            readers = [*([self._archive] if self._archive is not None else []), *live, *gone]
            added = self._adder.add(readers)
            totals = added.totals
            self._show_gauges(added.gauges)
            self._was += [nan] * (len(self._targets) - len(self._was))
            for place, (value, was) in enumerate(zip(totals, self._was, strict=True)):
                if value != was:
                    self._targets[place].set(value)
            self._was = totals
            exemplars = self._adder.exemplars(readers, lambda path: self._tell(path, "torn"))
            for place, exemplar in exemplars.items():
                self._targets[place].set_exemplar(exemplar)

    def close(self) -> None:
        """Let go of the files."""
        for reader in (*self._readers.values(), *([self._archive] if self._archive is not None else [])):
            reader.close()

    def _begin_again(self) -> None:
        self._readers: dict[Path, Reader] = {}
        self._archive: Reader | None = None
        self._stamped: object = None
        self._places = SeriesIndex(self._admit)
        self._adder = Merger(self._places)
        self._scrap = children.values_of(Gauge("scrap", "Nobody sees it.", registry=None))[0]
        self._targets: list[Any] = [self._scrap]
        self._was = [nan]  # unequal to everything: what is new is set
        self._gauges: dict[bytes, bool] = {}  # those that vanish with their worker, and whether they are shown
        self._open(self._file.path)  # now, since somebody may take it away: for this process it is there all the same

    def _look(self) -> tuple[list[Reader], list[Reader]]:
        """Read the archive, then what is new in the workers' files: of those that live, and of those that are gone."""
        self._read_archive()
        folded = self._archive.folded if self._archive is not None else frozenset()
        paths = {path for path in files_in(self._folder) if path.stem not in folded} | {self._file.path}
        for path in self._readers.keys() - paths:
            self._drop(path)
        live, gone = [], []
        for path in sorted(paths):
            reader = self._readers.get(path) or self._open(path)
            if reader is None:
                continue
            if path == self._file.path or reader.is_alive():
                live.append(reader)
            else:
                gone.append(reader)
                self._adder.forget(reader)
            try:
                new = reader.read_on()
            except CorruptFile as error:
                self._tell(path, error.fault)
                new = reader.new
            self._adder.know(reader, reader.series if reader in gone else new, lives=reader not in gone)
        return live, gone

    def _read_archive(self) -> None:
        stamp = self._stamp()
        if stamp == self._stamped:
            return
        if self._archive is not None:
            self._adder.forget(self._archive)
            self._archive.close()
        self._archive = archive.open_archive(self._folder, lambda fault: self._tell(ARCHIVE, fault))
        self._stamped = stamp
        if self._archive is not None:
            self._adder.know(self._archive, self._archive.series, lives=False)

    def _stamp(self) -> object:
        try:
            state = (self._folder / ARCHIVE).stat()
        except FileNotFoundError:
            return None
        return state.st_ino, state.st_mtime_ns

    def _open(self, path: Path) -> Reader | None:
        try:
            self._readers[path] = Reader(path)
        except CorruptFile as error:
            if archive.writer_is_alive(path):
                self._tell(path, error.fault)  # one whose process is gone is told by who removes it
            else:
                archive.archive_dead(self._folder, self._faulty)
        except OSError:
            return None  # folded this moment
        return self._readers.get(path)

    def _drop(self, path: Path) -> None:
        reader = self._readers.pop(path)
        self._adder.forget(reader)
        reader.close()

    def _admit(self, shape: FamilySchema, line: bytes) -> bool:
        instrument = self._shown.get(shape.digest)
        if instrument is None:  # another version's, or one that this worker does not count
            self._tell(shape, "unknown")
            return False
        self._targets += children.values_of(_child(instrument, line))
        if shape.kind == "gauge" and shape.labels:
            self._gauges[line] = True
        return True

    def _show_gauges(self, there: set[int]) -> None:
        """Take away the gauges that no worker has, and bring back those that one has again."""
        for line, shown in self._gauges.items():
            place = self._places.first[line]
            if (place in there) is shown:
                continue
            instrument = self._shown[self._places.shapes[line].digest]
            if shown:
                instrument.remove(*parse_label_values(line))
                self._targets[place] = self._scrap
            else:
                [self._targets[place]] = children.values_of(_child(instrument, line))
                self._was[place] = nan
            self._gauges[line] = not shown

    def _tell(self, about: object, fault: WorkerFileFault) -> None:
        if (about, fault) not in self._told:
            self._told.add((about, fault))
            self._faulty(fault)


def _child(instrument: Any, line: bytes) -> Any:
    values = parse_label_values(line)
    return instrument.labels(*values) if values else instrument
