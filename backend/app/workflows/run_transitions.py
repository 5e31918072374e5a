"""The transitions of a run's row, and the events that they emit: once, after the commit.

A run may be killed, resumed or taken over, but each transition is one conditional UPDATE that only one process does. So
each start and each end is emitted once. The event of the end has the usage of all steps, whichever process ran them.

A transition whose error passes is repeated until the database answers. The one before may have been committed although
its error was raised: the row then has the very timestamp that this call writes, and the call emits the event. So it
is found out, too, which events are left to emit of a process that was killed: its journal has what it was about to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from app.database import Database, FileState, Run, Step, UnfinishedRun, database_time, retry_passing
from app.database.repositories import attempts, runs
from events import oldest_workflow_read
from events.bus.fields import WorkflowStatus
from events.workflows import WorkflowErrorType

from .definitions import WORKFLOWS
from .journal_entries import AttemptUsage, Entry, Transition
from .run_events import (
    emit_billed_late,
    emit_call_interrupted,
    emit_finished,
    emit_released,
    emit_resumed,
    emit_started,
    emit_step_finished,
    seconds_between,
)
from .shield import run_shielded
from .usage_journal import UsageJournal

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """The end of a run. ``error`` is for its reader, ``error_name`` and ``error_type`` are the error's in events."""

    status: WorkflowStatus
    error: str | None = None
    error_name: str = ""
    error_type: WorkflowErrorType | None = None
    output: dict[str, Any] | None = None


CANCELLED = RunOutcome(status="cancelled")


