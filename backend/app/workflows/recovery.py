"""The sweep: it finds the unfinished runs that nobody executes, and has each of them executed, or ends it.

It runs at the start and then periodically. DBOS itself resumes the workflows of this executor at the start. That leaves
the runs whose row and whose DBOS workflow disagree (a process ended, or a database was away, between the two), those
that DBOS gave up, and those of executors that are dead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from dbos import WorkflowStatus

from app.database import UnfinishedRun, is_passing
from events.bus.failures import error_location

from . import dbos_client, executor_locks
from .queue_reading import emit_queue
from .run_state import CANCELLED, RunOutcome, RunTransitions
from .usage_recovery import store_usage_of_dead_processes

log = logging.getLogger("app.workflows")

ENQUEUE_TIMEOUT = 5.0
"""Seconds that a submission waits for the engine to have its run; then a sweep queues it."""

_GRACE = timedelta(seconds=60)  # a living process ends a run at its time limit, perhaps a little late


class Recovery:
    """The reconciliation of every unfinished run with DBOS.

    Args:
        transitions: Reads and changes the rows of runs.
        lock: The lock of this process's executor id.
        is_executing: Returns whether this process executes a run.
        time_limit: The seconds that a run may take.
        max_requeues: How often a run is queued again that DBOS gave up; then it fails.
    """

    def __init__(
        self,
        transitions: RunTransitions,
        lock: executor_locks.ExecutorLock,
        is_executing: Callable[[str], bool],
        *,
        time_limit: float,
        max_requeues: int,
    ) -> None:
        self._transitions = transitions
        self._lock = lock
        self._is_executing = is_executing
        self._max_age = timedelta(seconds=time_limit) + _GRACE
        self._max_requeues = max_requeues
        self._idle: dict[
            str, datetime | None
        ] = {}  # runs claimed here but not executed at the last sweep, and since when

    async def reconcile(self) -> None:
        """Resume, end or leave alone each unfinished run; an error with one is logged, and the others go on.

        Raises:
            SQLAlchemyError: The database does not answer, or tables are missing.
        """
        await store_usage_of_dead_processes(self._lock, self._transitions)
        now, runs = await self._transitions.list_unfinished()
        emit_queue(now, runs)
        statuses = await dbos_client.get_statuses([run.id for run in runs])
        idle_before, self._idle = self._idle, {}
        for run in runs:
            if self._is_executing(run.id):
                continue
            try:
                await self._reconcile_run(run, statuses.get(run.id), now, idle_before)
            except Exception as error:
                if is_passing(error):
                    raise
                log.error("run %s: %s at %s", run.id, type(error).__name__, error_location(error))  # noqa: TRY400 - its message may quote a prompt

    async def _reconcile_run(
        self,
        run: UnfinishedRun,
        status: WorkflowStatus | None,
        now: datetime,
        idle_before: dict[str, datetime | None],
    ) -> None:
        if status is None:
            if run.status == "queued" and run.queued_at + timedelta(seconds=ENQUEUE_TIMEOUT) > now:
                return  # its submission may be about to queue it
            # Its process ended before it was queued in DBOS, or DBOS's tables are gone; the steps are still here.
            if run.status == "running" and self._is_old(run.started_at, now):
                await self._abandon(run)
            else:
                await dbos_client.enqueue(run.id)
                self._transitions.emit_requeued(run, "not_queued")
        elif status.status == "PENDING":
            await self._reconcile_pending(run, status, now, idle_before)
        elif status.status == "CANCELLED":
            if not self._is_alive(status.executor_id):
                await self._transitions.finish(run.id, CANCELLED)
        elif status.status in {"ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "SUCCESS"}:
            # SUCCESS: the row is changed before DBOS knows. So the run ended between our two reads, or its row was
            # restored from a backup.
            await self._queue_anew(run, status)

    async def _queue_anew(self, run: UnfinishedRun, status: WorkflowStatus) -> None:
        """Queue a run again that has ended for DBOS: finished steps are not repeated."""
        if run.requeues >= self._max_requeues:
            error_name = "TooManyAttempts" if status.status.startswith("MAX") else "WorkflowFailed"
            reason = f"The workflow engine gave the run up {run.requeues + 1} times: {status.status.lower()}."
            outcome = RunOutcome(
                status="failed", error=reason.replace("_", " "), error_name=error_name, error_type="engine"
            )
            await self._transitions.finish(run.id, outcome)
        elif await self._transitions.count_requeue(run):
            await dbos_client.enqueue_anew(run.id)
            log.warning("run %s is queued again: the workflow engine gave it up (%s)", run.id, status.status)
            self._transitions.emit_requeued(run, "engine_error")

    async def _reconcile_pending(
        self,
        run: UnfinishedRun,
        status: WorkflowStatus,
        now: datetime,
        idle_before: dict[str, datetime | None],
    ) -> None:
        executor, claimed_at = status.executor_id or "", dbos_client.claimed_at(status)
        if executor == self._lock.executor_id and status.app_version == dbos_client.VERSION:
            # DBOS resumes it at the start, or is about to execute it. If not, it stays as it is until the next sweep.
            if run.id in idle_before and idle_before[run.id] == claimed_at:
                log.warning("run %s is queued again: this process has it, but does not execute it", run.id)
                await dbos_client.enqueue_again(run.id)
                self._transitions.emit_requeued(run, "not_executed")
            else:
                self._idle[run.id] = claimed_at
            return
        with executor_locks.lock_if_dead(self._lock.directory, executor) as dead:
            if dead:
                # While its lock is held, no process can start under its id and resume its runs as well.
                current = (await dbos_client.get_statuses([run.id])).get(run.id)
                if current is not None and (current.status, current.executor_id) == ("PENDING", executor):
                    log.info("run %s is taken over from the process that had the lock %s and is gone", run.id, executor)
                    await dbos_client.enqueue_again(run.id)
                    self._transitions.emit_requeued(run, "process_gone")
                return
        if executor != self._lock.executor_id and self._is_alive(executor):
            return
        if self._is_old(claimed_at, now):
            await self._abandon(run)
            await dbos_client.cancel(run.id)

    def _is_alive(self, executor_id: str | None) -> bool:
        """Return whether an executor's process lives on this machine; about other machines nothing is known."""
        if not executor_id or executor_id == self._lock.executor_id:
            return False
        with executor_locks.lock_if_dead(self._lock.directory, executor_id) as dead:
            return not dead and executor_locks.has_lock_file(self._lock.directory, executor_id)

    def _is_old(self, moment: datetime | None, now: datetime) -> bool:
        return moment is None or moment + self._max_age < now

    async def _abandon(self, run: UnfinishedRun) -> None:
        reason = "The process that ran it is gone, and its time limit has passed."
        await self._transitions.finish(run.id, RunOutcome(status="abandoned", error=reason, error_name="ProcessGone"))
