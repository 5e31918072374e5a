"""A copy of the repository's files, for mutants to be made in."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".mutants"


@dataclass(frozen=True)
class WorkingCopy:
    """A folder with what git has of the repository, and what is new in it; ``.venv`` is the repository's own."""

    root: Path

    @classmethod
    def make(cls, number: int) -> Self:
        """Return a copy of the files as they are, made anew if they have changed since it was made."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        files = [path for path in sorted(set(listed.stdout.split("\0")) - {""}) if (ROOT / path).is_file()]
        digest = sha256(b"".join(path.encode() + (ROOT / path).read_bytes() for path in files)).hexdigest()[:12]
        root = KEPT / f"{digest}-{number}"
        if not (root / ".whole").exists():
            for old in KEPT.glob(f"*-{number}"):
                shutil.rmtree(old)
            for path in files:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, root / path)
            (root / ".venv").symlink_to(ROOT / ".venv")
            (root / ".whole").touch()
        return cls(root)

    def variables(self, environment: str = "") -> dict[str, str]:
        """Return the variables of a process that imports the copy, and the libraries of a folder in `.venv`, if any."""
        libraries = [str(ROOT / ".venv" / environment)] if environment else []
        # Compiled files are told apart by time and size only: a mutant of the same size, made in the same second,
        # would run as the one before.
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
            "PYTHONPATH": ":".join([str(self.root), str(self.root / "backend"), *libraries]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def pytest(self, *arguments: str) -> list[str]:
        """Return the command that runs pytest in the copy, in the order that it is told."""
        python = str(ROOT / ".venv" / "bin" / "python")
        fixed = ["-m", "pytest", "-q", "-p", "tools.mutants.plugin", "-p", "no:randomly", "-p", "no:cacheprovider"]
        return [python, *fixed, "--hypothesis-profile=mutants", *arguments]