class RunTransitions:
    """Changes the rows of runs and emits an event for each change.

    Attributes:
        journal: The usage journal; None as long as the process has no executor id.
    """

    def __init__(self, database: Database) -> None:
        self.journal: UsageJournal | None = None
        self._database = database
        # One transition of a run at a time: an end could else be emitted before its start, and the run stay active.
        # Other runs do not wait for it: another program may have locked its row.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._active: dict[str, Run] = {}  # runs whose start was emitted in this process, but not yet their end
        self._started: set[str] = set()  # those of them that had never been started before
        self._stopping = asyncio.Event()
        self._resting_state: FileState | None = None  # of the database, as no run was unfinished

    def stop_retrying(self) -> None:
        """Have transitions raise the next error instead of repeating: the process stops."""
        self._stopping.set()

    async def start(self, run_id: str) -> Run | None:
        """Set a queued run to running, or resume a running one, and return it; None if it has ended."""
        return await self._retry(partial(self._start, run_id, datetime.now(UTC)))

    async def finish(self, run_id: str, outcome: RunOutcome) -> bool:
        """End a run that is queued or running; return False if it had ended before."""
        return await self._retry(partial(self._finish, run_id, outcome, datetime.now(UTC), only_queued=False))

    async def finish_queued(self, run_id: str, outcome: RunOutcome) -> bool:
        """End a run that is still queued; return False if it is not.

        It is started and ended in one transaction and both events are emitted, so that as many runs end as start.
        """
        return await self._retry(partial(self._finish, run_id, outcome, datetime.now(UTC), only_queued=True))

    async def count_requeue(self, run: UnfinishedRun) -> bool:
        """Count that the engine gave a run up and it is queued again; return False if another process did it."""
        async with self._database.writing() as session:
            return await runs.mark_requeued(session, run.id, run.requeues)

    async def save_step(self, run: Run, step: Step, attempt_id: str) -> None:
        """Store one attempt at a step and emit `workflow_step_finished`.

        One that was stopped changes no outcome that is stored: it may be that of a process that has taken the run over.
        """
        await self._retry(partial(self._save_step, step, attempt_id, interrupted=step.status == "cancelled"))
        emit_step_finished(run, step, step.status)
        self._settle(attempt_id)

    def record(self, entry: Entry) -> None:
        """Write an entry into the journal, if there is one."""
        if self.journal is not None:
            self.journal.record(entry)

    async def save_interrupted(self, attempt: AttemptUsage) -> bool:
        """Store the usage of an attempt whose process was killed; return False if there is no such run.

        Where the process had stored it before it was killed, `workflow_step_finished` is emitted.
        """
        return await self._retry(partial(self._save_interrupted, attempt))

    async def emit_left(self, transition: Transition) -> bool:
        """Emit the event of a transition whose process was killed; return False if it was not committed."""
        run = await self._retry(partial(self.get_run, transition.run_id))
        if run is None or transition.moment not in {run.started_at, run.finished_at}:
            return False
        if transition.moment == run.started_at:
            emit_started(run)
            emit_released(run)
        if transition.moment == run.finished_at and transition.status is not None:
            emit_finished(run, transition.status, transition.error_name, transition.error_type)
        return True

    def release(self, run_id: str) -> None:
        """Emit `workflow_released` for a run that is no longer executed in this process, unless it has ended."""
        self._started.discard(run_id)
        run = self._active.pop(run_id, None)
        if run is not None:
            emit_released(run)

    def emit_oldest_runs(self) -> None:
        """Emit, for each workflow, the age of its oldest active run in this process; any thread may call it."""
        now = datetime.now(UTC)
        ages = dict.fromkeys(WORKFLOWS, 0.0)
        for run in tuple(self._active.values()):
            ages[run.workflow_type] = max(ages.get(run.workflow_type, 0.0), seconds_between(run.started_at, now))
        for workflow_type, age in ages.items():
            oldest_workflow_read.emit(workflow_type=workflow_type, age=age)

    async def get_successful_step(self, run_id: str, name: str) -> Step | None:
        """Return a step that has succeeded before; None if it has to be run.

        It is read for a run that was resumed: one that this process has started has no steps of others.
        """
        if run_id in self._started:
            return None

        async def read() -> Step | None:
            async with self._database.reading() as session:
                return await attempts.get_step(session, run_id, name)

        step = await self._retry(read)
        return step if step is not None and step.status == "success" else None

    async def get_run(self, run_id: str) -> Run | None:
        """Return a run as it is stored, or None."""
        async with self._database.reading() as session:
            return await runs.get(session, run_id)

    async def is_unfinished(self, run_id: str) -> bool:
        """Return whether there is a run of that id, and it has not ended."""
        run = await self.get_run(run_id)
        return run is not None and run.finished_at is None

    async def list_unfinished(self) -> tuple[datetime, list[UnfinishedRun]]:
        """Return the runs that have not ended, and the time by the database's clock.

        A SQLite file in which there were none is read again once it has changed.
        """
        state = self._database.state()  # before it is read
        if state is not None and state == self._resting_state:
            return datetime.now(UTC), []
        async with self._database.reading() as session:
            unfinished = await runs.list_unfinished(session)
            self._resting_state = None if unfinished else state
            # Where there are none, nothing is compared with the time.
            return await database_time(session) if unfinished else datetime.now(UTC), unfinished

    async def _retry(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # The repetition is shielded too: what a run has used is stored although it was cancelled while the database was
        # away. Only a stop ends it, and leaves what is not stored in the journal for the next start.
        return await run_shielded(retry_passing(attempt, self._stopping))

    def _turn_of(self, run_id: str) -> asyncio.Lock:
        """Return the lock of a run, which lives while somebody holds it or waits for it."""
        return self._turns.setdefault(run_id, asyncio.Lock())

    def _settle(self, key: str) -> None:
        if self.journal is not None:
            self.journal.settle(key)

    async def _start(self, run_id: str, now: datetime) -> Run | None:
        entry = Transition(run_id=run_id, moment=now, status=None)
        async with self._turn_of(run_id):
            self.record(entry)
            async with self._database.writing_one_by_one() as session:
                await runs.mark_running(session, run_id, now)
                run = await runs.get(session, run_id)
            started = run is not None and run.started_at == now
            if run is not None and (started or run.status == "running"):
                self._active[run.id] = run
                if started:
                    self._started.add(run.id)
                    emit_started(run)
                else:
                    emit_resumed(run)
            self._settle(entry.key)
            return run if run is not None and run.status == "running" else None

    async def _finish(self, run_id: str, outcome: RunOutcome, now: datetime, *, only_queued: bool) -> bool:
        entry = Transition(
            run_id=run_id,
            moment=now,
            status=outcome.status,
            error_name=outcome.error_name,
            error_type=outcome.error_type,
        )
        async with self._turn_of(run_id):
            self.record(entry)
            run = await self._store_end(run_id, outcome, now, only_queued=only_queued)
            ended = run is not None and run.finished_at == now
            if run is not None and ended:
                if run.started_at == now:
                    emit_started(run)
                self._active.pop(run.id, None)
                emit_finished(run, outcome.status, outcome.error_name, outcome.error_type)
            self._settle(entry.key)
            return ended

    async def _store_end(self, run_id: str, outcome: RunOutcome, now: datetime, *, only_queued: bool) -> Run | None:
        # In one transaction: a step that is stored meanwhile waits for it and is late, or is read here.
        async with self._database.writing() as session:
            await runs.mark_finished(
                session, run_id, outcome.status, outcome.error, outcome.output, now, only_queued=only_queued
            )
            return await runs.get(session, run_id)

    async def _save_step(self, step: Step, attempt_id: str, *, interrupted: bool = False) -> bool:
        """Store an attempt; return False if it had been stored before."""
        async with self._turn_of(step.run_id):
            late: Run | None = None
            async with self._database.writing_one_by_one() as session:
                saved = await attempts.save_step(session, step, attempt_id, interrupted=interrupted)
                if saved.is_late:
                    late = await runs.get(session, step.run_id)
            if late is not None:
                emit_billed_late(late, step.usage)
            return saved.is_new

    async def _save_interrupted(self, attempt: AttemptUsage) -> bool:
        run = await self.get_run(attempt.run_id)
        if run is None:
            return False
        spent = attempt.usage.llm_calls > 0 or attempt.status is not None
        is_new = spent and await self._save_step(attempt.as_step(), attempt.attempt_id, interrupted=True)
        if attempt.in_call:
            emit_call_interrupted(run, attempt)
        elif not is_new and attempt.status is not None:
            emit_step_finished(run, attempt.as_step(), attempt.status)
        return True
