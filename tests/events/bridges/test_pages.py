"""The snippet of a library's page runs, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.page_snippets import code_blocks, run_snippet

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
def test_the_snippet_prints_what_the_page_shows(name: str, sparklio_path: Path) -> None:
    page = PAGES / f"{name}.md"
    [code], [shown] = code_blocks("python", page), code_blocks("text", page)
    ran = run_snippet(code, sparklio_path)
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
