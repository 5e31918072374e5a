"""The snippet of a library's page runs, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[3] / "docs" / "models"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("mcp", marks=pytest.mark.models("mcp")),
        pytest.param("openai-agents", marks=pytest.mark.models("agents")),
        pytest.param("litellm", marks=pytest.mark.models("litellm")),
    ],
)
def test_the_snippet_prints_what_the_page_shows(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    [code], [shown] = (
        re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) for kind in ("python", "text")
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
