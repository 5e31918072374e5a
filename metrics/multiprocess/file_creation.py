"""Making a worker's file: nobody sees it before it is whole and locked; of one that fails nothing is left."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path
from time import time_ns

from .file_layout import SUFFIX, file_header, process_identity, text_offset


def make(folder: Path, cells: int) -> tuple[Path, int, mmap.mmap]:
    """Make the file of this process; give the descriptor that holds its lock as well, and its memory.

    Raises:
        OSError: the folder cannot be written.
    """
    # The moment keeps a process's files apart: a name that came again would be taken for a file read or archived.
    path = folder / f"{process_identity()}-{time_ns()}{SUFFIX}"
    unfinished = path.with_suffix(".new")
    locked = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(locked, fcntl.LOCK_EX)
        memory = _mapped(unfinished, path.stem, cells)
        return unfinished.rename(path), locked, memory
    except BaseException:
        os.close(locked)
        unfinished.unlink(missing_ok=True)
        raise


def reserve(descriptor: int, size: int) -> None:
    """Make a file so long; where the system can, with room on the disk for all of it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)


def _mapped(path: Path, who: str, cells: int) -> mmap.mmap:
    """Map it by another descriptor.

    A mapping keeps the lock of the one that it was made of, and a process that is forked from this one inherits it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        # Reserved, not only counted on: on a full disk a mapping's first touch would kill the process.
        reserve(descriptor, text_offset(cells))
        os.pwrite(descriptor, file_header(who, cells), 0)
        return mmap.mmap(descriptor, text_offset(cells))
    finally:
        os.close(descriptor)
