"""What is kept of workers that are gone: one file with the sums of all of them.

It names those that it holds, so a crash in the middle neither loses nor doubles: before the new archive takes the old
one's name nothing has happened, and after it the files that it names count no more, wherever they still lie about.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from events.pipeline import WorkerFileFault

from .exemplars import encode_record
from .file_layout import ARCHIVE, ARCHIVED_MODES, MAX_CELLS, SUFFIX, CorruptFile, FamilySchema, file_header
from .file_reader import Reader, files_in
from .merge import Merged, Merger, SeriesIndex, exact_sum

log = logging.getLogger("metrics")

LOCK = "folding.lock"
CORRECTION_LAYERS = 3  # of 53 bits each: with them the sum of all amounts is kept as it is, not rounded


def open_archive(folder: Path, faulty: Callable[[WorkerFileFault], object]) -> Reader | None:
    """Open the archive, if there is one; it is read at once, since it does not change."""
    try:
        archive = Reader(folder / ARCHIVE, CORRECTION_LAYERS)
    except FileNotFoundError:
        return None
    except CorruptFile as error:
        faulty(error.fault)
        return None
    with suppress(CorruptFile):
        archive.read_on()
        if archive.used == archive.cells:
            return archive
    archive.close()
    faulty("torn")
    return None


def archive_dead(folder: Path, faulty: Callable[[WorkerFileFault], object]) -> None:
    """Take the workers that are gone into the archive and remove their files; nothing while another process does."""
    descriptor = -1
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _fold(folder, faulty)
    except BlockingIOError:
        return
    except OSError as error:  # the folder is gone, or its disk is full: their files go on being read one by one
        log.warning("workers that are gone cannot be archived in %s: %s", folder, error.strerror)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _fold(folder: Path, faulty: Callable[[WorkerFileFault], object]) -> None:
    archive = open_archive(folder, faulty)
    folded = archive.folded if archive is not None else frozenset()
    gone: list[Reader] = []
    useless: list[Path] = []
    held: list[str] = []
    try:
        for path in files_in(folder):
            try:
                reader = Reader(path)
            except CorruptFile as error:
                if not writer_is_alive(path):
                    useless.append(path)
                    faulty(error.fault)
                continue
            except OSError:
                continue
            if reader.is_alive():
                reader.close()
            elif path.stem in folded:  # a crash came between the new archive and this
                useless.append(path)
                held.append(path.stem)
                reader.close()
            else:
                gone.append(reader)
        if gone:
            _write(folder, archive, gone, [*held, *(reader.path.stem for reader in gone)], faulty)
        for path in (*useless, *(reader.path for reader in gone)):
            with suppress(FileNotFoundError):
                path.unlink()
    finally:
        for reader in (*gone, *([archive] if archive is not None else [])):
            reader.close()


def _write(
    folder: Path,
    archive: Reader | None,
    gone: list[Reader],
    held: list[str],
    faulty: Callable[[WorkerFileFault], object],
) -> None:
    full = False

    def admit(shape: FamilySchema, _: bytes) -> bool:
        nonlocal full
        if shape.mode not in ARCHIVED_MODES:
            return False
        room = places.size + shape.numbers <= MAX_CELLS  # bounds of labels hold for each worker by itself
        full = full or not room
        return room

    places = SeriesIndex(admit)
    adder = Merger(places)
    if archive is not None:
        adder.know(archive, archive.series, lives=False)
    for reader in gone:
        try:
            reader.read_on()
        except CorruptFile as error:  # as far as it goes
            faulty(error.fault)
        adder.know(reader, reader.series, lives=False)
    readers = [*([archive] if archive is not None else []), *gone]
    added = adder.add(readers)
    exemplars = adder.exemplars(readers, lambda _: faulty("torn"))
    if full:
        faulty("full")
    kept = [(line, shape) for line, shape in places.shapes.items() if places.first[line]]
    cells = array("d", chain.from_iterable(layer[1:] for layer in correction_layers(added)))
    unfinished = folder / f"{ARCHIVE.removesuffix(SUFFIX)}.new"
    with unfinished.open("wb") as file:
        file.write(file_header("gone", len(cells)))
        file.write(cells.tobytes())
        file.write(json.dumps({"folded": held}).encode() + b"\n")
        file.writelines(series_text(kept))
        file.writelines(filter(None, (encode_record(place - 1, exemplar) for place, exemplar in exemplars.items())))
    unfinished.replace(folder / ARCHIVE)


def correction_layers(added: Merged) -> list[list[float]]:
    """Give the totals, and what they rounded away, and what that rounded away."""
    layers = [added.totals, *([0.0] * len(added.totals) for _ in range(CORRECTION_LAYERS - 1))]
    for place, parts in added.parts.items():
        rest = list(parts)
        for layer in layers:
            layer[place] = exact_sum(rest)
            rest.append(-layer[place])
    return layers


def series_text(series: Iterable[tuple[bytes, FamilySchema]]) -> Iterator[bytes]:
    """Describe series in their order, each family before its first."""
    known: set[FamilySchema] = set()
    for line, shape in series:
        if shape not in known:
            known.add(shape)
            yield shape.line
        yield line


def writer_is_alive(path: Path) -> bool:
    """Tell whether the process that made a file lives, whatever is in the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
