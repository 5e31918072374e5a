"""The snippets of the pages on the openai and anthropic SDKs print what the pages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.page_snippets import code_blocks, run_snippet
from tests.support.sdk_calls import API, CHAT, MESSAGES

PAGES = Path(__file__).parents[4] / "docs" / "models"


@pytest.mark.slow
@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=lambda api: api.sdk)
def test_the_snippet_prints_what_the_page_says(api: API, sparklio_path: Path) -> None:
    page = PAGES / f"{api.sdk}.md"
    [code], [shown] = code_blocks("python", page), code_blocks("text", page)
    with api.server() as server:
        name = api.sdk.upper()
        environment = {f"{name}_API_KEY": "none", f"{name}_BASE_URL": api.address(server)}
        ran = run_snippet(code, sparklio_path, "-W", "error", environment=environment)
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
