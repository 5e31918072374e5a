"""What workflows do."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import Dollars, Key, Label, Seconds, Tokens, WorkflowStatus, total
from .signal import Signal
from .span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStarted:
    """A workflow run left the queue and began; ``queue_wait`` is how long it stood there."""

    run_id: Key
    workflow_type: Label
    queue_wait: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowResumed:
    """A workflow run that another process had begun was taken up again."""

    run_id: Key
    workflow_type: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFinished:
    """A workflow run ended, well or badly; tokens and cost are those of the whole run."""

    run_id: Key
    workflow_type: Label
    queue_wait: Seconds | None = None
    status: WorkflowStatus
    duration: Seconds
    error: str = ""
    llm_calls: int = total("llm_called")
    prompt_tokens: Tokens = total("llm_called", "prompt_tokens")
    completion_tokens: Tokens = total("llm_called", "completion_tokens")
    cost: Dollars = total("llm_called", "cost")


workflow_started = Signal(WorkflowStarted)
workflow_resumed = Signal(WorkflowResumed)
workflow_finished = Signal(WorkflowFinished)
workflow_run = Span(
    workflow_started,
    workflow_finished,
    status={"success": "completed", "error": "failed", "timeout": "failed", "cancelled": "cancelled"},
)
