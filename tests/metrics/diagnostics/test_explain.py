"""A family is explained: which events update it, what emits them, and what its labels may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from events import LLMCalled, agent_finished, agent_run, llm_called
from metrics import CATALOGUE, LABEL_LIMITS, OPTIONAL, counter, gauge, histogram, in_flight
from metrics.diagnostics.explain import FamilyNotFound, explain, find_family, format_explanation

ROWS = (
    counter("runs_total", "Runs.", agent_finished, labels=("agent_name", "status"), where={"status": "success"}),
    counter("cost_usd_total", "Cost.", llm_called, value="cost", rename={"model": "llm"}, labels=("model",)),
    histogram("run_seconds", "Time.", agent_finished, value="duration", buckets=(1, 2.5)),
    in_flight("runs_active", "Open.", agent_run, labels=("agent_name",)),
    gauge("last_cost_usd", "Cost.", llm_called, value="cost", multiprocess_mode="max"),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("runs_total", "runs_total"),
        ("acme_runs_total", "runs_total"),
        ("runs", "runs_total"),
        ("run_seconds_bucket", "run_seconds"),
        ("acme_run_seconds_sum", "run_seconds"),
    ],
)
def test_a_family_is_found_by_what_a_query_calls_it(name: str, expected: str) -> None:
    assert find_family(ROWS, name, "acme") == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [("runs_totall", "did you mean runs_total"), ("cost", "did you mean"), ("zzz", "python -m metrics lists them")],
)
def test_an_unknown_name_is_answered_with_those_alike(name: str, words: str) -> None:
    with pytest.raises(FamilyNotFound, match=words):
        find_family(ROWS[2:] if name == "cost" else ROWS, name, "acme")


def test_the_code_that_emits_is_named_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text("from events import llm_called\n\nllm_called.emit(model='m')\n")
    (row,) = explain(ROWS, "cost_usd_total", sources=["shop.py"])["rows"]
    assert row["emitted"] == ["shop.py:3"]
    assert row["event"].rpartition("/")[2].startswith("llm.py:")
    assert LLMCalled.__doc__ is not None
    assert row["says"] == LLMCalled.__doc__.splitlines()[0]
    assert row["effect"] == "adds its cost"


@pytest.mark.slow
def test_labels_are_explained_by_their_values_or_limits() -> None:
    assert explain(ROWS, "cost_usd_total")["values"] == {"llm": f"at most {LABEL_LIMITS['model']}, then 'other'"}
    values = explain(ROWS, "runs_total")["values"]
    assert values["agent_name"].startswith("at most ")
    assert values["status"].startswith("success, ")


def test_a_label_has_the_values_of_every_row_and_each_event_of_a_family_is_there_once() -> None:
    cost = explain(CATALOGUE, "llm_cost_usd_total")
    assert cost["values"]["source"] == "provider, price_table, unknown"
    feeders = [(row["signal"], row["effect"], *row["where"].items()) for row in cost["rows"]]
    assert len({*feeders}) == len(feeders) == 8
    text = format_explanation(cost)
    assert "  source  provider, price_table, unknown\n" in text
    assert "  llm_usage_billed (cost_source: unknown) adds its cost" in text
    assert "  llm_usage_billed (cost_source: None) adds its cost" in text


def test_the_text_says_what_each_event_does() -> None:
    active = format_explanation(explain(ROWS, "runs_active", namespace="acme"))
    assert active.startswith("acme_runs_active  gauge, at most ")
    assert "  agent_started one more is open" in active
    assert "  agent_finished one less is open" in active
    total = format_explanation(explain(ROWS, "runs_total"))
    assert "  agent_finished (status: success) adds 1" in total
    assert "  at 0 from: agent_name" in total
    assert "buckets: 1, 2.5" in format_explanation(explain(ROWS, "run_seconds"))
    assert "of several workers: the largest there ever was" in format_explanation(explain(ROWS, "last_cost_usd"))


@pytest.mark.slow
def test_code_that_emits_nothing_is_said_to(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    assert "emitted nowhere in the sources" in format_explanation(
        explain(ROWS, "cost_usd_total", sources=[str(tmp_path / "empty.py")])
    )


@pytest.mark.slow
def test_every_family_of_the_studio_names_who_emits_it() -> None:
    """In the slowest way that there is, family by family, for three of different kinds."""
    for name in ("http_requests_total", "llm_request_duration_seconds", "db_pool_connections"):
        family = explain(CATALOGUE + OPTIONAL, f"sparklio_{name}", namespace="sparklio", sources=["app"])
        assert all(row["emitted"] for row in family["rows"]), name
