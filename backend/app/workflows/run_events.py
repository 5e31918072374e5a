"""The events of runs, filled from their rows; `run_transitions` says which transition emits which."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import cast

from app.database import Run, Step, StepStatus, UnfinishedRun
from app.llm_usage import LLMUsage
from events import (
    workflow_billed_late,
    workflow_call_interrupted,
    workflow_finished,
    workflow_released,
    workflow_requeued,
    workflow_resumed,
    workflow_started,
    workflow_step_finished,
)
from events.bus.fields import WorkflowStatus
from events.workflows import RequeueReason, WorkflowErrorType, waste_reason_of

from .journal_entries import AttemptUsage


def emit_started(run: Run) -> None:
    """Emit `workflow_started` for a run that has started."""
    workflow_started.emit(run_id=run.id, workflow_type=run.workflow_type, queue_wait=_queue_wait(run))


def emit_resumed(run: Run) -> None:
    """Emit `workflow_resumed` for a run that another process had started."""
    workflow_resumed.emit(run_id=run.id, workflow_type=run.workflow_type)


def emit_released(run: Run) -> None:
    """Emit `workflow_released` for a run that is no longer executed in this process and has not ended."""
    workflow_released.emit(run_id=run.id, workflow_type=run.workflow_type)


def emit_requeued(run: UnfinishedRun, reason: RequeueReason) -> None:
    """Emit `workflow_requeued` for an unfinished run that was queued again."""
    workflow_requeued.emit(run_id=run.id, workflow_type=run.workflow_type, reason=reason)


def emit_finished(run: Run, status: WorkflowStatus, error_name: str, error_type: WorkflowErrorType | None) -> None:
    """Emit `workflow_finished` for a run that has ended, with the usage of all its steps."""
    workflow_finished.emit(
        run_id=run.id,
        workflow_type=run.workflow_type,
        queue_wait=_queue_wait(run),
        status=status,
        # By the wall clock: the run may have started in another process.
        duration=seconds_between(run.started_at, run.finished_at),
        error=error_name,
        error_type=error_type,
        rejected=run.rejected,
        **asdict(run.usage),
    )


def emit_step_finished(run: Run, step: Step, status: StepStatus) -> None:
    """Emit `workflow_step_finished` for an attempt at a step, with the status that the attempt had."""
    workflow_step_finished.emit(
        run_id=run.id,
        workflow_type=run.workflow_type,
        step=step.name,
        agent_name=step.agent_name,
        status=status,
        duration=step.duration,
    )


def emit_call_interrupted(run: Run, attempt: AttemptUsage) -> None:
    """Emit `workflow_call_interrupted` for an attempt whose process was killed in a call of a model."""
    workflow_call_interrupted.emit(
        run_id=run.id, workflow_type=run.workflow_type, step=attempt.name, agent_name=attempt.agent_name
    )


def emit_billed_late(run: Run, usage: LLMUsage) -> None:
    """Emit `workflow_billed_late` for usage that was stored after a run's end."""
    # It has ended: its status is none of an unfinished run.
    waste_reason = waste_reason_of(cast("WorkflowStatus", run.status), rejected=run.rejected)
    workflow_billed_late.emit(
        run_id=run.id,
        workflow_type=run.workflow_type,
        outcome="wasted" if waste_reason else "useful",
        waste_reason=waste_reason,
        **asdict(usage),
    )


def _queue_wait(run: Run) -> float:
    return seconds_between(run.queued_at, run.started_at)


def seconds_between(start: datetime | None, end: datetime | None) -> float:
    """Return the seconds between two stored timestamps; 0 if one is missing or the clock was set back in between."""
    return max(0.0, (end - start).total_seconds()) if start is not None and end is not None else 0.0
