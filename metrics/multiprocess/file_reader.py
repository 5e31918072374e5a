"""Reading a worker's file: its series, its values, and whether its process is alive."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from .exemplars import RecordReader
from .file_layout import (
    HEADER_SIZE,
    RECORD_MARK,
    SUFFIX,
    CorruptFile,
    FamilySchema,
    is_archive,
    lines_and_records,
    parse_created,
    parse_family_line,
    parse_label_values,
    read_application,
    read_file_header,
    text_offset,
)

NO_FILE = frozenset({errno.ELOOP, errno.ENXIO})
"""What the system says of a link to itself, and of a socket."""


class Reader:
    """Reads one file, each time only the text that is new.

    Args:
        path: The file.
        layers: How many arrays of cells follow one another: a worker's file has one, the archive several.

    Raises:
        CorruptFile: it is not a worker's file.
        OSError: it is gone, or this process may not read it.
    """

    def __init__(self, path: Path, layers: int = 1) -> None:
        self.path = path
        self.layers = layers
        self._descriptor = open_file(path)
        try:
            self.writer, cells = read_file_header(self._descriptor)
            self.cells = cells // layers
            self._memory = mmap.mmap(self._descriptor, text_offset(cells), access=mmap.ACCESS_READ)
        except ValueError:  # it became shorter just now
            os.close(self._descriptor)
            raise CorruptFile("torn") from None
        except BaseException:
            os.close(self._descriptor)
            raise
        self._array: Any = memoryview(self._memory)[HEADER_SIZE:].cast("d")
        self._offset = self._cells_end = text_offset(cells)  # up to where the text was read
        self._schemas: dict[bytes, tuple[FamilySchema, int]] = {}  # by digest, with when the series that follow began
        self.series: list[tuple[bytes, FamilySchema]] = []
        self.new: list[tuple[bytes, FamilySchema]] = []  # those of them that the last `read_new` found
        self.created: dict[bytes, int] = {}  # by their lines: when they began, in Unix seconds, 0 where nobody says
        self.used = 0
        self.records = RecordReader(self._descriptor)
        self.archived: frozenset[str] = frozenset()  # of the archive: the workers that are in it
        self._broken = False
        self._application = ""

    @property
    def application(self) -> str:
        """The application whose worker writes the file; empty while that is not written, or where it has none."""
        if not self._application:
            self._application = read_application(self._descriptor)
        return self._application

    @property
    def is_truncated(self) -> bool:
        """Whether somebody has cut the file off: to read its cells would kill this process (SIGBUS)."""
        return os.fstat(self._descriptor).st_size < self._cells_end

    @property
    def has_text(self) -> bool:
        """Whether anything was counted in it, by any process."""
        return os.fstat(self._descriptor).st_size > self._cells_end

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
        self._array.release()

    def is_alive(self) -> bool:
        """Return whether the process that writes the file lives: it holds a lock that the kernel drops with it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two readers do not block each other
        except OSError:  # it is locked; or the file system has trouble with locks, and nothing is archived
            return True
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return False

    def read_new(self) -> list[tuple[bytes, FamilySchema]]:
        """Return the series that were added since the last call, each as its line and its family's schema.

        Raises:
            CorruptFile: there is a broken line; the series before it have been read and are in ``new``.
        """
        self.new = []
        size = os.fstat(self._descriptor).st_size
        if size <= self._offset or self._broken:
            return self.new
        start = self._offset
        text = os.pread(self._descriptor, size - start, start)
        try:
            # An unfinished line is left for the next call: it is being written, or was when its process was killed.
            for offset, piece in lines_and_records(text):
                self._offset = start + offset + len(piece)
                if piece.startswith(RECORD_MARK):
                    self.records.add(start + offset)
                else:
                    self._read_line(piece)
        except CorruptFile:
            self._broken = True  # the cells of what follows are unknown
            raise
        return self.new

    def _read_line(self, line: bytes) -> None:
        if line.startswith(b"["):
            schema, created = self._schemas.get(line[2:14], (None, 0))
            if (
                schema is None
                or self.used + schema.cell_count > self.cells
                or len(parse_label_values(line)) != len(schema.labels)
            ):
                raise CorruptFile("torn")
            self.series.append((line, schema))
            self.new.append((line, schema))
            self.created[line] = created
            self.used += schema.cell_count
        elif line.startswith(b'{"folded"'):
            self.archived = frozenset(line.decode(errors="replace").split('"')[3::2])
        else:
            schema = parse_family_line(line)
            self._schemas[schema.digest.encode()] = schema, parse_created(line)

    def values(self, layer: int = 0) -> list[float]:
        """Return the cells of all series read so far; each double is read as a whole even while it is written."""
        start = layer * self.cells
        values: list[float] = self._array[start : start + self.used].tolist()
        return values


def open_file(path: Path) -> int:
    """Return a descriptor of a file, to read it; wait for nobody, as the opening of a FIFO does for its writer.

    Raises:
        CorruptFile: it is no file, as a folder, a FIFO, or a link that leads nowhere.
        OSError: it is gone, or this process may not read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in NO_FILE or (error.errno == errno.ENOENT and path.is_symlink()):
            raise CorruptFile("unreadable") from None
        raise
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CorruptFile("unreadable")
    return descriptor


def worker_files(folder: Path) -> list[Path]:
    """Return the paths of the workers' files, sorted; none where there is no folder."""
    with suppress(FileNotFoundError):
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and not is_archive(path))
    return []
