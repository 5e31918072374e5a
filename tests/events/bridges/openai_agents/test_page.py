"""The snippet of the page on the OpenAI Agents SDK prints what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[4] / "docs" / "models" / "openai-agents.md"


@pytest.mark.slow
@pytest.mark.models("agents")
def test_the_snippet_prints_what_the_page_says() -> None:
    [code], [shown] = (
        re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        for kind in ("python", "text")
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
