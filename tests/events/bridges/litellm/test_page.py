"""The page about the bridge: its snippet runs, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[4] / "docs" / "models" / "litellm.md"


@pytest.mark.slow
@pytest.mark.models("litellm")
def test_the_snippet_of_the_page_prints_what_the_page_shows() -> None:
    page = PAGE.read_text()
    [snippet] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [shown] = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [sys.executable, "-c", snippet]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
