"""SQLite files whose last change is past."""

from __future__ import annotations

import os
from pathlib import Path
from time import time


def let_settle(file: Path, seconds: float = 60.0) -> None:
    """Date the last change of a database and of its write-ahead log back, to so many seconds ago, if it is later."""
    for path in (file, file.with_name(f"{file.name}-wal")):
        past = time() - seconds
        if path.exists() and path.stat().st_mtime > past:
            os.utime(path, (past, past))
