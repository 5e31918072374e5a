"""Events of workflow runs and their steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .bus.fields import Dollars, Key, Label, Seconds, Status, Tokens, WorkflowStatus, inherited, total
from .bus.signal import Signal
from .bus.span import Span

RequeueReason = Literal["engine_error", "not_queued", "not_executed", "process_gone"]

WorkflowErrorType = Literal[
    "timeout", "rate_limited", "quota_exceeded", "auth", "invalid_request", "context_length_exceeded",
    "content_filtered", "provider_5xx", "connection", "invalid_response", "answer_too_long", "tool", "database",
    "time_limit", "engine", "process_gone", "other",
]  # fmt: skip
"""Why a workflow run failed.

Those from ``timeout`` to ``invalid_response`` are the types of errors of models: the run's last model call failed so.

- ``answer_too_long``: an answer has more bytes than are stored.
- ``tool``: a tool of an agent failed.
- ``database``: a tool or a step failed because the database did.
- ``time_limit``: the run passed its time limit.
- ``engine``: the workflow engine gave the run up.
- ``process_gone``: the process that executed it is gone, and its time limit has passed; the run is abandoned.
"""

WasteReason = Literal["failed", "cancelled", "abandoned", "rejected"]
"""Why what a workflow run spent is wasted: how the run ended, or that its reviewer rejected the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStarted:
    """A workflow run left the queue and started; ``queue_wait`` is how long it waited there."""

    run_id: Key
    workflow_type: Label
    queue_wait: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowResumed:
    """A workflow run that another process had started was resumed."""

    run_id: Key
    workflow_type: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowReleased:
    """A process gave up an unfinished workflow run: the process stops, or another one has taken the run over."""

    run_id: Key
    workflow_type: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRequeued:
    """An unfinished workflow run that no process executed was queued again.

    ``reason``: the engine had given it up (``engine_error``), the engine did not know it (``not_queued``), this process
    held it without executing it (``not_executed``), or the process that executed it is dead (``process_gone``).
    """

    run_id: Key
    workflow_type: Label
    reason: RequeueReason


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStepFinished:
    """A step of a workflow run ended, successfully or not, and its outcome was stored."""

    workflow_type: Label = inherited()
    run_id: str = inherited("")
    step: Label
    agent_name: Label
    status: Status
    duration: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class OldestWorkflowRead:
    """The age of the oldest run of a workflow that this process executes was read, at a scrape; 0 without any."""

    workflow_type: Label
    age: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowQueueRead:
    """The queue of a workflow was read where all processes have it: how many runs stand in it, and since when.

    ``queued`` is the number of runs that have not started yet, ``oldest_age`` how long the first of them has waited, 0
    without any. Both are None where the queue cannot be read.
    """

    workflow_type: Label
    queued: int | None
    oldest_age: Seconds | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowBacklogRead:
    """The workflow runs that have not ended, and who performs them, were read where all processes have them.

    ``queued`` and ``running`` are how many there are, ``oldest_queued_age`` and ``oldest_running_age`` how long ago the
    first of them was queued and began, 0 without any. Those without a holder are neither performed by a process that
    lives nor in the queue of one. ``executors`` is how many processes live that perform runs, None while it is too
    early to say of one whether it lives. Where it cannot be read, all are None.
    """

    queued: int | None = None
    running: int | None = None
    oldest_queued_age: Seconds | None = None
    oldest_running_age: Seconds | None = None
    queued_without_holder: int | None = None
    running_without_holder: int | None = None
    executors: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowLimitsRead:
    """The limits of a process that executes workflow runs were read, when it began to, and when it ceased.

    ``slots`` is how many runs it executes at once, 0 once it stops; ``queue`` how many may wait in the queue that it
    shares with others, ``run_time`` how long a run may take.
    """

    slots: int
    queue: int
    run_time: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFinished:
    """A workflow run ended, successfully or not; tokens and cost (None where unknown) are those of the whole run.

    They hold those of runs that it started inside; the ``own_`` ones leave them out, so that they can be added up over
    runs. Where they are not set, they are the same.

    ``outcome`` says what its cost was spent on: ``useful`` where the run is completed and its reviewer did not reject
    the result (``rejected``), otherwise ``wasted``; `waste_reason` says why. ``error`` is the short name of what the
    run failed with, ``error_type`` the kind of it. Where nobody says, it is ``process_gone`` of an abandoned run and
    ``other`` of a failed one; runs that ended otherwise have none.
    """

    run_id: Key
    workflow_type: Label
    queue_wait: Seconds | None = None
    status: WorkflowStatus
    duration: Seconds
    error: str = ""
    error_type: WorkflowErrorType | None = None
    llm_calls: int = total("llm_called")
    prompt_tokens: Tokens = total("llm_called", "prompt_tokens")
    completion_tokens: Tokens = total("llm_called", "completion_tokens")
    cost: Dollars | None = total("llm_called", "cost", start=None)
    own_prompt_tokens: Tokens | None = total("llm_called", "prompt_tokens", start=None, own=True)
    own_completion_tokens: Tokens | None = total("llm_called", "completion_tokens", start=None, own=True)
    own_cost: Dollars | None = total("llm_called", "cost", start=None, own=True)
    rejected: bool = False
    outcome: Literal["useful", "wasted"] = field(init=False, default="wasted")

    def __post_init__(self) -> None:
        if self.status == "completed" and not self.rejected:
            object.__setattr__(self, "outcome", "useful")
        if self.status in {"completed", "cancelled"}:
            object.__setattr__(self, "error_type", None)
        elif self.error_type is None:
            object.__setattr__(self, "error_type", "process_gone" if self.status == "abandoned" else "other")
        if self.own_prompt_tokens is None:
            object.__setattr__(self, "own_prompt_tokens", self.prompt_tokens)
        if self.own_completion_tokens is None:
            object.__setattr__(self, "own_completion_tokens", self.completion_tokens)
        if self.own_cost is None and self.cost is not None:
            object.__setattr__(self, "own_cost", self.cost)

    @property
    def waste_reason(self) -> WasteReason | None:
        """Why what the run spent is wasted; None where it is not."""
        return waste_reason_of(self.status, rejected=self.rejected)


