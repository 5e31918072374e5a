"""The usage of a tree of processes, as Linux says (``man 5 proc``)."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcessUsage:
    """The usage of one process.

    Attributes:
        pid: Its id.
        command: Its command line, shortened.
        memory: Bytes that are resident.
        descriptors: Open file descriptors.
        threads: Threads.
        cpu: Seconds of processor time so far, of the threads that live.
        cpu_of_ended: That of its children that have ended, with theirs.
    """

    pid: int
    command: str
    memory: int
    descriptors: int
    threads: int
    cpu: float
    cpu_of_ended: float


def tree_usage(root: int) -> list[ProcessUsage]:
    """Return the usage of a process and of all its descendants, without those that end meanwhile."""
    found = []
    for pid in _tree(root):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(_usage(pid))
    return found


def _tree(root: int) -> list[int]:
    pids = [root]
    for pid in pids:  # it grows meanwhile
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return pids


def _usage(pid: int) -> ProcessUsage:
    directory = Path(f"/proc/{pid}")
    # After the name, which is in brackets and may have spaces: fields 3 and up.
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    words = (directory / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    return ProcessUsage(
        pid=pid,
        command=" ".join(words[1:]).strip() or words[0],
        memory=int((directory / "statm").read_text().split()[1]) * _PAGE,
        descriptors=sum(1 for _ in (directory / "fd").iterdir()),
        threads=int(fields[17]),
        cpu=sum(int((task / "schedstat").read_text().split()[0]) for task in (directory / "task").iterdir()) / 1e9,
        cpu_of_ended=(int(fields[13]) + int(fields[14])) / _TICKS,
    )
