"""The locks of DBOS executor ids: each process of the studio holds the lock of its id for as long as it lives.

DBOS assigns workflows to executors, and two living processes must never share an id. The kernel releases the lock when
the process ends, however it ends: so a free lock says that the process is dead, at once.

On SQLite an id is used again by the next start, with which DBOS resumes its workflows. On PostgreSQL, where hosts may
have the same name and the same paths, each start has an id of its own, and its file names the boot of its machine and
itself: in a copy of the folder, on this machine or another one, a free lock says nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".lock"

_UNIQUE = re.compile(r".*\.[0-9a-f]{12}")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux alone has it


class ExecutorLock:
    """The lock of an executor id that no other living process has."""

    def __init__(self, directory: Path, name: str, descriptor: int) -> None:
        self.directory = directory
        self.executor_id = name
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the id for another process."""
        os.close(self._descriptor)


def acquire(directory: Path, prefix: str | None = None, *, version: str = "") -> ExecutorLock:
    """Acquire and return the lock of the first free id: the prefix (by default the host name) and a number.

    Args:
        directory: The directory of the locks.
        prefix: What the id begins with.
        version: The version of the workflows that this process executes.

    Raises:
        OSError: The directory cannot be written.
    """
    prefix = prefix or host_name()
    number = 0
    while True:
        lock = _acquire(directory, f"{prefix}-{number}", version)
        if lock is not None:
            return lock
        number += 1


def acquire_unique(directory: Path, prefix: str, *, version: str = "") -> ExecutorLock:
    """Acquire and return the lock of an id that no process has had or will have.

    Args:
        directory: The directory of the locks.
        prefix: What the id begins with.
        version: The version of the workflows that this process executes.

    Raises:
        OSError: The directory cannot be written.
    """
    while True:
        lock = _acquire(directory, f"{prefix}.{secrets.token_hex(6)}", version, is_unique=True)
        if lock is not None:  # else another process has just found its file, and holds it for dead
            return lock


def is_unique(executor_id: str) -> bool:
    """Return whether an id is one of `acquire_unique`."""
    return _UNIQUE.fullmatch(executor_id) is not None


def host_name() -> str:
    """Return the name of this machine, in characters that a file name may have."""
    return re.sub(r"[^\w.-]", "_", socket.gethostname()) or "host"


def prefix_of(data_dir: Path) -> str:
    """Return a prefix that differs between processes of one host that share a database but no directory for locks."""
    directory_hash = hashlib.blake2s(str(data_dir.resolve()).encode(), digest_size=4).hexdigest()
    return f"{host_name()}-{directory_hash}"


def ids_in(directory: Path) -> list[str]:
    """Return the ids that have a lock file in a directory, of living processes and dead ones."""
    return sorted(path.name.removesuffix(SUFFIX) for path in directory.glob(f"*{SUFFIX}"))


def has_lock_file(directory: Path, executor_id: str) -> bool:
    """Return whether an executor of this id has ever acquired its lock in this directory."""
    return Path(executor_id).name == executor_id and _file(directory, executor_id).exists()


def version_of(directory: Path, executor_id: str) -> str | None:
    """Return the version of workflows that an executor's lock file names; None where it names none."""
    version = _read(_file(directory, executor_id)).get("version")
    return version if isinstance(version, str) and version else None


@contextmanager
def lock_if_free(directory: Path, executor_id: str) -> Iterator[bool]:
    """Hold the lock of another executor while the block runs, if there is one and nobody holds it.

    Yields:
        Whether the lock is held: not if the process lives, and not if it has never used this directory.
    """
    if Path(executor_id).name != executor_id:
        yield False
        return
    descriptor = _lock(_file(directory, executor_id), create=False)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def lock_if_dead(directory: Path, executor_id: str) -> Iterator[bool]:
    """Hold the lock of another executor while the block runs, if it says that its process is dead.

    Yields:
        Whether the lock is held: not if the process lives, was never on this machine, or was so before it was booted,
        nor if the file is a copy of the one that it locked.
    """
    with lock_if_free(directory, executor_id) as free:
        yield free and is_original(directory, executor_id)


def is_original(directory: Path, executor_id: str) -> bool:
    """Return whether a lock file is the one that was locked, on this machine since its boot, as far as it says."""
    path = _file(directory, executor_id)
    content = _read(path)
    if content.get("boot") not in {None, _boot_id()}:
        return False
    try:
        return content.get("file") in {None, _identity(path.stat())}
    except FileNotFoundError:
        return False


def remove(directory: Path, executor_id: str) -> None:
    """Remove the file of a lock that is held by `lock_if_free` and whose id nobody uses again."""
    with suppress(FileNotFoundError):
        _file(directory, executor_id).unlink()


def _file(directory: Path, executor_id: str) -> Path:
    return directory / f"{executor_id}{SUFFIX}"


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None


def _identity(status: os.stat_result) -> str:
    """Return what a file shares with no other of this machine: not with its copies."""
    return f"{status.st_dev}:{status.st_ino}"


def _acquire(directory: Path, name: str, version: str, *, is_unique: bool = False) -> ExecutorLock | None:
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(_file(directory, name), create=True)
    if descriptor is None:
        return None
    content: dict[str, str | None] = {"version": version}
    if is_unique:
        content |= {"boot": _boot_id(), "file": _identity(os.fstat(descriptor))}
    with suppress(OSError):  # a full disk: what a file does not say is not known
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(content).encode(), 0)
    return ExecutorLock(directory, name, descriptor)


def _read(path: Path) -> dict[str, object]:
    """Return what a lock file says; nothing if it cannot be read, as that of an earlier release."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
