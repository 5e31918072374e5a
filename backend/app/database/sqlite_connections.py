"""SQLite: how its connections are set up, and what tells its file from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_WRITE_TIMEOUT_MS = 30_000  # SQLite does not take turns: of many writers one may wait far longer than the others


def file_identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def prepare_connection(connection: Any, _record: Any) -> None:
    """Set up a new connection; a listener to the event ``connect`` of an engine."""
    cursor = connection.cursor()
    # Writers wait for each other. With WAL and synchronous=NORMAL a commit survives a crash of the process; a power cut
    # may lose the last ones.
    for pragma in (f"busy_timeout={_WRITE_TIMEOUT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
