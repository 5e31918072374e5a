"""The catalogue is printed as a table, Markdown or JSON, one metric family once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metrics import CATALOGUE, OPTIONAL
from metrics.__main__ import main

FAMILIES = {row.name for row in CATALOGUE + OPTIONAL}


def test_a_catalogue_of_ones_own_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--catalogue", "metrics.catalogue:CATALOGUE", "--namespace", "acme"]) == 0
    assert "acme_http_requests_total" in capsys.readouterr().out
    assert main(["--catalogue", "metrics.catalogue:NOTHING"]) == 2
    assert "no catalogue at 'metrics.catalogue:NOTHING'" in capsys.readouterr().err


def test_json_describes_each_family_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--format", "json"]) == 0
    described = json.loads(capsys.readouterr().out)
    names = [family["name"] for family in described]
    assert len(names) == len(set(names)) == len(FAMILIES)
    assert {
        "name": "sparklio_llm_tokens_total",
        "type": "counter",
        "labels": ["model", "token_type"],
        "signal": "llm_called, llm_usage_billed",
    }.items() <= described[names.index("sparklio_llm_tokens_total")].items()


def test_the_table_has_a_line_a_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(FAMILIES)
    assert lines[0].split() == ["name", "type", "labels", "signal", "most", "series"]


def test_the_page_of_the_catalogue_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--format", "markdown"]) == 0
    page = Path(__file__).parents[3] / "docs" / "metrics.md"
    assert capsys.readouterr().out in page.read_text(), "run: make docs"
