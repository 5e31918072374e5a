"""The site has what its pages link to, also outside of docs/, and loads nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.site_pages import DOCS, ROOT, linked_files, on_page_markdown, on_post_build, place_in_site


def in_site(page: str, markdown: str) -> str:
    """Return what the site has of a page's text."""
    file: Any = SimpleNamespace(file=SimpleNamespace(abs_src_path=str(ROOT / page)))
    return on_page_markdown(markdown, file)


def test_a_link_out_of_the_documents_leads_to_the_copy_in_the_site() -> None:
    assert in_site("docs/deploy.md", "[x](../CHANGELOG.md#renamed)") == "[x](repository/CHANGELOG.md#renamed)"
    assert in_site("docs/runbooks/README.md", "[x](../../README.md)") == "[x](../repository/README.md)"


def test_a_link_from_the_readme_into_the_documents_leads_back() -> None:
    assert in_site("README.md", "[![x](docs/live/map.png)](docs/http.md)") == "[![x](../live/map.png)](../http.md)"


def test_links_within_the_documents_to_elsewhere_and_in_code_stay() -> None:
    for text in ("[x](http.md#a)", "[x](https://example.com/a)", "[x](#a)", "```sh\n[x](../CHANGELOG.md)\n```"):
        assert in_site("docs/deploy.md", text) == text


def test_a_file_whose_name_begins_with_a_dot_has_one_that_mkdocs_shows() -> None:
    assert place_in_site(ROOT / ".pre-commit-config.yaml") == "repository/pre-commit-config.yaml"
    assert place_in_site(DOCS / "models" / "mcp.md") == "models/mcp.md"


def test_the_files_that_a_page_links_to_are_found() -> None:
    assert ROOT / "benchmarks" / "RESULTS.md" in linked_files(DOCS / "listeners.md")


def test_a_page_that_loads_from_elsewhere_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    config: Any = SimpleNamespace(site_dir=str(tmp_path))
    page.write_text('<a href="https://example.com/">x</a><script src="assets/x.js"></script>')
    on_post_build(config)
    for tag in ('<script src="https://example.com/x.js">', '<link rel="x" href="//example.com/x.css">'):
        page.write_text(tag)
        with pytest.raises(ValueError, match="loads from elsewhere"):
            on_post_build(config)
