"""The file of a recording, to which lines are appended one by one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from events.bus.recordings import gap, header

STANDARD_OUTPUT = "-"
TAIL = 1 << 17
"""How many bytes of a file are searched for its last record."""


class RecordingFile:
    """A recording that grows.

    Each line is in the file when `write` returns, so that a kill leaves all but the last one whole. The file is created
    by `begin`, so that nothing is left of a recording that cannot begin.

    Args:
        name: The name of the file; ``-`` for standard output.
        append: Whether it may be there already and is continued.

    Raises:
        FileExistsError: The file is there already, and is not to be continued.
    """

    def __init__(self, name: str, *, append: bool) -> None:
        self._path = None if name == STANDARD_OUTPUT else Path(name)
        self._append = append
        self._file: BinaryIO | None = None
        if self._path is not None and self._path.exists() and not append:
            raise FileExistsError

    def last_id(self) -> str:
        """Return the id of the last record that is in the file, or nothing."""
        if self._path is None or not self._path.is_file():  # a pipe or a device would be read for ever
            return ""
        with self._path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
            for line in reversed(file.read().splitlines()):
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                found_id = found.get("id") if isinstance(found, dict) else None
                if isinstance(found_id, str):
                    return found_id
        return ""

    @property
    def is_continued(self) -> bool:
        """Whether there is something in the file before `begin`."""
        return self._path is not None and self._path.is_file() and self._path.stat().st_size > 0

    def begin(self, source: str) -> None:
        """Create or open the file and write a header.

        Raises:
            OSError: The file cannot be written, or there is one by now.
        """
        if self._path is None:
            self._file = sys.stdout.buffer
        else:
            is_cut = self.is_continued and last_byte(self._path) != b"\n"
            self._file = self._path.open("ab" if self._append else "xb", buffering=0)
            if is_cut:
                self._file.write(b"\n")
        self.write(header(source))

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line.

        Raises:
            OSError: It cannot be written.
        """
        if self._file is None:
            raise ValueError("begin() comes first")
        rest = memoryview(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        self._file.flush()

    def write_gap(self, missed: int | None) -> None:
        """Append a line that says that events are missing: so many, or None where nobody knows."""
        self.write(gap(missed))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and self._path is not None:
            self._file.close()


def last_byte(file: Path) -> bytes:
    """Return the last byte of a file that is not empty."""
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read()
