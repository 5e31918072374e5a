"""A server in a process of its own, started by any command; its output goes into a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.wait import wait_until

CLOCK_SHIFT = """\
import time

real = time.time, time.time_ns
time.time = lambda: real[0]() + {seconds}
time.time_ns = lambda: real[1]() + {seconds} * 10**9
"""


def environment_with_shifted_clock(seconds: int, directory: Path) -> dict[str, str]:
    """Return an environment in which Python's clock is so many seconds ahead, from the start of a process.

    A test must not set the machine's clock, and libfaketime (0.9.10) breaks ``time.sleep``.
    """
    (directory / "sitecustomize.py").write_text(CLOCK_SHIFT.format(seconds=seconds))
    return {"PYTHONPATH": os.pathsep.join([str(directory), *filter(None, [os.environ.get("PYTHONPATH")])])}


@contextmanager
def running_server(
    url: str, command: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path
) -> Iterator[None]:
    """Run Python with these arguments until the block ends; the block starts when the URL answers."""
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=cwd, env=environment, stdout=output, stderr=output)
    with process:
        try:
            wait_until(lambda: is_answering(url, process, log), within=60)
            yield
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def is_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Return whether a URL answers, with any status."""
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(url).status_code > 0
    except httpx.HTTPError:
        return False
