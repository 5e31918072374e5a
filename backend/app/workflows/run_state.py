"""The row of a run and what is told about it: whoever changes the row tells the fact, once, after the commit.

A run may be killed, resumed or taken over; its row is changed by one process in one conditional statement all the same.
So each start and each end is told once, and the end carries what all steps spent, whichever process paid for them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.database import Database, Run, Step, StepStatus
from app.database.repositories import runs as rows
from events import (
    oldest_workflow_read,
    workflow_finished,
    workflow_released,
    workflow_resumed,
    workflow_started,
    workflow_step_finished,
)
from events.bus.fields import WorkflowStatus

from .definitions import WORKFLOWS
from .shield import run_shielded


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended: ``error`` is for its reader, ``kind`` names it for listeners."""

    status: WorkflowStatus
    error: str | None = None
    kind: str = ""
    output: dict[str, Any] | None = None


CANCELLED = RunOutcome(status="cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What is stored of one attempt at a step."""

    position: int
    name: str
    agent_name: str
    status: StepStatus
    error: str | None
    output: dict[str, Any] | None
    started_at: datetime
    duration: float
    llm_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class RunTransitions:
    """Changes the rows of runs and tells what changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # One change at a time: else an end may be told before its start, and the run counts as active for ever.
        self._turn = asyncio.Lock()
        self._active: dict[str, Run] = {}  # told as begun here, and not as ended

    async def begin(self, run_id: str) -> Run | None:
        """Begin a run, or resume it; None when it has ended."""
        return await run_shielded(self._begin(run_id))

    async def end(self, run_id: str, ending: RunOutcome) -> bool:
        """End a run that is under way; False when it had ended before."""
        return await run_shielded(self._end(run_id, ending, only_queued=False))

    async def end_queued(self, run_id: str, ending: RunOutcome) -> bool:
        """End a run that nobody has begun; False when somebody has.

        It leaves the queue and ends in one transaction and both are told, so that as many runs finish as start.
        """
        return await run_shielded(self._end(run_id, ending, only_queued=True))

    async def save_step(self, run: Run, record: StepRecord) -> None:
        """Store one attempt at a step, and tell it."""
        await run_shielded(self._save_step(run, record))

    def leave(self, run_id: str) -> None:
        """Tell that a run begun here is no longer performed here, unless its end was told."""
        run = self._active.pop(run_id, None)
        if run is not None:
            workflow_released.emit(run_id=run.id, workflow_type=run.workflow_type)

    def emit_oldest_runs(self) -> None:
        """Tell how long the oldest run of each workflow has been under way here. Any thread may ask."""
        now = datetime.now(UTC)
        oldest = dict.fromkeys(WORKFLOWS, 0.0)
        for run in tuple(self._active.values()):
            oldest[run.workflow_type] = max(oldest.get(run.workflow_type, 0.0), _seconds(run.started_at, now))
        for workflow_type, age in oldest.items():
            oldest_workflow_read.emit(workflow_type=workflow_type, age=age)

    async def finished_step(self, run_id: str, name: str) -> Step | None:
        """Give a step that succeeded before, None when it has to be done."""
        async with self._database.session() as session:
            step = await rows.step(session, run_id, name)
        return step if step is not None and step.status == "success" else None

    async def run(self, run_id: str) -> Run | None:
        """Give a run as it is stored."""
        async with self._database.session() as session:
            return await rows.get(session, run_id)

    async def unfinished(self) -> list[Run]:
        """Give the runs that have not ended."""
        async with self._database.session() as session:
            return await rows.unfinished(session)

    async def _begin(self, run_id: str) -> Run | None:
        async with self._turn:
            async with self._database.session() as session, session.begin():
                began = await rows.begin(session, run_id, datetime.now(UTC))
                run = await rows.get(session, run_id)
            if run is None or run.status != "running":
                return None
            self._active[run.id] = run
            if began:
                _tell_start(run)
            else:
                workflow_resumed.emit(run_id=run.id, workflow_type=run.workflow_type)
            return run

    async def _end(self, run_id: str, ending: RunOutcome, *, only_queued: bool) -> bool:
        async with self._turn:
            async with self._database.session() as session, session.begin():
                now = datetime.now(UTC)
                began = await rows.begin(session, run_id, now)
                if only_queued and not began:
                    return False
                ended = await rows.finish(session, run_id, ending.status, ending.error, ending.output, now)
                run = await rows.get(session, run_id)
            if not ended or run is None:
                return False
            if began:
                _tell_start(run)
            self._active.pop(run.id, None)
            _tell_end(run, ending)
            return True

    async def _save_step(self, run: Run, record: StepRecord) -> None:
        fields = {name: getattr(record, name) for name in record.__slots__}
        async with self._database.session() as session, session.begin():
            await rows.save_step(session, run.id, **fields)
        workflow_step_finished.emit(
            run_id=run.id,
            workflow_type=run.workflow_type,
            step=record.name,
            agent_name=record.agent_name,
            status=record.status,
            duration=record.duration,
        )


def _tell_start(run: Run) -> None:
    workflow_started.emit(run_id=run.id, workflow_type=run.workflow_type, queue_wait=_queue_wait(run))


def _tell_end(run: Run, ending: RunOutcome) -> None:
    spent = run.usage
    workflow_finished.emit(
        run_id=run.id,
        workflow_type=run.workflow_type,
        queue_wait=_queue_wait(run),
        status=ending.status,
        # By the wall clock: the run may have begun in another process.
        duration=_seconds(run.started_at, run.finished_at),
        error=ending.kind,
        llm_calls=spent.llm_calls,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cost=spent.cost,
        rejected=run.rejected,
    )


def _queue_wait(run: Run) -> float:
    return _seconds(run.queued_at, run.started_at)


def _seconds(since: datetime | None, until: datetime | None) -> float:
    """Measure between two stored moments; a clock set back in between counts as no time."""
    return max(0.0, (until - since).total_seconds()) if since is not None and until is not None else 0.0
