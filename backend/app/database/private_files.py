"""The files of the studio's data, which nobody but their owner may read: briefs and copy are in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from app.settings import Settings

EXECUTORS = "executors"
SUFFIXES = ("", "-wal", "-shm", "-journal")
"""What SQLite adds to the name of a file for those beside it, which it creates with the mode of the first."""

log = logging.getLogger(__name__)


def prepare(settings: Settings) -> None:
    """Create the data directory with mode 0700 and the SQLite files with 0600, and take such rights from existing ones.

    A directory that holds other files as well is somebody's with a reason for its mode, so that one stays. What cannot
    be created or changed is left: what needs it says why it cannot be used.

    Raises:
        OSError: The directory of the SQLite files cannot be created.
    """
    files = [file for file in (settings.sqlite_file, settings.workflows_file) if file is not None]
    beside = [file.with_name(file.name + suffix) for file in files for suffix in SUFFIXES]
    own_names = {EXECUTORS, *(file.name for file in beside)}
    for directory in {file.parent for file in files}:
        _create_directory(directory)
    with suppress(OSError):
        _create_directory(settings.data_dir)
        _create_directory(settings.data_dir / EXECUTORS)
        _restrict(settings.data_dir / EXECUTORS, 0o700)
    for directory in {settings.data_dir, *(file.parent for file in files)}:
        with suppress(OSError):
            _restrict_directory(directory, own_names)
    for file in files:
        with suppress(OSError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for file in beside:
        with suppress(OSError):
            _restrict(file, 0o600)


def _create_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def _restrict_directory(directory: Path, own_names: Collection[str]) -> None:
    """Take the rights of others to a directory if there is nothing else in it."""
    if all(entry.name in own_names for entry in directory.iterdir()):
        _restrict(directory, 0o700)
    elif directory.stat().st_mode & 0o077:
        log.warning(
            "other users may enter %s, and other files are in it: only the studio's are made private", directory
        )


def _restrict(path: Path, mode: int) -> None:
    current = path.stat().st_mode & 0o777
    if current & ~mode:
        path.chmod(current & mode)
