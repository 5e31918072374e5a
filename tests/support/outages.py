"""Outages for tests: a file is locked, tables of the workflow engine are dropped, processes are suspended."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

from tests.support.wait import wait_until


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of those who write to a SQLite file, as another program does, while the block runs."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def locked_here(file: Path) -> AsyncIterator[None]:
    """Hold the same lock beside a studio in this process: what it has under way needs the event loop to end."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
        while True:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                await asyncio.sleep(0.005)
            else:
                break
        yield


def drop_tables(file: Path, *names: str) -> None:
    """Drop tables of a SQLite file; without names, all of them."""
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for name in names or [name for (name,) in connection.execute(tables)]:
            connection.execute(f'DROP TABLE IF EXISTS "{name}"')
        connection.commit()


def children_of(process: int, word: bytes = b"") -> list[int]:
    """Return the ids of a process's children that have a word in their command line, or a name that it begins with."""
    lists = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")]
    children = [int(child) for text in lists for child in text.split()]
    return [child for child in children if _is_named(Path(f"/proc/{child}"), word)]


def _is_named(process: Path, word: bytes) -> bool:
    return word in (process / "cmdline").read_bytes() or word.startswith((process / "comm").read_bytes().strip())


@contextmanager
def suspended(*processes: int) -> Iterator[None]:
    """Suspend processes by SIGSTOP while the block runs."""
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        # Until they are stopped they may accept a connection.
        wait_until(lambda: all(_state_of(process) == "T" for process in processes))
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _state_of(process: int) -> str:
    """Return the kernel's letter for the state of a process."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
