"""Run tests with other versions of libraries than the installed ones."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(sys.prefix) / "versions"  # in the virtual environment: ignored by git, and gone with it


def overlay(*pins: str) -> Path:
    """Return a folder that holds the pinned packages and nothing else, made once.

    First on the path it shadows the virtual environment's versions of these packages, and of nothing else: as good as
    an environment of its own, and made in a second.
    """
    CACHE.mkdir(exist_ok=True)
    folder = CACHE / sha256(" ".join(sorted(pins)).encode()).hexdigest()[:16]
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test workers may call this at once
        if not (folder / "whole").exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]
            subprocess.run([*command, str(folder), *pins], check=True, capture_output=True, text=True)
            (folder / "whole").touch()
    return folder


def run_tests(path: str, *pins: str) -> str:
    """Run tests with the pinned packages, in a process of their own, and return the last line that pytest printed.

    ``CI`` is set, so that no test is skipped for want of a program.

    Raises:
        AssertionError: a test failed.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    env |= {"PYTHONPATH": str(overlay(*pins)), "CI": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", path]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{path} with {' '.join(pins)}:\n{ran.stdout[-8000:]}{ran.stderr[-2000:]}"
    return ran.stdout.strip().splitlines()[-1]