def waste_reason_of(status: WorkflowStatus, *, rejected: bool) -> WasteReason | None:
    """Return why what a run spent is wasted that ended with a status; None where it is not."""
    if status == "completed":
        return "rejected" if rejected else None
    return status


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsExpired:
    """Rows were deleted because they are older than rows are kept.

    ``resource``: runs, their steps, the attempts at steps, what the workflow engine has of runs (``workflows``), or the
    events of an audit trail.
    """

    resource: Literal["runs", "steps", "attempts", "workflows", "audit_events"]
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowBilledLate:
    """Tokens and cost of a workflow run were stored after its end, so that `WorkflowFinished` was without them.

    ``outcome`` and ``waste_reason`` are those of the run, as in `WorkflowFinished`.
    """

    run_id: Key
    workflow_type: Label
    outcome: Literal["useful", "wasted"]
    waste_reason: WasteReason | None = None
    llm_calls: int = 0
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    cost: Dollars | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCallInterrupted:
    """A model call of a workflow run was under way when its process was killed; it is found later, by another process.

    Whether the provider bills it, and how many tokens it had, is not known here.
    """

    run_id: Key
    workflow_type: Label
    step: Label
    agent_name: Label = ""


workflow_started = Signal(WorkflowStarted)
workflow_resumed = Signal(WorkflowResumed)
workflow_released = Signal(WorkflowReleased)
workflow_requeued = Signal(WorkflowRequeued)
workflow_step_finished = Signal(WorkflowStepFinished)
oldest_workflow_read = Signal(OldestWorkflowRead)
workflow_queue_read = Signal(WorkflowQueueRead)
workflow_backlog_read = Signal(WorkflowBacklogRead)
workflow_limits_read = Signal(WorkflowLimitsRead)
workflow_finished = Signal(WorkflowFinished)
rows_expired = Signal(RowsExpired)
workflow_billed_late = Signal(WorkflowBilledLate)
workflow_call_interrupted = Signal(WorkflowCallInterrupted)
workflow_run = Span(
    workflow_started,
    workflow_finished,
    status={"success": "completed", "error": "failed", "timeout": "failed", "cancelled": "cancelled"},
)
"""A workflow run that one process executes from start to end; sums the calls, tokens and cost of its models."""
