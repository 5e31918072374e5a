"""A studio lives, is killed, lives on; then ``/metrics`` is held against what others know of the same life."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest

from tests.end_to_end.conftest import Life
from tests.support.studio import ENDED, WORKFLOWS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_requests_are_those_that_the_client_made(life: Life) -> None:
    assert life.counts("http_requests_total", "method", "endpoint", "status_code") == {
        (method, endpoint, str(code)): count for (method, endpoint, code), count in life.studio.tally.items()
    }


def test_requests_are_timed_as_often_as_counted(life: Life) -> None:
    made = Counter[tuple[str, str]]()
    for (method, endpoint, _), count in life.studio.tally.items():
        made[method, endpoint] += count
    assert life.counts("http_request_duration_seconds_count", "method", "endpoint") == made


def test_five_calls_of_health_are_five(life: Life) -> None:
    assert (
        'sparklio_http_requests_total{endpoint="/health",method="GET",status_code="200"} 5.0' in life.text.splitlines()
    )


def test_runs_are_those_of_the_api_also_the_one_that_was_killed(life: Life) -> None:
    assert all(run["status"] in ENDED for run in life.runs)
    assert life.counts("workflows_total", "workflow_type", "status") == Counter(
        (run["workflow_type"], run["status"]) for run in life.runs
    )
    assert [run["status"] for run in life.runs] == ["completed"] * 6 + ["cancelled"]


def test_active_runs_were_seen_and_are_none_now(life: Life) -> None:
    assert life.active.keys() == set(WORKFLOWS)
    assert life.counts("active_workflows", "workflow_type") == {}


def test_agents_are_those_of_the_stored_steps(life: Life) -> None:
    steps = Counter((step["agent_name"], step["status"]) for step in life.steps)
    assert life.counts("agent_executions_total", "agent_name", "status") == steps - life.before
    per_agent = Counter[tuple[str]]()
    for (name, _), count in (steps - life.before).items():
        per_agent[name,] += count
    assert life.counts("agent_execution_duration_seconds_count", "agent_name") == per_agent
    assert life.counts("context_size_bytes_count", "agent_name") == per_agent


def test_tokens_are_those_of_the_stored_steps(life: Life) -> None:
    prompt = sum(step["tokens"]["prompt"] for step in life.steps) - life.tokens_before[0]
    completion = sum(step["tokens"]["completion"] for step in life.steps) - life.tokens_before[1]
    assert life.counts("llm_tokens_total", "model", "token_type") == {
        ("smollm2-135m-instruct", "prompt"): prompt,
        ("smollm2-135m-instruct", "completion"): completion,
    }


def test_the_killed_run_is_whole(life: Life) -> None:
    run = life.runs[0]
    assert run["status"] == "completed"
    assert [step["name"] for step in run["steps"]] == ["copywriter", "reviewer", "optimizer"]
    assert run["tokens"]["prompt"] == sum(step["tokens"]["prompt"] for step in run["steps"]) > 0


def test_model_calls_are_timed_as_often_as_they_succeeded(life: Life) -> None:
    calls = sum(step["llm_calls"] for step in life.steps if step["status"] == "success") - life.before.total()
    assert life.counts("llm_request_duration_seconds_count", "model")["smollm2-135m-instruct",] >= calls


def test_rows_written_are_inserts_counted(life: Life) -> None:
    inserts = {t: v for (o, t), v in life.counts("db_queries_total", "operation", "table").items() if o == "insert"}
    assert inserts["runs"] == len(life.runs) - 1
    assert inserts["steps"] == len(life.steps) - life.before.total()
    timed = life.counts("db_query_duration_seconds_count", "operation", "table")
    assert timed == life.counts("db_queries_total", "operation", "table")


def test_the_workflow_engine_has_a_pool_of_its_own(life: Life) -> None:
    """It counts what the engine does, in no family with a table."""
    pools = life.counts("db_connection_hold_seconds_count", "pool")
    assert pools["dbos",] > 0
    assert pools["main",] > 0
    statements = life.counts("db_pool_statements_total", "pool")
    assert min(statements["dbos",], statements["main",]) > 0
    assert life.counts("db_queries_total")[()] == statements["main",]


def test_every_signal_was_told(life: Life) -> None:
    told = life.counts("last_event_timestamp_seconds", "signal")
    every = {
        sample.labels["signal"] for sample in life.samples if sample.name == "sparklio_last_event_timestamp_seconds"
    }
    assert {signal for (signal,) in told} == every
    assert len(every) >= 10


def test_nothing_failed_on_the_way(life: Life) -> None:
    for fault in ("receiver_failures_total", "events_dropped_total", "label_overflows_total", "dropped_values_total"):
        assert life.counts(fault) == {}


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint(life: Life) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=life.text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_no_prompt_no_output_and_no_brand_is_in_the_metrics(life: Life) -> None:
    said = [value for step in life.steps for value in (step["output"] or {}).values() if isinstance(value, str)]
    for words in [*(text[:30] for text in said if len(text) > 20), "Acme Audio", "earbuds", "commuters"]:
        assert words not in life.text
        assert words not in life.studio.output
