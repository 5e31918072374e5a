"""The snippet of the page about LangChain runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.page_snippets import code_blocks, run_snippet

PAGE = Path(__file__).parents[4] / "docs" / "models" / "langchain.md"


@pytest.mark.slow
@pytest.mark.models("langchain", "langgraph")
def test_the_snippet_runs(sparklio_path: Path) -> None:
    [snippet] = code_blocks("python", PAGE)
    ran = run_snippet(snippet, sparklio_path)
    assert (ran.returncode, ran.stderr) == (0, "")
