"""A server in a process of its own, started by any command; what it says goes into a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.studio import until

CLOCK_SHIFT = """\
import time

real = time.time, time.time_ns
time.time = lambda: real[0]() + {seconds}
time.time_ns = lambda: real[1]() + {seconds} * 10**9
"""


def environment_with_shifted_clock(seconds: int, folder: Path) -> dict[str, str]:
    """Give variables by which every Python process has a clock so many seconds ahead, before it loads anything.

    The machine's own clock is no test's to set, and libfaketime (0.9.10) breaks ``time.sleep`` besides.
    """
    (folder / "sitecustomize.py").write_text(CLOCK_SHIFT.format(seconds=seconds))
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


@contextmanager
def running_server(
    url: str, command: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path
) -> Iterator[None]:
    """Run Python with these arguments until the block ends, which begins when the address answers."""
    with log.open("w") as said:
        process = subprocess.Popen([sys.executable, *command], cwd=cwd, env=environment, stdout=said, stderr=said)
    with process:
        try:
            until(lambda: is_answering(url, process, log), within=60)
            yield
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def is_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Tell whether somebody answers there, whatever."""
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(url).status_code > 0
    except httpx.HTTPError:
        return False
