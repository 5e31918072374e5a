"""The locks of DBOS executor ids: each process of the studio holds the lock of its id for as long as it lives.

DBOS assigns workflows to executors, and a process resumes those of its executor id when it starts. So the id has to be
the same after a restart, and two living processes must never share one. The kernel releases the lock when the process
ends, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ExecutorLock:
    """The lock of an executor id that no other living process has."""

    def __init__(self, directory: Path, name: str, descriptor: int) -> None:
        self.directory = directory
        self.executor_id = name
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the id for another process."""
        os.close(self._descriptor)


def acquire(directory: Path, prefix: str | None = None) -> ExecutorLock:
    """Acquire and return the lock of the first free id: the prefix (by default the host name) and a number.

    Raises:
        OSError: The directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    prefix = prefix or host_name()
    number = 0
    while True:
        name = f"{prefix}-{number}"
        descriptor = _lock(directory / f"{name}.lock", create=True)
        if descriptor is not None:
            return ExecutorLock(directory, name, descriptor)
        number += 1


def host_name() -> str:
    """Return the name of this machine, in characters that a file name may have."""
    return re.sub(r"[^\w.-]", "_", socket.gethostname()) or "host"


def prefix_of(data_dir: Path) -> str:
    """Return a prefix that differs between processes of one host that share a database but no directory for locks."""
    directory_hash = hashlib.blake2s(str(data_dir.resolve()).encode(), digest_size=4).hexdigest()
    return f"{host_name()}-{directory_hash}"


def has_lock_file(directory: Path, executor_id: str) -> bool:
    """Return whether an executor of this id has ever acquired its lock in this directory."""
    return Path(executor_id).name == executor_id and (directory / f"{executor_id}.lock").exists()


@contextmanager
def lock_if_dead(directory: Path, executor_id: str) -> Iterator[bool]:
    """Hold the lock of another executor while the block runs, if its process is dead.

    Yields:
        Whether the lock is held: not if the process lives, and not if it has never been on this machine.
    """
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
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
