"""At the start: what earlier processes left behind is taken up, or brought to its end.

DBOS starts again what this executor had under way. Left over are runs whose row and whose durable workflow disagree
(a process ended between the two), and those of executors that are gone.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from dbos import WorkflowStatus

from app.database import Run

from . import dbos_client, executor_locks
from .run_state import CANCELLED, RunOutcome, RunTransitions

log = logging.getLogger("app.workflows")

_GRACE = timedelta(seconds=60)  # past its time limit a living process ends a run; it may be slow to


class Recovery:
    """Looks once at every run that has not ended."""

    def __init__(self, ledger: RunTransitions, slot: executor_locks.ExecutorLock, time_limit: float) -> None:
        self._ledger = ledger
        self._slot = slot
        self._patience = timedelta(seconds=time_limit) + _GRACE

    async def reconcile(self) -> None:
        """Take up, end or leave alone each unfinished run."""
        runs = await self._ledger.unfinished()
        known = await dbos_client.statuses([run.id for run in runs])
        for run in runs:
            await self._settle(run, known.get(run.id))

    async def _settle(self, run: Run, status: WorkflowStatus | None) -> None:
        if status is None:
            # Queued by a process that ended before DBOS knew; or DBOS's file is gone, but the steps are still here.
            if run.status == "running" and self._is_old(run.started_at):
                await self._abandon(run)
            else:
                await dbos_client.enqueue(run.id)
        elif status.status == "PENDING":
            await self._under_way(run, status)
        elif status.status == "CANCELLED":
            if not self._lives(status.executor_id):
                await self._ledger.end(run.id, CANCELLED)
        elif status.status in {"ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}:
            kind = "TooManyAttempts" if status.status.startswith("MAX") else "WorkflowFailed"
            reason = f"The workflow engine gave the run up: {status.status.lower().replace('_', ' ')}."
            await self._ledger.end(run.id, RunOutcome(status="failed", error=reason, kind=kind))
        elif status.status == "SUCCESS":
            # Its row is changed first, so this run ended between our two looks, or its row was changed by hand.
            reason = "The workflow ended, but its end was not stored."
            await self._ledger.end(run.id, RunOutcome(status="failed", error=reason, kind="EndNotStored"))

    async def _under_way(self, run: Run, status: WorkflowStatus) -> None:
        executor = status.executor_id or ""
        if executor == self._slot.executor_id and status.app_version == dbos_client.VERSION:
            return  # DBOS starts it again
        with executor_locks.lock_if_dead(self._slot.directory, executor) as gone:
            if gone:
                # The name is held meanwhile: nobody can come to life under it and take its runs up as well.
                now = (await dbos_client.statuses([run.id])).get(run.id)
                if now is not None and (now.status, now.executor_id) == ("PENDING", executor):
                    log.info("run %s is taken over from %s, which is gone", run.id, executor)
                    await dbos_client.enqueue_again(run.id)
                return
        if executor != self._slot.executor_id and self._lives(executor):
            return
        if self._is_old(dbos_client.claimed_at(status)):
            await self._abandon(run)
            await dbos_client.cancel(run.id)

    def _lives(self, executor_id: str | None) -> bool:
        """Tell whether an executor's process lives on this machine; one elsewhere is judged by its age alone."""
        if not executor_id or executor_id == self._slot.executor_id:
            return False
        with executor_locks.lock_if_dead(self._slot.directory, executor_id) as gone:
            return not gone and executor_locks.has_lock_file(self._slot.directory, executor_id)

    def _is_old(self, moment: datetime | None) -> bool:
        return moment is None or moment + self._patience < datetime.now(UTC)

    async def _abandon(self, run: Run) -> None:
        reason = "The process that ran it is gone, and its time limit has passed."
        if await self._ledger.end(run.id, RunOutcome(status="abandoned", error=reason, kind="ProcessGone")):
            log.warning("run %s is abandoned: its process is gone", run.id)
