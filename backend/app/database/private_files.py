"""The files of the studio's data, which nobody but their owner may read: briefs and copy are in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from app.settings import Settings

SUFFIXES = ("", "-wal", "-shm", "-journal")
"""What SQLite adds to the name of a file for those beside it, which it creates with the mode of the first."""

log = logging.getLogger(__name__)


def prepare(settings: Settings) -> None:
    """Create the data directory with mode 0700 and the SQLite files with 0600, and take such rights from existing ones.

    A directory that holds other files as well is somebody's with a reason for its mode, so that one stays.

    Raises:
        OSError: They cannot be created.
    """
    files = [file for file in (settings.sqlite_file, settings.workflows_file) if file is not None]
    beside = [file.with_name(file.name + suffix) for file in files for suffix in SUFFIXES]
    own_names = {"executors", *(file.name for file in beside)}
    if not files:
        with suppress(OSError):  # what needs the directory there says why it cannot be used
            make_private_directory(settings.data_dir, own_names)
        return
    for directory in {settings.data_dir, *(file.parent for file in files)}:
        make_private_directory(directory, own_names)
    executors = settings.data_dir / "executors"
    executors.mkdir(mode=0o700, exist_ok=True)
    _restrict(executors, 0o700)
    for file in files:
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for file in beside:
        _restrict(file, 0o600)


def make_private_directory(directory: Path, own_names: Collection[str]) -> None:
    """Create a directory that nobody else may enter, or make an existing one such if it holds nothing else."""
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif all(entry.name in own_names for entry in directory.iterdir()):
        _restrict(directory, 0o700)
    elif directory.stat().st_mode & 0o077:
        log.warning(
            "other users may enter %s, and other files are in it: only the studio's are made private", directory
        )


def _restrict(path: Path, mode: int) -> None:
    with suppress(FileNotFoundError, PermissionError):  # another user's: SQLite will say whether it can be used
        current = path.stat().st_mode & 0o777
        if current & ~mode:
            path.chmod(current & mode)
