"""A run of mypy over programs that use the package as it is installed, strict as over the whole repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONFIGURATION = """\
[mypy]
strict = True
warn_unreachable = True
"""
"""The options of `make check` for libraries, so that what it has found out about them, which is in a cache, holds.

With other ones, each run would look through thousands of files anew, and the next `make check` too.
"""


def check_types(folder: Path, programs: list[str], sparklio_path: Path, configuration: Path) -> tuple[int, str]:
    """Return mypy's exit code and what it says of programs.

    Args:
        folder: Where the programs are, as their names have it.
        programs: Their names.
        sparklio_path: The folder that has the package.
        configuration: A file to write the options into.
    """
    configuration.write_text(CONFIGURATION)
    cache = Path(__file__).parents[2] / ".mypy_cache"
    options = ("--config-file", configuration, "--no-error-summary", "--cache-dir", cache)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *programs],
        cwd=folder, env={**os.environ, "MYPYPATH": str(sparklio_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr
