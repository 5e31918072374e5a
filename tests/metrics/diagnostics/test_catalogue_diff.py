"""What a change of the catalogue does is named, and what breaks queries is told from what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from events import agent_finished, llm_called
from metrics import CATALOGUE, Metric, counter, gauge, histogram
from metrics.diagnostics.catalogue_diff import Change, ListingInvalid, compare, format_changes, load_listing
from metrics.diagnostics.listing import describe_families, format_json

RUNS = counter("runs_total", "Runs.", agent_finished, labels=("agent_name",))


def families(*rows: Metric) -> list[dict[str, Any]]:
    return list(describe_families(rows, "acme"))


def seconds(*buckets: float) -> Metric:
    return histogram("run_seconds", "Time.", agent_finished, value="duration", buckets=buckets)


def broken(changes: list[Change]) -> list[str]:
    return [f"{change.family}: {change.text}" for change in changes if change.breaks]


def test_a_catalogue_is_no_different_from_itself() -> None:
    ours = families(*CATALOGUE)
    assert compare(ours, ours) == []
    assert format_changes([], ours, ours) == "no change"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (RUNS, counter("others_total", "Others.", agent_finished), ["acme_runs_total: removed"]),
        (
            RUNS,
            counter("agent_runs_total", "Runs.", agent_finished, labels=("agent_name",)),
            ["acme_runs_total: renamed to acme_agent_runs_total"],
        ),
        (
            histogram("run_seconds", "Time.", agent_finished, value="duration", buckets=(1,)),
            gauge("run_seconds", "Time.", agent_finished, value="duration"),
            [
                "acme_run_seconds: histogram became gauge",
                "acme_run_seconds: without bucket 1: queries of it by le find nothing",
                "acme_run_seconds: of several workers shows 'livesum', before 'never'",
            ],
        ),
        (
            RUNS,
            counter("runs_total", "Runs.", agent_finished, labels=("agent_name", "status")),
            ["acme_runs_total: new label status: sums stay, what matches all labels finds several series"],
        ),
        (
            RUNS,
            counter("runs_total", "Runs.", agent_finished, labels=("agent_name",), rename={"agent_name": "agent"}),
            [
                "acme_runs_total: without label agent_name: what selects or groups by it finds nothing",
                "acme_runs_total: new label agent: sums stay, what matches all labels finds several series",
            ],
        ),
        (
            seconds(1, 2.5, 5),
            seconds(1, 5, 10),
            ["acme_run_seconds: without bucket 2.5: queries of it by le find nothing"],
        ),
        (
            gauge("cost_usd", "Cost.", llm_called, value="cost"),
            gauge("cost_usd", "Cost.", llm_called, value="cost", multiprocess_mode="max"),
            ["acme_cost_usd: of several workers shows 'max', before 'livesum'"],
        ),
    ],
)
def test_what_breaks_queries_is_named(old: Metric, new: Metric, expected: list[str]) -> None:
    assert broken(compare(families(old), families(new))) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((), (RUNS,), "new: counter by agent_name, at most "),
        ((seconds(1),), (seconds(1, 2),), "new bucket 2"),
        ((RUNS,), (counter("runs_total", "All.", agent_finished, labels=("agent_name",)),), "described as 'All.'"),
        (
            (RUNS,),
            (counter("runs_total", "Runs.", agent_finished, labels=("agent_name",), where={"status": "success"}),),
            "counts 'agent_finished (status: success)', before 'agent_finished'",
        ),
    ],
)
def test_what_breaks_nothing_is_named_too(old: tuple[Metric, ...], new: tuple[Metric, ...], expected: str) -> None:
    changes = compare(families(*old), families(*new))
    assert not broken(changes)
    assert changes[0].text.startswith(expected)


def test_breaking_changes_come_first_and_the_sums_last() -> None:
    old, new = families(RUNS, seconds(1)), families(seconds(1, 2))
    changes = compare(old, new)
    assert [(change.family, change.breaks) for change in changes] == [
        ("acme_runs_total", True),
        ("acme_run_seconds", False),
        ("acme_run_seconds", False),
    ]
    text = format_changes(changes, old, new).splitlines()
    assert text[:2] == ["Breaking", "  acme_runs_total  removed"]
    assert text[3:5] == ["Compatible", "  acme_run_seconds  new bucket 2"]
    assert text[-1].startswith("1 of 3 changes break queries; 2 -> 1 families, at most ")


def test_a_listing_is_read_back(tmp_path: Path) -> None:
    listing = families(RUNS)
    assert format_json(listing).startswith('[\n  {\n    "name": "acme_runs_total"')  # as a person reads it
    (tmp_path / "old.json").write_text(format_json(listing))
    assert load_listing(str(tmp_path / "old.json")) == listing


@pytest.mark.parametrize("text", ["name type labels", "{}", json.dumps([{"name": "x"}]), json.dumps(["x"])])
def test_something_else_is_no_listing(tmp_path: Path, text: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(ListingInvalid, match=r"old\.json is no .*python -m metrics --format json"):
        load_listing(str(tmp_path / "old.json"))
    with pytest.raises(ListingInvalid, match=r"none\.json cannot be read"):
        load_listing(str(tmp_path / "none.json"))
