"""The archive: one file with the sums of all workers that are gone, whose own files are then removed.

It names the workers that are in it, so a crash during archiving neither loses nor doubles anything: until the new
archive replaces the old one nothing has changed, and from then on the files of the workers that it names are ignored,
wherever they still lie.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from math import nan
from pathlib import Path

from events.bus.log_throttle import LogThrottle
from events.pipeline import WorkerFileFault

from .exemplars import encode_record
from .exponential_schema import is_exponential, most_exponential_cells
from .file_layout import ARCHIVED_MODES, MAX_CELLS, CorruptFile, FamilySchema, archive_name, file_header
from .file_reader import Reader, open_file, worker_files
from .folder_problems import describe
from .merge import Merged, Merger, SeriesIndex, exact_sum

log = logging.getLogger("metrics")
_throttle = LogThrottle()
_OWN_NAME = re.compile(r"[\d-]+")

LOCK_FILE = "folding.lock"
CORRECTION_LAYERS = 3
"""Arrays of doubles in the archive: the sums, and the rest that each layer before rounded away.

With 3 of 53 bits each the sum of all amounts is stored exactly.
"""

OnFault = Callable[[WorkerFileFault, str], object]
"""Called with a fault, and the file or the family that has it."""


def open_archive(path: Path, on_fault: OnFault) -> Reader | None:
    """Return the archive, read as a whole since it does not change; None if there is none or it is corrupt."""
    try:
        archive = Reader(path, CORRECTION_LAYERS)
    except FileNotFoundError:
        return None
    except CorruptFile as error:
        on_fault(error.fault, str(path))
        return None
    with suppress(CorruptFile):
        archive.read_new()
        if archive.used == archive.cells:
            return archive
    archive.close()
    on_fault("torn", str(path))
    return None


def archive_dead(folder: Path, on_fault: OnFault, application: str = "") -> None:
    """Add the workers that are gone to the archive and remove their files, unless another process is doing so.

    Args:
        folder: Where the workers' files are.
        on_fault: Called with each fault of a file.
        application: Whose workers; beside them those that died before it was known whose they are.
    """
    descriptor = None
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for each in dict.fromkeys(("", application)):
            _archive_dead(folder, on_fault, each)
    except BlockingIOError:
        return
    except OSError as error:  # the folder is gone, or its disk is full: the files are still read one by one
        if folder.is_dir() and _throttle.is_due((folder, error.errno)):
            log.warning("workers that are gone cannot be archived in %s: %s", folder, describe(error))
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _archive_dead(folder: Path, on_fault: OnFault, application: str) -> None:
    archive = open_archive(folder / archive_name(application), on_fault)
    archived = archive.archived if archive is not None else frozenset()
    dead: list[Reader] = []
    useless: list[Path] = []
    still_named: list[str] = []
    try:
        for path in worker_files(folder):
            try:
                reader = Reader(path)
            except CorruptFile as error:
                if may_remove(path, error.fault):
                    useless.append(path)
                    on_fault(error.fault, str(path))
                continue
            except OSError:
                continue
            if reader.application != application or reader.is_alive():
                reader.close()
            elif path.stem in archived:  # there was a crash between writing the archive and removing this file
                useless.append(path)
                still_named.append(path.stem)
                reader.close()
            else:
                dead.append(reader)
        if dead:
            names = [*still_named, *(reader.path.stem for reader in dead)]
            _write_archive(folder / archive_name(application), archive, dead, names, on_fault)
        for path in (*useless, *(reader.path for reader in dead)):
            with suppress(OSError):  # another process has removed it; or nobody may, and the archive names it
                path.unlink()
    finally:
        for reader in (*dead, *([archive] if archive is not None else [])):
            reader.close()


def _write_archive(path: Path, archive: Reader | None, dead: list[Reader], names: list[str], on_fault: OnFault) -> None:
    room = _Room()
    series = SeriesIndex(room.admit)
    merger = Merger(series)
    if archive is not None:
        merger.index(archive, archive.series, alive=False)
    for reader in dead:
        try:
            reader.read_new()
        except CorruptFile as error:  # the series before the broken line are archived
            on_fault(error.fault, str(reader.path))
        merger.index(reader, reader.series, alive=False)
    readers = [*([archive] if archive is not None else []), *dead]
    merged = merger.merge(readers)
    exemplars = merger.exemplars(readers, lambda each: on_fault("torn", str(each)))
    if room.is_full:
        on_fault("full", str(path))
    admitted = [(line, schema) for line, schema in series.schemas.items() if series.first[line]]
    for line, schema in admitted:
        if schema.kind == "gauge" and series.first[line] not in merged.gauges:
            merged.totals[series.first[line]] = nan  # nobody has set it
    cells = array("d", chain.from_iterable(layer[1:] for layer in correction_layers(merged)))
    unfinished = path.with_suffix(".new")
    check_place(unfinished)
    try:
        with unfinished.open("wb") as file:
            file.write(file_header("gone", len(cells)))
            file.write(cells.tobytes())
            file.write(json.dumps({"folded": names}).encode() + b"\n")
            file.writelines(series_text(admitted, series.created))
            file.writelines(filter(None, (encode_record(index - 1, exemplar) for index, exemplar in exemplars.items())))
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()  # it takes the room that is missing
        raise


class _Room:
    """The cells that an archive has for series of dead workers, since label limits hold for each worker by itself."""

    def __init__(self) -> None:
        self.is_full = False
        self._left = MAX_CELLS - 1  # the first is of what is not shown
        self._exponential_left = most_exponential_cells(MAX_CELLS)

    def admit(self, schema: FamilySchema, _: bytes) -> bool:
        """Return whether a new series is archived, and take its cells if it is."""
        if schema.mode not in ARCHIVED_MODES:
            return False
        cells, exponential = schema.value_count, is_exponential(schema)
        if cells > self._left or (exponential and cells > self._exponential_left):
            self.is_full = True
            return False
        self._left -= cells
        self._exponential_left -= cells * exponential
        return True


def check_place(path: Path) -> None:
    """Raise `OSError` where something else than a file is in the place of one: to open a FIFO would wait for long."""
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, f"{path.name} is no file: remove it")


def correction_layers(merged: Merged) -> list[list[float]]:
    """Return the totals, then what rounding them lost, then what rounding that lost."""
    layers = [merged.totals, *([0.0] * len(merged.totals) for _ in range(CORRECTION_LAYERS - 1))]
    for index, parts in merged.parts.items():
        rest = list(parts)
        for layer in layers:
            layer[index] = exact_sum(rest)
            rest.append(-layer[index])
    return layers


def series_text(series: Iterable[tuple[bytes, FamilySchema]], created: Mapping[bytes, int]) -> Iterator[bytes]:
    """Yield the lines of series in their order, each family's line before those that began at another time."""
    described: dict[FamilySchema, int] = {}
    for line, schema in series:
        if described.get(schema) != created[line]:
            described[schema] = created[line]
            yield schema.line_since(created[line])
        yield line


def may_remove(path: Path, fault: WorkerFileFault) -> bool:
    """Return whether a file with this fault is one that a process of ours made, of any version, which is gone."""
    return fault != "unreadable" and _OWN_NAME.fullmatch(path.stem) is not None and not writer_is_alive(path)


def writer_is_alive(path: Path) -> bool:
    """Return whether the process that created a file lives, whatever the file holds."""
    try:
        descriptor = open_file(path)
    except (OSError, CorruptFile):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
