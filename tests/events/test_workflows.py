"""Runs inside other runs: what the inner ones spent is in the outer ones' sums, and in none of their own."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from events import llm_called, workflow_finished, workflow_run
from metrics import WORKFLOWS, subscribe


def call(tokens: int) -> None:
    llm_called.emit(
        model="m", status="success", duration=1.0, prompt_tokens=tokens, completion_tokens=0, cost=tokens / 1000
    )


def test_the_own_sums_of_nested_runs_add_up() -> None:
    registry = CollectorRegistry()
    with subscribe(WORKFLOWS, registry, namespace="sparklio"), workflow_finished.captured() as finished:
        with workflow_run(workflow_type="campaign", run_id="1"):
            call(100)
            with workflow_run(workflow_type="post", run_id="2"):
                call(20)
                with workflow_run(workflow_type="picture", run_id="3"):
                    call(3)
        tokens = {
            kind: registry.get_sample_value(
                "sparklio_workflow_tokens_total", {"workflow_type": kind, "outcome": "useful"}
            )
            for kind in ("campaign", "post", "picture")
        }
        dollars = registry.get_sample_value(
            "sparklio_workflow_cost_usd_total", {"workflow_type": "campaign", "outcome": "useful"}
        )
    assert [(run.prompt_tokens, run.own_prompt_tokens) for run in finished] == [(3, 3), (23, 20), (123, 100)]
    assert finished[2].cost == pytest.approx(0.123)
    assert finished[2].own_cost == pytest.approx(0.1)
    assert tokens == {"campaign": 100, "post": 20, "picture": 3}
    assert dollars == pytest.approx(0.1)


def test_a_run_that_is_emitted_by_hand_has_all_of_its_sums_for_its_own() -> None:
    with workflow_finished.captured() as finished:
        workflow_finished.emit(
            workflow_type="campaign", run_id="1", status="completed", duration=1.0, prompt_tokens=5, cost=0.5
        )
    assert (finished[0].own_prompt_tokens, finished[0].own_completion_tokens, finished[0].own_cost) == (5, 0, 0.5)
