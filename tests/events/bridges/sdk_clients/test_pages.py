"""The snippets of the pages on the openai and anthropic SDKs print what the pages say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sdk_calls import API, CHAT, MESSAGES

PAGES = Path(__file__).parents[4] / "docs" / "models"


@pytest.mark.slow
@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=lambda api: api.sdk)
def test_the_snippet_prints_what_the_page_says(api: API) -> None:
    [code], [shown] = (
        re.findall(rf"^```{kind}\n(.*?)^```$", (PAGES / f"{api.sdk}.md").read_text(), re.MULTILINE | re.DOTALL)
        for kind in ("python", "text")
    )
    with api.server() as server:
        name = api.sdk.upper()
        environment = {f"{name}_API_KEY": "none", f"{name}_BASE_URL": api.address(server)}
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
