"""SQLite: how its connections are set up, and what tells its file from another."""

from __future__ import annotations

from pathlib import Path
from time import time
from typing import Any

_WRITE_TIMEOUT_MS = 30_000  # SQLite does not take turns: of many writers one may wait far longer than the others
_SETTLING_TIME = 2.0  # seconds: of the file systems in use, FAT has the coarsest times of changes

FileState = tuple[tuple[int, int, int, int] | None, ...]
"""What each change of a database changes: of its file and its write-ahead log; None where there is no such log."""


def file_identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def file_state(file: Path) -> FileState | None:
    """Return the state of a database, which is another one after each change, or None where that cannot be known.

    To ask for it takes no statement. As in git's index, a file that has changed so lately that a further change may
    have the same time is not relied on: https://git-scm.com/docs/racy-git.
    """
    main, log = _state_of(file), _state_of(file.with_name(f"{file.name}-wal"))
    now = time()
    if main is None or any(abs(now - part[3] / 1e9) < _SETTLING_TIME for part in (main, log) if part is not None):
        return None
    return main, log


def _state_of(file: Path) -> tuple[int, int, int, int] | None:
    """Return a file's device, number, size and time of change in nanoseconds; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def prepare_connection(connection: Any, _record: Any) -> None:
    """Set up a new connection; a listener to the event ``connect`` of an engine."""
    cursor = connection.cursor()
    # Writers wait for each other. With WAL and synchronous=NORMAL a commit survives a crash of the process; a power cut
    # may lose the last ones.
    for pragma in (f"busy_timeout={_WRITE_TIMEOUT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
