"""A small disk of its own, in memory, which can be full without harm to anything else; mounting it takes root."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_SIZE = "400m"  # PostgreSQL starts with 60


class NoSmallDisk(Exception):
    """A disk cannot be mounted here."""


@contextmanager
def small_disk(size: str = _SIZE) -> Iterator[Path | None]:
    """Mount a disk, yield its directory, and unmount it at the end; yield None where it cannot be mounted."""
    with TemporaryDirectory(prefix="chaos-disk-", ignore_cleanup_errors=True) as directory:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", directory]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            yield None
            return
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def filled(disk: Path | None) -> Iterator[None]:
    """Fill a disk while the block runs.

    Raises:
        NoSmallDisk: There is none.
    """
    if disk is None:
        raise NoSmallDisk("a disk in memory cannot be mounted: it takes root")
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            block = bytes(1 << 20)
            while block:
                try:
                    file.write(block)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    block = block[: len(block) // 2]  # to the last byte
        yield
    finally:
        filler.unlink(missing_ok=True)
