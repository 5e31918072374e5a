"""A worker's file as its process writes it: series and exemplars are appended to the text, values go to the cells."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..fastpath.lock import LOCK
from .exemplars import ExemplarStore
from .exponential_schema import is_exponential, most_exponential_cells
from .file_creation import create_file
from .file_layout import HEADER_SIZE, FamilySchema, file_header, text_offset


class WrittenFile:
    """The file of this process, which alone writes to it.

    Args:
        folder: Where the workers' files are.
        capacity: The number of cells in the file.
        application: Whose worker this process is, if that is known.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, capacity: int, application: str) -> None:
        created = create_file(folder, capacity, application)
        self.path = created.path
        self._inode = inode_of(created.path.stat())
        self.cells: Any = memoryview(created.memory)[HEADER_SIZE:].cast("d")
        self.exemplars = ExemplarStore(self.cells, self._write_record)
        self._capacity = capacity
        self._described: dict[str, int] = {}  # by digest: the time in the family's last line
        self._used, self._end = 0, text_offset(capacity)
        self._exponential_left = most_exponential_cells(capacity)
        self._descriptor = created.descriptor

    def close(self) -> None:
        """Release the lock: the others see the process as gone. Nothing is written any more; the cells stay."""
        # Not a number: it is reused for the next file that is opened, and nothing may be written there.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def check(self) -> None:
        """Raise what is wrong, if the file is gone or cut off: to write to cells that are not there kills a process.

        Raises:
            OSError: it is.
        """
        found = self.path.stat()
        if inode_of(found) != self._inode:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if found.st_size < text_offset(self._capacity):
            raise OSError(errno.EIO, "somebody has cut this process's file off")

    def is_whole(self) -> bool:
        """Return whether its cells are there, wherever it is now."""
        try:
            return os.fstat(self._descriptor).st_size >= text_offset(self._capacity)
        except OSError:
            return False

    def set_application(self, application: str) -> None:
        """Write whose worker this process is."""
        with suppress(OSError):
            os.pwrite(self._descriptor, file_header(self.path.stem, self._capacity, application), 0)

    def allocate(self, schema: FamilySchema, label_values: tuple[str, ...], created: int = 0) -> int:
        """Write a series' line; return its first cell. It began at ``created``, in Unix seconds; 0 is not known.

        Raises:
            OSError: there is no space.
        """
        exponential = is_exponential(schema)
        if exponential and schema.cell_count > self._exponential_left:
            most = most_exponential_cells(self._capacity)
            raise OSError(errno.ENOSPC, f"it holds {most:,} numbers of exponential buckets at most")
        text = schema.series_line(label_values)
        if self._described.get(schema.digest) != created:
            text = schema.line_since(created) + text
        cell, _ = self._append(text, cells=schema.cell_count)
        self._described[schema.digest] = created
        if exponential:
            self._exponential_left -= schema.cell_count
        return cell

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


def inode_of(status: os.stat_result) -> tuple[int, int]:
    """Return what tells a file from every other one."""
    return status.st_dev, status.st_ino
