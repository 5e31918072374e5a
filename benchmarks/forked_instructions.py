"""Counts the instructions of one more call of something, which hardly vary from run to run, as times do.

A benchmark's module is run by callgrind: it does a thing few times in a fork of itself, and many times in another one.
They are the instructions of this build of Python.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

FEW, MANY = 10, 60
NOTE = "callgrind, CPython 3.11 without optimization by profile"


def count(module: str) -> dict[str, float]:
    """Return the instructions of one call by variant: what many take, less what few take.

    ``python -m MODULE`` calls `print_forks` for each variant, and nothing else that prints.

    Raises:
        SystemExit: valgrind is not there.
    """
    if shutil.which("valgrind") is None:
        raise SystemExit(f"{module} needs valgrind: apt-get install valgrind")
    with TemporaryDirectory() as directory:
        out = Path(directory)
        callgrind = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}/%p")
        done = subprocess.run(
            [*callgrind, sys.executable, "-m", module],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows = [line.rsplit(":", 2) for line in done.stdout.splitlines()]
        few, many = (
            {variant: total_of(out / pid) for variant, number, pid in rows if int(number) == wanted}
            for wanted in (FEW, MANY)
        )
    return {variant: (many[variant] - few[variant]) / (MANY - FEW) for variant in many}


def total_of(profile: Path) -> int:
    """Return the instructions of a process, of which callgrind wrote a profile."""
    found = re.search(r"^totals: (\d+)$", profile.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{profile} has no totals")
    return int(found[1])


def print_forks(variant: str, call: Callable[[int], object]) -> None:
    """Call few times in a fork of this process and many times in another; print the variant, how often and in which.

    ``call`` takes how often. It is called here first: by then the interpreter has specialised the code that runs often.
    """
    call(MANY)
    for number in (FEW, MANY):
        process = os.fork()
        if process == 0:
            call(number)
            os._exit(0)
        os.waitpid(process, 0)
        print(f"{variant}:{number}:{process}", flush=True)
