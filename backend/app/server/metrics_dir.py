"""The directory in which the workers of one supervisor share their metrics."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

METRICS_DIR_PREFIX = "sparklio-workers-"


@contextmanager
def temporary_metrics_dir() -> Generator[Path]:
    """Create a directory, and remove it when the block ends; remove those of supervisors that were killed as well."""
    parent = Path(tempfile.gettempdir())
    for stale in parent.glob(f"{METRICS_DIR_PREFIX}*"):
        with suppress(OSError), (stale / "supervisor.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stale.stat().st_uid == os.getuid():
                shutil.rmtree(stale, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=METRICS_DIR_PREFIX))
    try:
        with (directory / "supervisor.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
