"""Workflow runs and their steps."""

from __future__ import annotations

from events import (
    oldest_workflow_read,
    rows_expired,
    workflow_billed_late,
    workflow_finished,
    workflow_released,
    workflow_requeued,
    workflow_resumed,
    workflow_run,
    workflow_started,
    workflow_step_finished,
)

from .. import buckets
from ..rows import counter, gauge, histogram, in_flight

LABEL_LIMITS = {
    "step": 24,  # pairs of workflow and step
    "workflow_type": 12,
}
"""How many values an open label takes, by its name."""

# Help texts that several rows share.
WORKFLOW_TOKENS = (
    "Tokens, read and written, of runs that ended: useful where the run completed and its reviewer did not reject "
    "it, else wasted."
)
WORKFLOW_COST = (
    "US dollars that runs cost, booked when they end, as far as prices are known; useful and wasted as for tokens."
)

# fmt: off
WORKFLOWS = (
    counter("workflows_total", "Workflow runs that ended.",
        workflow_finished, labels=("workflow_type", "status")),
    in_flight("active_workflows", "Workflow runs under way in this process, or in all workers together.",
        workflow_run, resumed=workflow_resumed, released=workflow_released, labels=("workflow_type",)),
    counter("workflows_started_total",
        "Workflow runs that left the queue; over all processes, those that ended and those active make up as many.",
        workflow_started, labels=("workflow_type",)),
    counter("workflow_requeues_total", "Unfinished runs that no process performed, queued again, by reason.",
        workflow_requeued, labels=("workflow_type", "reason")),
    histogram("workflow_duration_seconds", "Time a run took from leaving the queue to its end, by the wall clock.",
        workflow_finished, value="duration", labels=("workflow_type", "status"), buckets=buckets.WORKFLOW),
    histogram("workflow_queue_wait_seconds", "Time a run stood in the queue.",
        workflow_started, value="queue_wait", labels=("workflow_type",), buckets=buckets.QUEUE_WAIT),
    counter("workflow_steps_total", "Steps of runs that ended, each attempt by itself.",
        workflow_step_finished, labels=("workflow_type", "step", "status"), nested_in={"step": "workflow_type"}),
    histogram("workflow_step_duration_seconds", "Time one attempt at a step took, however it ended.",
        workflow_step_finished, value="duration", labels=("workflow_type", "step"), nested_in={"step": "workflow_type"},
        buckets=buckets.STEP),
    gauge("workflow_oldest_active_seconds",
        "Age of the oldest run that this process, or any worker, performs, by the wall clock; 0 is none.",
        oldest_workflow_read, value="age", labels=("workflow_type",), multiprocess_mode="livemax"),
    counter("rows_expired_total", "Rows deleted because they are older than rows are kept, by what they are of.",
        rows_expired, value="rows", labels=("resource",)),
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
    histogram("workflow_llm_calls", "Model calls that one run made, failed ones too.",
        workflow_finished, value="llm_calls", labels=("workflow_type",), buckets=buckets.CALLS),
)
# fmt: on
