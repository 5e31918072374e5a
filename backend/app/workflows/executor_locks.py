"""Executor slots: a stable name for each studio process, held by a lock for as long as it lives.

Workflows belong to the executor that runs them, and a start takes up what its executor left behind. So a name has to be
the same after a restart, and two living processes must never share one. The kernel drops the lock with the process,
however it ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ExecutorLock:
    """A name that no other living process has."""

    def __init__(self, directory: Path, name: str, descriptor: int) -> None:
        self.directory = directory
        self.executor_id = name
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next process have the name."""
        os.close(self._descriptor)


def take(directory: Path, prefix: str | None = None) -> ExecutorLock:
    """Take the first free name: the host's, and a number.

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    prefix = prefix or host()
    number = 0
    while True:
        name = f"{prefix}-{number}"
        descriptor = _lock(directory / f"{name}.lock", create=True)
        if descriptor is not None:
            return ExecutorLock(directory, name, descriptor)
        number += 1


def host() -> str:
    """Name this machine in a way that suits a file's name."""
    return re.sub(r"[^\w.-]", "_", socket.gethostname()) or "host"


def has_lock_file(directory: Path, executor_id: str) -> bool:
    """Tell whether an executor of this name ever took its lock in this directory."""
    return Path(executor_id).name == executor_id and (directory / f"{executor_id}.lock").exists()


@contextmanager
def lock_if_dead(directory: Path, executor_id: str) -> Iterator[bool]:
    """Hold the name of another executor while the block runs; False where its process lives or was never here."""
    if Path(executor_id).name != executor_id:
        yield False
        return
    descriptor = _lock(directory / f"{executor_id}.lock", create=False)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(path: Path, *, create: bool) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
