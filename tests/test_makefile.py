"""The commands of the Makefile that take settings, with a Python that shows what it is given."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("file", "environment", "option", "port"),
    [
        ("", "", "", "8001"),
        ("SPARKLIO_LLM=embedded\n# SPARKLIO_PORT=9001\n", "", "", "8001"),
        ("SPARKLIO_LLM=embedded\nSPARKLIO_PORT=9001\n", "", "", "of the file"),
        ("export SPARKLIO_PORT = 9001\n", "", "", "of the file"),
        ("SPARKLIO_PORT=9001\n", "9002", "", "9002"),
        ("SPARKLIO_PORT=9001\n", "", "9003", "9003"),
        ("", "9002", "9003", "9003"),
    ],
)
def test_a_worker_has_the_port_that_is_given_it_before_its_own(
    file: str, environment: str, option: str, port: str, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".env").write_text(file)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$SPARKLIO_ROLE ${SPARKLIO_PORT:-of the file} $*"\n')
    python.chmod(0o755)
    given = {name: value for name, value in os.environ.items() if not name.startswith(("SPARKLIO_", "MAKE", "MFLAGS"))}
    given |= {"SPARKLIO_PORT": environment} if environment else {}
    options = [f"SPARKLIO_PORT={option}"] if option else []
    made = subprocess.run(
        ["make", "--old-file=.venv/studio", f"BIN={tmp_path}", *options, "worker"],
        cwd=tmp_path, env=given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert made.stdout == f"worker {port} -m app\n"
