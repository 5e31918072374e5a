"""Reading a worker's file."""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from .exemplars import RecordReader
from .file_layout import (
    ARCHIVE,
    HEADER_SIZE,
    RECORD_MARK,
    SUFFIX,
    CorruptFile,
    FamilySchema,
    lines_and_records,
    parse_family_line,
    parse_label_values,
    read_file_header,
    text_offset,
)


class Reader:
    """One file, read on from where it was read to before.

    Raises:
        CorruptFile: it is no worker's file.
        OSError: it is gone.
    """

    def __init__(self, path: Path, layers: int = 1) -> None:
        self.path = path
        self.layers = layers
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.who, cells = read_file_header(self._file)
            self.cells = cells // layers
            self._memory = mmap.mmap(self._file, text_offset(cells), access=mmap.ACCESS_READ)
        except BaseException:
            os.close(self._file)
            raise
        self._array: Any = memoryview(self._memory)[HEADER_SIZE:].cast("d")
        self._read = text_offset(cells)
        self._shapes: dict[bytes, FamilySchema] = {}
        self.series: list[tuple[bytes, FamilySchema]] = []
        self.new: list[tuple[bytes, FamilySchema]] = []  # of them, those of the last reading
        self.used = 0
        self.records = RecordReader(self._file)
        self.folded: frozenset[str] = frozenset()
        self._broken = False

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
        self._array.release()

    def is_alive(self) -> bool:
        """Tell whether the process that writes it lives: it holds a lock that the kernel drops with it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not meet
        except BlockingIOError:
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    def read_on(self) -> list[tuple[bytes, FamilySchema]]:
        """Read the series that are new.

        Raises:
            CorruptFile: a line is not whole in the middle; what stands before it is read.
        """
        self.new = []
        size = os.fstat(self._file).st_size
        if size <= self._read or self._broken:
            return self.new
        start = self._read
        text = os.pread(self._file, size - start, start)
        try:
            for place, piece in lines_and_records(
                text
            ):  # the rest is being written, or was when its process was killed
                self._read = start + place + len(piece)
                if piece.startswith(RECORD_MARK):
                    self.records.note(start + place)
                else:
                    self._take(piece)
        except CorruptFile:
            self._broken = True  # what follows cannot be told apart
            raise
        return self.new

    def _take(self, line: bytes) -> None:
        if line.startswith(b"["):
            shape = self._shapes.get(line[2:14])
            if (
                shape is None
                or self.used + shape.cells > self.cells
                or len(parse_label_values(line)) != len(shape.labels)
            ):
                raise CorruptFile("torn")
            self.series.append((line, shape))
            self.new.append((line, shape))
            self.used += shape.cells
        elif line.startswith(b'{"folded"'):
            self.folded = frozenset(line.decode(errors="replace").split('"')[3::2])
        else:
            shape = parse_family_line(line)
            self._shapes[shape.digest.encode()] = shape

    def values(self, layer: int = 0) -> list[float]:
        """Give the doubles of all series read so far, each as a whole even while it is written."""
        start = layer * self.cells
        values: list[float] = self._array[start : start + self.used].tolist()
        return values


def files_in(folder: Path) -> list[Path]:
    """List the files of workers, in an order that does not change."""
    with suppress(FileNotFoundError):
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.name != ARCHIVE)
    return []
