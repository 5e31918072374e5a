"""A file that lines are appended to: it may be moved away, its disk may be full, its reader may be gone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep

PIECE = 4096
"""How many bytes are written at once: what a pipe takes as one piece (PIPE_BUF), so that the lines of several processes
that write to it stay whole."""

OWNER_AND_GROUP = 0o640
"""Who may read a new file: it has names and ids, and the one who reads logs is often of another user."""


class LineFile:
    """Appends lines to a file, or to standard error.

    A file that was moved or removed, as by logrotate, is created anew at the next write, as
    `logging.handlers.WatchedFileHandler` does it. A line that was cut off, by a full disk or by a kill, is ended first.

    Args:
        file: The file; None for standard error.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._descriptor: int | None = None

    def write(self, lines: Iterable[bytes]) -> tuple[int, OSError | None]:
        """Append lines, each with its end; return how many of them were written whole, and what stopped it, if any."""
        written = 0
        try:
            descriptor = self._open()
            for piece in pieces(lines):
                rest = memoryview(piece)
                while rest:
                    done = os.write(descriptor, rest)
                    written += bytes(rest[:done]).count(b"\n")
                    rest = rest[done:]
        except OSError as error:
            self.close()  # the next write looks at the file as it is then
            return written, error
        return written, None

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _open(self) -> int:
        """Return the descriptor of the file that has the name now."""
        if self._descriptor is not None and self._was_moved(self._descriptor):
            self.close()
        if self._descriptor is None:
            # Of standard error a copy, which is open for as long as the listener lives.
            self._descriptor = os.dup(2) if self._file is None else open_to_append(self._file)
        return self._descriptor

    def _was_moved(self, descriptor: int) -> bool:
        if self._file is None:
            return False
        try:
            there = self._file.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(descriptor))


def open_to_append(file: Path) -> int:
    """Return the descriptor of a file, created if need be, whose next line begins where a line begins."""
    if file.exists() and not file.is_file():
        return open_pipe(file)
    how = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(file, os.O_RDWR | how, OWNER_AND_GROUP)
    except PermissionError:  # perhaps it may be written and not read
        return os.open(file, os.O_WRONLY | how, OWNER_AND_GROUP)
    try:
        if ends_in_a_line(descriptor):
            sleep(0.01)  # another process may be writing just now
            if ends_in_a_line(descriptor):
                os.write(descriptor, b"\n")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def ends_in_a_line(descriptor: int) -> bool:
    """Return whether a file's last line has no end, as whoever wrote it was cut off or is still at it."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def open_pipe(file: Path) -> int:
    """Return the descriptor of a pipe or a device.

    Raises:
        OSError: It cannot be opened: nobody reads the pipe, for one.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)  # else it waits for a reader
    os.set_blocking(descriptor, True)
    return descriptor


def pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines in pieces that a pipe takes whole; a line that is longer is one by itself."""
    piece = bytearray()
    for line in lines:
        if piece and len(piece) + len(line) > PIECE:
            yield bytes(piece)
            piece.clear()
        piece += line
    if piece:
        yield bytes(piece)
