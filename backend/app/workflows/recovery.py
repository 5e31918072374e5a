"""Recovery at the start: runs that earlier processes left unfinished are resumed, or set to an end.

DBOS itself resumes the workflows of this executor. That leaves the runs whose row and whose DBOS workflow disagree (a
process ended between the two), and those of executors that are dead.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from dbos import WorkflowStatus

from app.database import Run

from . import dbos_client, executor_locks
from .run_state import CANCELLED, RunOutcome, RunTransitions

log = logging.getLogger("app.workflows")

_GRACE = timedelta(seconds=60)  # a living process ends a run at its time limit, perhaps a little late


class Recovery:
    """The reconciliation of every unfinished run with DBOS, once at the start."""

    def __init__(self, transitions: RunTransitions, lock: executor_locks.ExecutorLock, time_limit: float) -> None:
        self._transitions = transitions
        self._lock = lock
        self._max_age = timedelta(seconds=time_limit) + _GRACE

    async def reconcile(self) -> None:
        """Resume, end or leave alone each unfinished run."""
        runs = await self._transitions.list_unfinished()
        statuses = await dbos_client.get_statuses([run.id for run in runs])
        for run in runs:
            await self._reconcile_run(run, statuses.get(run.id))

    async def _reconcile_run(self, run: Run, status: WorkflowStatus | None) -> None:
        if status is None:
            # Its process ended before it was queued in DBOS, or DBOS's file is gone; the steps are still here.
            if run.status == "running" and self._is_old(run.started_at):
                await self._abandon(run)
            else:
                await dbos_client.enqueue(run.id)
        elif status.status == "PENDING":
            await self._reconcile_pending(run, status)
        elif status.status == "CANCELLED":
            if not self._is_alive(status.executor_id):
                await self._transitions.finish(run.id, CANCELLED)
        elif status.status in {"ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}:
            error_name = "TooManyAttempts" if status.status.startswith("MAX") else "WorkflowFailed"
            reason = f"The workflow engine gave the run up: {status.status.lower().replace('_', ' ')}."
            await self._transitions.finish(run.id, RunOutcome(status="failed", error=reason, error_name=error_name))
        elif status.status == "SUCCESS":
            # The row is changed before DBOS knows; so it ended between our two reads, or somebody changed its row.
            reason = "The workflow ended, but its end was not stored."
            await self._transitions.finish(run.id, RunOutcome(status="failed", error=reason, error_name="EndNotStored"))

    async def _reconcile_pending(self, run: Run, status: WorkflowStatus) -> None:
        executor = status.executor_id or ""
        if executor == self._lock.executor_id and status.app_version == dbos_client.VERSION:
            return  # DBOS resumes it
        with executor_locks.lock_if_dead(self._lock.directory, executor) as dead:
            if dead:
                # While its lock is held, no process can start under its id and resume its runs as well.
                now = (await dbos_client.get_statuses([run.id])).get(run.id)
                if now is not None and (now.status, now.executor_id) == ("PENDING", executor):
                    log.info("run %s is taken over from %s, which is gone", run.id, executor)
                    await dbos_client.enqueue_again(run.id)
                return
        if executor != self._lock.executor_id and self._is_alive(executor):
            return
        if self._is_old(dbos_client.claimed_at(status)):
            await self._abandon(run)
            await dbos_client.cancel(run.id)

    def _is_alive(self, executor_id: str | None) -> bool:
        """Return whether an executor's process lives on this machine; about other machines nothing is known."""
        if not executor_id or executor_id == self._lock.executor_id:
            return False
        with executor_locks.lock_if_dead(self._lock.directory, executor_id) as dead:
            return not dead and executor_locks.has_lock_file(self._lock.directory, executor_id)

    def _is_old(self, moment: datetime | None) -> bool:
        return moment is None or moment + self._max_age < datetime.now(UTC)

    async def _abandon(self, run: Run) -> None:
        reason = "The process that ran it is gone, and its time limit has passed."
        if await self._transitions.finish(
            run.id, RunOutcome(status="abandoned", error=reason, error_name="ProcessGone")
        ):
            log.warning("run %s is abandoned: its process is gone", run.id)
