"""The code of the documents, and a run of it: pages for applications import `sparklio`, as it is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.preloaded import LIBRARIES, run_preloaded


def code_blocks(language: str, page: Path) -> list[str]:
    """Return the code blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def run_snippet(
    code: str,
    sparklio_path: Path,
    *options: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run code by Python with options, where the package is that of a folder, and return how it went."""
    path = os.pathsep.join([str(sparklio_path), *sys.path])
    env = {**os.environ, "PYTHONPATH": path, **(environment or {})}
    return run_preloaded(*options, "-c", code, modules=LIBRARIES, cwd=folder or Path.cwd(), env=env, timeout=100)
