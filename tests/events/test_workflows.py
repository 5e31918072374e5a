"""What ended runs say: sums without those of runs inside, the cause of a failure, and why what they spent is wasted."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from events import llm_called, workflow_billed_late, workflow_finished, workflow_run
from events.workflows import WasteReason
from metrics import WORKFLOWS, subscribe
from tests.support.samples import samples


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


@pytest.mark.parametrize(
    ("end", "error_type", "reason"),
    [
        ({"status": "failed", "error_type": "time_limit"}, "time_limit", "failed"),
        ({"status": "failed"}, "other", "failed"),
        ({"status": "abandoned"}, "process_gone", "abandoned"),
        ({"status": "cancelled"}, None, "cancelled"),
        ({"status": "completed", "rejected": True}, None, "rejected"),
        ({"status": "completed"}, None, None),
    ],
)
def test_the_cause_and_the_waste_of_a_run(
    end: dict[str, Any], error_type: str | None, reason: WasteReason | None
) -> None:
    """What is wasted adds up to the wasted part of the cost, late bills included."""
    registry = CollectorRegistry()
    with subscribe(WORKFLOWS, registry, namespace="sparklio"), workflow_finished.captured() as finished:
        workflow_finished.emit(workflow_type="campaign", run_id="1", duration=1.0, cost=0.5, **end)
        workflow_billed_late.emit(
            workflow_type="campaign", run_id="1", outcome=finished[0].outcome, waste_reason=reason, cost=0.25
        )
        errors = {labels["error_type"]: value for labels, value in samples(registry, "workflow_errors_total") if value}
        wasted = {
            labels["reason"]: value for labels, value in samples(registry, "workflow_wasted_cost_usd_total") if value
        }
        cost = registry.get_sample_value(
            "sparklio_workflow_cost_usd_total", {"workflow_type": "campaign", "outcome": "wasted"}
        )
    assert errors == ({} if error_type is None else {error_type: 1})
    assert wasted == ({} if reason is None else {reason: 0.75})
    assert sum(wasted.values()) == cost
    assert (finished[0].error_type, finished[0].waste_reason) == (error_type, reason)
