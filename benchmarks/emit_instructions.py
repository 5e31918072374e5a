"""The instructions of emitting an event: to nobody, to a plain listener and into the catalogue, inside a span too.

Instructions hardly vary from run to run, so that what one more line of the bus costs is seen. They are those of this
build of Python.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry

from events import agent_run, llm_called
from metrics import CATALOGUE, subscribe

from .emit import CALL
from .measurement import Claim

BARS = {
    "to nobody": ("one `llm_called` that nobody receives", 11),
    "to a listener": ("one `llm_called` to a plain listener", 25),
    "into the catalogue": ("one `llm_called` into its metrics", 37.7),
    "into the catalogue, in a span": ("one `llm_called` into its metrics, inside an agent's span", 64.9),
}
"""By variant what it is, and at most how many thousand instructions it may take.

Into the catalogue they are half, and in a span 0.55, of what it took where every event was built and every field read.
"""

FEW, MANY = 20, 120


def measure(short: bool) -> list[Claim]:
    """Count the instructions of each variant; in the long form twice."""
    counted = [count() for _ in range(1 if short else 2)]
    return [
        Claim(
            what=f"{what}, in instructions",
            bar=bar,
            better="lower",
            unit="thousand",
            ours=[each[variant] / 1000 for each in counted],
            note="callgrind, CPython 3.11 without optimization by profile",
        )
        for variant, (what, bar) in BARS.items()
    ]


def count() -> dict[str, float]:
    """Return the instructions of one emission by variant: what many take, less what few take, in forks of one process.

    Raises:
        SystemExit: valgrind is not there.
    """
    if shutil.which("valgrind") is None:
        raise SystemExit("emit_instructions needs valgrind: apt-get install valgrind")
    with TemporaryDirectory() as directory:
        out = Path(directory)
        callgrind = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}/%p")
        done = subprocess.run(
            [*callgrind, sys.executable, "-m", __name__],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows = [line.rsplit(":", 2) for line in done.stdout.splitlines()]
        totals = {(variant, int(number)): total_of(out / pid) for variant, number, pid in rows}
    return {variant: (totals[variant, MANY] - totals[variant, FEW]) / (MANY - FEW) for variant in BARS}


def total_of(profile: Path) -> int:
    """Return the instructions of a process, of which callgrind wrote a profile."""
    found = re.search(r"^totals: (\d+)$", profile.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{profile} has no totals")
    return int(found[1])


def emit(number: int) -> None:
    """Emit that many events."""
    for _ in range(number):
        llm_called.emit(**CALL)


def ignore(_: object) -> None:
    """Receive an event."""


def fork_each(variant: str, around: Callable[[], AbstractContextManager[object]] = nullcontext) -> Iterator[str]:
    """Emit few events in a fork of this process and many in another; yield the variant, the number and its process."""
    with around():
        emit(MANY)  # by then the interpreter has specialised the code that runs often
        for number in (FEW, MANY):
            process = os.fork()
            if process == 0:
                emit(number)
                os._exit(0)
            os.waitpid(process, 0)
            yield f"{variant}:{number}:{process}"


def run() -> Iterator[str]:
    """Run every variant; yield which processes did."""
    yield from fork_each("to nobody")
    yield from fork_each("to a listener", lambda: llm_called.connected_to(ignore))
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):
        yield from fork_each("into the catalogue")
        yield from fork_each("into the catalogue, in a span", lambda: agent_run(agent_name="writer"))


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
