"""The snippet of the page about OpenTelemetry runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[4] / "docs" / "models" / "opentelemetry.md"


@pytest.mark.slow
@pytest.mark.models("opentelemetry.sdk.trace")
def test_the_snippet_runs() -> None:
    [snippet] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
