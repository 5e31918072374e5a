"""Ways to run a server that make its numbers wrong: found at the start, from the process itself."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from multiprocessing import current_process
from pathlib import Path
from time import time
from typing import Literal

from events import setup_fault_found

Fault = Literal["unshared_workers", "reload", "clock"]

ADVICE: Mapping[Fault, str] = {
    "unshared_workers": (
        "several processes serve, and each counts for itself: /metrics says what the one that answers has seen."
        " Start them by SPARKLIO_WORKERS, or give them a common folder: SPARKLIO_METRICS_DIR=/run/sparklio"
    ),
    "reload": (
        "the server restarts whenever a file changes, and every counter begins at zero with it."
        " Leave --reload (or `fastapi dev`, or `reload=True`) out in production"
    ),
    "clock": (
        "two clocks differ (this machine's, the database's, or what the program's own files were dated by): times of"
        " last events, and durations of runs that cross processes, are wrong by as much. Set them, and keep them by NTP"
    ),
}

CLOCK_OFF = 2.0  # seconds; a clock that is kept by NTP is off by thousandths
_FILES_AHEAD = 60.0  # seconds that our own files may seem to come from the future: they may be copied


def examine(*, shared: bool, ahead: float | None = None) -> list[Fault]:
    """Find what is wrong with the way this process was started, and tell each fault as an event.

    Args:
        shared: Whether the process shares its numbers with others.
        ahead: By how many seconds another machine's clock is ahead of this one's, where that is known.
    """
    found = list(
        faults(shared=shared, ahead=ahead, command=sys.argv, parent=command_of(os.getppid()), given=configuration())
    )
    for fault in found:
        setup_fault_found.emit(fault=fault)
    return found


def faults(
    *, shared: bool, ahead: float | None, command: Sequence[str], parent: Sequence[str], given: object = None
) -> Iterator[Fault]:
    """Find what is wrong, given the command lines of a process and of its parent, and uvicorn's configuration."""
    told = getattr(given, "workers", None)
    workers = told if isinstance(told, int) else 1  # another program's configuration may have anything by that name
    if not shared and max(workers, workers_wanted(command, parent, os.environ)) > 1:
        yield "unshared_workers"
    if getattr(given, "reload", False) or any(reloads(words) for words in (command, parent)):
        yield "reload"
    if abs(ahead or 0.0) > CLOCK_OFF or newest_file() > time() + _FILES_AHEAD:
        yield "clock"


def configuration() -> object:
    """Give the configuration that uvicorn handed to this process, None where it did not start it.

    It hands it to the processes that it starts as workers or anew at changes, whether it was told so by options, by
    variables or by a program that calls ``uvicorn.run``.
    """
    return getattr(current_process(), "_kwargs", {}).get("config")


def workers_wanted(command: Sequence[str], parent: Sequence[str], environment: Mapping[str, str]) -> int:
    """Say how many processes serve, as far as uvicorn, gunicorn, hypercorn and granian are told in words."""
    for words in (parent, command):
        if not any(is_server(word) for word in words[:4]):
            continue
        line = " ".join(words)
        if number := re.search(r"(?:^| )(?:--workers[= ]|-w ?)(\d+)", line):
            return int(number[1])
        wanted = environment.get("WEB_CONCURRENCY", "")
        if wanted.isdigit():  # what uvicorn and gunicorn take without the option
            return int(wanted)
        if words is parent and any("gunicorn" in word for word in words[:4]):
            return children_of(os.getppid())  # its configuration file may say it
    return 1


def is_server(word: str) -> bool:
    """Tell whether a word of a command line is a server's name."""
    name = Path(word).name.removesuffix(":")
    return name in ("uvicorn", "gunicorn", "hypercorn", "granian", "fastapi")


def reloads(words: Sequence[str]) -> bool:
    """Tell whether a command line asks for restarts at changes."""
    if not any(is_server(word) for word in words[:4]) or "--no-reload" in words:
        return False
    return "--reload" in words or ("dev" in words[1:4] and any(Path(word).name == "fastapi" for word in words[:3]))


def command_of(process: int) -> list[str]:
    """Give a process's command line, empty where the system does not tell."""
    try:
        line = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return []
    return [word for part in line.decode(errors="replace").split("\0") for word in part.split(" ") if word]


def children_of(process: int) -> int:
    """Count a process's children; one where the system does not tell."""
    try:
        return len(Path(f"/proc/{process}/task/{process}/children").read_text().split())
    except OSError:
        return 1


def newest_file() -> float:
    """Return when the newest module of this package was written, as a Unix time."""
    package = Path(import_module(__name__.partition(".")[0]).__path__[0])
    return max(path.stat().st_mtime for path in package.rglob("*.py"))
