"""Workflow runs and their steps."""

from __future__ import annotations

from events import (
    oldest_workflow_read,
    review_decided,
    rows_expired,
    workflow_backlog_read,
    workflow_billed_late,
    workflow_call_interrupted,
    workflow_finished,
    workflow_limits_read,
    workflow_queue_read,
    workflow_released,
    workflow_requeued,
    workflow_resumed,
    workflow_run,
    workflow_started,
    workflow_step_finished,
)

from .. import buckets
from ..rows import counter, gauge, histogram, in_flight
from .agents import VERDICTS

LABEL_LIMITS = {
    "step": 30,  # pairs of workflow and step
    "workflow_type": 12,
}
"""How many values an open label takes, by its name."""

# Help texts that several rows share.
WORKFLOW_TOKENS = "Tokens of runs that ended: useful where the run completed and no reviewer rejected it, else wasted."
WORKFLOW_COST = "USD of runs that ended, as far as prices are known; useful and wasted as for tokens."
UNFINISHED = "Workflow runs that have not ended: over hosts take the largest, not the sum."
OLDEST_UNFINISHED = "Age of the first queued run, and of the first running one."
WITHOUT_HOLDER = "Unfinished runs that no living process performs or has in its queue: 0 is well."
WORKFLOW_ERRORS = "Workflow runs that failed or were abandoned, by cause."
WASTED_COST = "USD of workflow_cost_usd_total that are wasted, by why."

