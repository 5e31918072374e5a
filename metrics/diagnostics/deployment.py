"""Deployment checks: ways to start a server that make its numbers wrong, found by the process itself at its start."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from time import time

from events import setup_fault_found
from events.pipeline import SetupFault

ADVICE: Mapping[SetupFault, str] = {
    "unshared_workers": (
        "several processes serve, and each counts for itself: /metrics shows what the one that answers has seen."
        " Give them a folder in common, by instrument(app, folder=...), or metrics.Workers(folder) and"
        " subscribe(workers=...), or by the setting that the application has for it"
    ),
    "reload": (
        "the server restarts whenever a file changes, and every counter begins at zero with it."
        " Leave --reload (or `fastapi dev`, or `reload=True`) out in production"
    ),
    "clock": (
        "two clocks differ (this machine's, the database's, or the one that dated the program's own files): times of"
        " last events, and durations of runs that cross processes, are wrong by as much. Set them, and keep them by NTP"
    ),
}
"""What to do about each `SetupFault`.

An application may replace a text, to name its own settings: in `process_lifespan`, and for the doctor in its
``pyproject.toml``.
"""

CLOCK_TOLERANCE = 2.0  # seconds; a clock that NTP keeps is off by thousandths
_FILE_TIME_TOLERANCE = 60.0  # seconds that our own files may lie in the future: they may have been copied


def check_deployment(*, shared: bool, clock_ahead: float | None = None) -> list[SetupFault]:
    """Return the faults in the way this process was started, and emit `setup_fault_found` for each.

    Args:
        shared: Whether the process shares its numbers with others.
        clock_ahead: By how many seconds another machine's clock is ahead of this one's, where that is known.
    """
    found = list(
        find_faults(
            shared=shared,
            clock_ahead=clock_ahead,
            command=sys.argv,
            parent_command=command_line(os.getppid()),
            server_config=uvicorn_config(),
        )
    )
    for fault in found:
        setup_fault_found.emit(fault=fault)
    return found


def find_faults(
    *,
    shared: bool,
    clock_ahead: float | None,
    command: Sequence[str],
    parent_command: Sequence[str],
    server_config: object = None,
) -> Iterator[SetupFault]:
    """Yield the faults that a process's command line, its parent's, and uvicorn's configuration show."""
    configured = getattr(server_config, "workers", None)
    workers = configured if isinstance(configured, int) else 1  # another program's may hold anything by that name
    if not shared and max(workers, requested_workers(command, parent_command, os.environ)) > 1:
        yield "unshared_workers"
    if getattr(server_config, "reload", False) or any(requests_reload(words) for words in (command, parent_command)):
        yield "reload"
    if (clock_ahead is not None and clock_differs(clock_ahead)) or newest_module_time() > time() + _FILE_TIME_TOLERANCE:
        yield "clock"


def clock_differs(ahead: float) -> bool:
    """Return whether a clock that is ahead by so many seconds, or behind where that is below 0, is wrong."""
    return abs(ahead) > CLOCK_TOLERANCE


def uvicorn_config() -> object:
    """Return the configuration that uvicorn passed to this process, or None if uvicorn did not start it.

    uvicorn passes it to the processes that it starts as workers or restarts at changes, whether its values came from
    options, from environment variables or from a program that calls ``uvicorn.run``.
    """
    from multiprocessing import current_process  # for one question at the start of a server

    return getattr(current_process(), "_kwargs", {}).get("config")


def requested_workers(command: Sequence[str], parent_command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return how many processes serve, read from the command lines of uvicorn, gunicorn, hypercorn or granian."""
    for words in (parent_command, command):
        if not any(is_server_name(word) for word in words[:4]):
            continue
        line = " ".join(words)
        if number := re.search(r"(?:^| )(?:--workers[= ]|-w ?)(\d+)", line):
            return int(number[1])
        default = environment.get("WEB_CONCURRENCY", "")
        if default.isdigit():  # uvicorn and gunicorn read it where the option is missing
            return int(default)
        if words is parent_command and any("gunicorn" in word for word in words[:4]):
            return count_children(os.getppid())  # gunicorn's configuration file may set the number
    return 1


def is_server_name(word: str) -> bool:
    """Return whether a word of a command line is the name of an ASGI server."""
    name = Path(word).name.removesuffix(":")
    return name in ("uvicorn", "gunicorn", "hypercorn", "granian", "fastapi")


def requests_reload(words: Sequence[str]) -> bool:
    """Return whether a command line starts a server that restarts at changes of files."""
    if not any(is_server_name(word) for word in words[:4]) or "--no-reload" in words:
        return False
    return "--reload" in words or ("dev" in words[1:4] and any(Path(word).name == "fastapi" for word in words[:3]))


def command_line(process_id: int) -> list[str]:
    """Return the words of a process's command line; none where there is no ``/proc``."""
    try:
        line = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return []
    return [word for part in line.decode(errors="replace").split("\0") for word in part.split(" ") if word]


def count_children(process_id: int) -> int:
    """Return the number of a process's children; 1 where there is no ``/proc``."""
    try:
        return len(Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split())
    except OSError:
        return 1


def newest_module_time() -> float:
    """Return when the newest module of this package was written, as a Unix time in seconds."""
    package = Path(import_module(__name__.partition(".")[0]).__path__[0])
    return max(path.stat().st_mtime for path in package.rglob("*.py"))
