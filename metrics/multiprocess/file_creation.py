"""Creation of a worker's file: it gets its name once it is complete and locked; if that fails, none is left."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

from .file_layout import SUFFIX, file_header, process_identity, text_offset


@dataclass(frozen=True, slots=True)
class CreatedFile:
    """A new file of this process."""

    path: Path
    descriptor: int
    """Holds the lock that tells the others that this process lives; writes go through it too."""
    memory: mmap.mmap


def create_file(folder: Path, cells: int, application: str = "") -> CreatedFile:
    """Create and lock the file of this process, which is one of an application's.

    Raises:
        OSError: the folder cannot be written.
    """
    # The time keeps a process's files apart: a reused name would be taken for a file already read or archived.
    path = folder / f"{process_identity()}-{time_ns()}{SUFFIX}"
    unfinished = path.with_suffix(".new")
    # Python's descriptors are not inherited by other programs (PEP 446), so no child of ours holds the lock.
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        memory = _map(unfinished, cells, file_header(path.stem, cells, application))
        return CreatedFile(unfinished.rename(path), descriptor, memory)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            unfinished.unlink()
        raise


def reserve(descriptor: int, size: int) -> None:
    """Extend an empty file to this size, with the disk space allocated."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif os.pwrite(descriptor, bytes(size), 0) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _map(path: Path, cells: int, header: bytes) -> mmap.mmap:
    """Map the file by a descriptor of its own.

    A mapping keeps the lock of the descriptor that it was made from, and a forked process inherits it: the lock would
    outlive this process.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        # Allocated, not only extended: on a full disk the first write to an unallocated page kills the process.
        reserve(descriptor, text_offset(cells))
        os.pwrite(descriptor, header, 0)
        return mmap.mmap(descriptor, text_offset(cells))
    finally:
        os.close(descriptor)