# fmt: off
WORKFLOWS = (
    counter("workflows_total", "Workflow runs that ended.",
        workflow_finished, labels=("workflow_type", "status")),
    counter("workflow_errors_total", WORKFLOW_ERRORS,
        workflow_finished, labels=("workflow_type", "error_type"), where={"status": "failed"},
        initialize=False),
    counter("workflow_errors_total", WORKFLOW_ERRORS,
        workflow_finished, labels=("workflow_type", "error_type"), where={"status": "abandoned"},
        initialize=False),
    in_flight("active_workflows", "Workflow runs under way.",
        workflow_run, resumed=workflow_resumed, released=workflow_released, labels=("workflow_type",)),
    counter("workflows_started_total",
        "Workflow runs that left the queue.",
        workflow_started, labels=("workflow_type",)),
    counter("workflows_resumed_total", "Workflow runs taken up that another process had started.",
        workflow_resumed, labels=("workflow_type",)),
    counter("workflow_requeues_total", "Unfinished runs that no process performed, queued again, by reason.",
        workflow_requeued, labels=("workflow_type", "reason"), initialize=False),
    histogram("workflow_duration_seconds", "Time a run took from leaving the queue to its end, by the wall clock.",
        workflow_finished, value="duration", labels=("workflow_type", "status"), buckets=buckets.WORKFLOW),
    histogram("workflow_queue_wait_seconds", "Time a run stood in the queue.",
        workflow_started, value="queue_wait", labels=("workflow_type",), buckets=buckets.QUEUE_WAIT,
        initialize=True),
    counter("workflow_steps_total", "Steps of runs that ended, each attempt by itself.",
        workflow_step_finished, labels=("workflow_type", "step", "status"), nested_in={"step": "workflow_type"},
        initialize=False),
    histogram("workflow_step_duration_seconds", "Time one attempt at a step took, however it ended.",
        workflow_step_finished, value="duration", labels=("workflow_type", "step"), nested_in={"step": "workflow_type"},
        buckets=buckets.STEP),
    gauge("workflow_oldest_active_seconds",
        "Age of the oldest run under way, by the wall clock; 0 is none.",
        oldest_workflow_read, value="age", labels=("workflow_type",), multiprocess_mode="livemax"),
    gauge("workflows_queued",
        "Workflow runs in the queue, which all processes share: take the largest, not the sum.",
        workflow_queue_read, value="queued", labels=("workflow_type",), multiprocess_mode="livemax"),
    gauge("workflow_oldest_queued_seconds",
        "Age of the first run in the queue, by the wall clock; 0 is none.",
        workflow_queue_read, value="oldest_age", labels=("workflow_type",), multiprocess_mode="livemax"),
    gauge("workflows_unfinished", UNFINISHED, workflow_backlog_read, value="queued",
        const_labels={"status": "queued"}, multiprocess_mode="livemostrecent"),
    gauge("workflows_unfinished", UNFINISHED, workflow_backlog_read, value="running",
        const_labels={"status": "running"}, multiprocess_mode="livemostrecent"),
    gauge("workflow_oldest_unfinished_seconds", OLDEST_UNFINISHED, workflow_backlog_read, value="oldest_queued_age",
        const_labels={"status": "queued"}, multiprocess_mode="livemostrecent"),
    gauge("workflow_oldest_unfinished_seconds", OLDEST_UNFINISHED, workflow_backlog_read, value="oldest_running_age",
        const_labels={"status": "running"}, multiprocess_mode="livemostrecent"),
    gauge("workflows_without_holder", WITHOUT_HOLDER, workflow_backlog_read, value="queued_without_holder",
        const_labels={"status": "queued"}, multiprocess_mode="livemostrecent"),
    gauge("workflows_without_holder", WITHOUT_HOLDER, workflow_backlog_read, value="running_without_holder",
        const_labels={"status": "running"}, multiprocess_mode="livemostrecent"),
    gauge("workflow_executors", "Processes on all hosts that perform runs and live: over hosts the largest.",
        workflow_backlog_read, value="executors", const_labels={"state": "alive"}, multiprocess_mode="livemostrecent"),
    gauge("workflow_slots", "Workflow runs that can be performed at once.",
        workflow_limits_read, value="slots"),
    gauge("workflow_queue_limit", "Workflow runs that may stand in the queue; more are refused.",
        workflow_limits_read, value="queue", multiprocess_mode="livemax"),
    gauge("workflow_time_limit_seconds", "Time that a workflow run may take; then it fails.",
        workflow_limits_read, value="run_time", multiprocess_mode="livemax"),
    counter("rows_expired_total", "Rows deleted because they are older than rows are kept, by what they are of.",
        rows_expired, value="rows", labels=("resource",), initialize=False),
    counter("workflow_tokens_total", WORKFLOW_TOKENS,
        workflow_finished, value="own_prompt_tokens", labels=("workflow_type", "outcome")),
    counter("workflow_tokens_total", WORKFLOW_TOKENS,
        workflow_finished, value="own_completion_tokens", labels=("workflow_type", "outcome")),
    counter("workflow_tokens_total", WORKFLOW_TOKENS,
        workflow_billed_late, value="prompt_tokens", labels=("workflow_type", "outcome")),
    counter("workflow_tokens_total", WORKFLOW_TOKENS,
        workflow_billed_late, value="completion_tokens", labels=("workflow_type", "outcome")),
    counter("workflow_cost_usd_total", WORKFLOW_COST,
        workflow_finished, value="own_cost", labels=("workflow_type", "outcome")),
    counter("workflow_cost_usd_total", WORKFLOW_COST,
        workflow_billed_late, value="cost", labels=("workflow_type", "outcome")),
    counter("workflow_wasted_cost_usd_total", WASTED_COST, workflow_finished, value="own_cost",
        labels=("workflow_type", "waste_reason"), rename={"waste_reason": "reason"}, initialize=False),
    counter("workflow_wasted_cost_usd_total", WASTED_COST, workflow_billed_late, value="cost",
        labels=("workflow_type", "waste_reason"), rename={"waste_reason": "reason"}, initialize=False),
    counter("workflow_review_verdicts_total", "Verdicts of reviewing agents, by workflow.",
        review_decided, labels=("workflow_type", "verdict"), initialize=False, expected=VERDICTS),
    counter("workflow_interrupted_calls_total",
        "Model calls under way when their process was killed.",
        workflow_call_interrupted, labels=("workflow_type",)),
    histogram("workflow_llm_calls", "Model calls that one run made, failed ones too.",
        workflow_finished, value="llm_calls", labels=("workflow_type",), buckets=buckets.CALLS),
)
# fmt: on
