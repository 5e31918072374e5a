"""The catalogue is printed as a table, Markdown or JSON, one metric family once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

from events import agent_finished, agent_run, llm_called, llm_usage_billed
from metrics import CATALOGUE, GROUPS, OPTIONAL, Metric, counter, gauge, histogram, in_flight, subscribe
from metrics.__main__ import main
from metrics.diagnostics.check import most_series
from metrics.diagnostics.listing import MODES, at_zero_from, describe_families, format_markdown
from metrics.validation import MultiprocessMode

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


def test_the_groups_are_listed_with_their_shares_of_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["groups"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["group", "families", "most", "series", "share", "of", "budget", "taken"]
    rows = {name: values for name, *values in map(str.split, lines)}
    assert [*rows] == [f"metrics:{name.upper()}" for name in GROUPS]
    for (families, series, share, taken), group in zip(rows.values(), GROUPS.values(), strict=True):
        assert (int(families), taken) == (len({row.name for row in group}), "all")
        assert int(series.replace(",", "")) == most_series(group)
        assert float(share.removesuffix("%")) == pytest.approx(most_series(group) / 40_000 * 100, abs=0.051)


def section(markdown: str, title: str) -> dict[str, str]:
    """Return a section's table, the second cell by the first."""
    text = markdown.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return dict(rows[1:])


def test_each_ladder_of_buckets_is_listed_once_with_the_histograms_that_have_it() -> None:
    rows = (
        histogram("asked", "h", agent_finished, value="llm_calls", buckets=(0.5, 67108864)),
        histogram("used", "h", agent_finished, value="tool_calls", buckets=(0.5, 67108864)),
        histogram("took_seconds", "h", agent_finished, value="duration", buckets=(0.5, 1)),
        counter("ran_total", "h", agent_finished),
    )
    listed = format_markdown(list(describe_families(rows, "acme")))
    assert section(listed, "Buckets") == {"0.5, 67108864": "`acme_asked`, `acme_used`", "0.5, 1": "`acme_took_seconds`"}


def test_what_a_gauge_shows_of_several_workers_is_listed() -> None:
    rows = (
        gauge("left", "h", agent_finished, value="llm_calls", labels=("agent_name",), expires_after=60),
        gauge("most", "h", agent_finished, value="llm_calls", multiprocess_mode="max"),
        in_flight("running", "h", agent_run),
        counter("ran_total", "h", agent_finished),
    )
    listed = format_markdown(list(describe_families(rows, "acme")))
    assert section(listed, "Gauges of several workers") == {
        "the sum of those that live; gone 60 s after it": "`acme_left`",
        "the largest there ever was": "`acme_most`",
        "the sum of those that live": "`acme_running`",
    }


def test_every_mode_of_a_gauge_has_words() -> None:
    assert list(MODES) == list(get_args(MultiprocessMode))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (counter("a_total", "h", agent_finished), "the start"),
        (counter("a_total", "h", agent_finished, initialize=False), "the start"),
        (counter("a_total", "h", agent_finished, labels=("status",)), "the start"),
        (counter("a_total", "h", agent_finished, labels=("status",), initialize=False), ""),
        (counter("a_total", "h", agent_finished, labels=("agent_name", "status")), "agent_name"),
        (
            counter("a_total", "h", agent_finished, labels=("status",), expected={"status": ("error",)}),
            "the start (status error)",
        ),
        (counter("a_total", "h", agent_finished, labels=("agent_name",), rename={"agent_name": "who"}), "who"),
        (in_flight("a", "h", agent_run, labels=("agent_name",)), "agent_name"),
        (in_flight("a", "h", agent_run), "the start"),
        (gauge("a", "h", agent_finished, value="llm_calls", labels=("status",)), ""),
        (gauge("a", "h", agent_finished, value="llm_calls"), ""),
    ],
)
def test_the_listing_says_when_series_exist_at_0_as_they_do(
    row: Metric, expected: str, registry: CollectorRegistry
) -> None:
    assert at_zero_from(row) == expected

    def exists() -> bool:
        return any(sample.value == 0 for family in registry.collect() for sample in family.samples)

    with subscribe([row], registry, namespace="acme") as live:
        assert exists() is expected.startswith("the start")
        live.initialize(agent_name=["scout"])
        assert exists() is bool(expected)


def test_the_values_that_an_events_fields_must_have_are_listed() -> None:
    rows = (
        counter("a_total", "h", llm_called, where={"itemized": False, "status": "success"}),
        counter("a_total", "h", llm_called, where={"itemized": False, "status": "success"}),
        counter("a_total", "h", llm_usage_billed),
    )
    [family] = describe_families(rows, "")
    assert family["counted"] == "llm_called (itemized: false, status: success), llm_usage_billed"
