"""What ``/metrics`` shows of runs, steps, calls, tokens and verdicts is what the studio stored: difference 0.

One of the runs was under way when its process was killed with -9, and one was taken over while its process lived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from app.agents import AGENTS
from tests.end_to_end.conftest import Life
from tests.support.studio import WORKFLOWS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def here(life: Life, amount: Callable[[dict[str, Any]], int]) -> dict[tuple[str], int]:
    """Add up an amount of the stored steps by agent, without what the first life stored."""
    found: Counter[tuple[str]] = Counter()
    for step in life.steps:
        found[step["agent_name"],] += amount(step)
    for step in life.stored_before:
        tokens = {"prompt": step["prompt_tokens"], "completion": step["completion_tokens"]}
        found[step["agent_name"],] -= amount({**step, "tokens": tokens})
    return {key: value for key, value in found.items() if value}


def outcome(run: dict[str, Any]) -> str:
    """Say whether what a run spent was of use, from its row and its last review."""
    verdicts = [step["output"]["verdict"] for step in run["steps"] if (step["output"] or {}).get("verdict")]
    return "useful" if run["status"] == "completed" and verdicts[-1:] != ["rejected"] else "wasted"


@pytest.mark.parametrize("kind", ["prompt", "completion"])
def test_tokens_of_agents_are_those_of_their_steps(kind: str, life: Life) -> None:
    told = {
        (name,): count
        for (name, token_type), count in life.counts("agent_tokens_total", "agent_name", "token_type").items()
        if token_type == kind
    }
    assert told == here(life, lambda step: step["tokens"][kind])


def test_tokens_of_agents_are_those_of_models(life: Life) -> None:
    told = life.counts("agent_tokens_total", "token_type")
    assert told == life.counts("llm_tokens_total", "token_type")


def test_the_embedded_model_costs_nothing_on_purpose(life: Life) -> None:
    """A price of 0, which is not the same as a price that nobody knows."""
    assert {step["cost"] for step in life.steps if step["status"] == "success"} == {0.0}
    assert {run["cost"] for run in life.runs if run["status"] == "completed"} == {0.0}
    for name in (
        "llm_cost_usd_total",
        "llm_unpriced_requests_total",
        "agent_cost_usd_total",
        "workflow_cost_usd_total",
    ):
        assert any(sample.name == f"sparklio_{name}" for sample in life.samples)
        assert life.counts(name) == {}


def test_calls_of_models_are_those_of_agents(life: Life) -> None:
    assert life.counts("llm_requests_total") == life.counts("agent_llm_calls_sum")
    assert life.counts("llm_attempts_total", "provider") == {("embedded",): life.counts("llm_requests_total")[()]}
    assert life.counts("llm_requests_total", "status")["success",] == life.counts("llm_finish_reasons_total")[()]


def test_calls_of_agents_are_those_of_their_steps(life: Life) -> None:
    assert life.counts("agent_llm_calls_sum", "agent_name") == here(life, lambda step: step["llm_calls"])
    executions = life.counts("agent_executions_total", "agent_name")
    for family in ("agent_llm_calls", "agent_tool_calls", "context_size_tokens", "context_window_utilization_ratio"):
        assert life.counts(f"{family}_count", "agent_name") == executions


def test_runs_are_billed_whole_by_what_came_of_them(life: Life) -> None:
    """The killed run with what both processes paid for it."""
    tokens: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str]] = Counter()
    for run in life.runs:
        tokens[run["workflow_type"], outcome(run)] += run["tokens"]["total"]
        calls[run["workflow_type"],] += run["llm_calls"]
    assert life.counts("workflow_tokens_total", "workflow_type", "outcome") == +tokens
    assert life.counts("workflow_llm_calls_sum", "workflow_type") == calls
    assert life.counts("workflow_duration_seconds_count", "workflow_type", "status") == life.counts(
        "workflows_total", "workflow_type", "status"
    )


def test_steps_are_those_that_were_stored(life: Life) -> None:
    stored = Counter((run["workflow_type"], step["name"], step["status"]) for run in life.runs for step in run["steps"])
    stored -= Counter((step["workflow_type"], step["name"], step["status"]) for step in life.stored_before)
    assert life.counts("workflow_steps_total", "workflow_type", "step", "status") == stored
    timed = life.counts("workflow_step_duration_seconds_count", "workflow_type", "step")
    assert timed == life.counts("workflow_steps_total", "workflow_type", "step")


def test_verdicts_are_those_of_the_stored_reviews(life: Life) -> None:
    stored = Counter(
        (step["agent_name"], step["output"]["verdict"]) for step in life.steps if (step["output"] or {}).get("verdict")
    )
    assert stored
    assert life.counts("agent_review_verdicts_total", "agent_name", "verdict") == stored


def test_as_many_runs_ended_as_started_over_both_lives(life: Life) -> None:
    """The one that was killed started in the first and ended in the second."""
    started = Counter(life.counts("workflows_started_total", "workflow_type"))
    for sample in life.first:
        if sample.name == "sparklio_workflows_started_total" and sample.value:
            started[sample.labels["workflow_type"],] += sample.value  # type: ignore[assignment]  # as all samples
    assert started == life.counts("workflows_total", "workflow_type")
    assert {kind for (kind,) in started} == set(WORKFLOWS)
    begun_here = life.counts("workflows_started_total", "workflow_type")
    assert life.counts("workflow_queue_wait_seconds_count", "workflow_type") == begun_here


def test_nothing_is_in_flight_at_the_end(life: Life) -> None:
    gauges = ("active_workflows", "active_agent_executions", "llm_active_requests", "workflow_oldest_active_seconds")
    for family in gauges:
        assert any(sample.name == f"sparklio_{family}" for sample in life.samples)
        assert life.counts(family) == {}


def test_tools_are_those_of_the_agents_plans(life: Life) -> None:
    """The embedded model calls none by itself, so an agent that got to its end used each of its tools once."""
    done = Counter(step["agent_name"] for step in life.steps if step["status"] == "success")
    done -= Counter(step["agent_name"] for step in life.stored_before if step["status"] == "success")
    least: Counter[str] = Counter()
    for name, times in done.items():
        least.update(dict.fromkeys(AGENTS[name].tools, times))
    used = {name: count for (name,), count in life.counts("tool_calls_total", "tool_name").items()}
    assert all(used[name] >= times for name, times in least.items())
    assert sum(used.values()) == sum(life.counts("agent_tool_calls_sum").values())
    assert life.counts("tool_call_duration_seconds_count", "tool_name") == life.counts("tool_calls_total", "tool_name")


def test_the_phases_of_agents_add_up_to_their_time(life: Life) -> None:
    spent = life.counts("agent_time_seconds_total", "agent_name")
    assert spent == pytest.approx(life.counts("agent_execution_duration_seconds_sum", "agent_name"), rel=0.01)
    assert {phase for (phase,) in life.counts("agent_time_seconds_total", "phase")} == {"llm", "tool", "self"}


def test_errors_of_agents_are_those_of_their_executions(life: Life) -> None:
    ended = life.counts("agent_executions_total", "agent_name", "status")
    failed = {(name, status): count for (name, status), count in ended.items() if status != "success"}
    assert life.counts("agent_errors_total", "agent_name", "error_type") == failed  # all of them cancelled


def test_what_was_trimmed_is_told(life: Life) -> None:
    reasons = life.counts("context_truncations_total", "reason")
    assert reasons.keys() == {("app_trim",)}
    assert life.counts("context_dropped_bytes_total")[()] > 0
