"""The recovery: each sweep finds the unfinished runs that nobody executes, and has each executed, or ends it.

There is one at the start and then one every few seconds (`sweep_loop`). DBOS itself resumes at most the workflows of
this executor at the start. That leaves the runs whose row and whose DBOS workflow disagree (a process ended, or a
database was away, between the two), those that DBOS gave up, those of executors that are gone, and those of a version
that nobody executes any more.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache

from dbos import WorkflowStatus

from app.database import UnfinishedRun, is_passing
from events.bus.failures import error_location

from . import dbos_client
from .backlog_events import emit_backlog, emit_unknown_backlog, is_being_submitted
from .executor import RunExecutor
from .leases import Lease
from .liveness import Liveness
from .queue_events import emit_queue
from .run_events import emit_requeued
from .run_transitions import CANCELLED, RunOutcome, RunTransitions
from .usage_recovery import store_usage_of_dead_processes

log = logging.getLogger("app.workflows")

_GRACE = timedelta(seconds=60)  # a living process ends a run at its time limit, perhaps a little late


class Recovery:
    """The reconciliation of every unfinished run with DBOS.

    Args:
        transitions: Reads and changes the rows of runs.
        executor: Executes the runs of this process.
        lease: The lease of this process, without which it takes nothing from others.
        liveness: Judges the other executors.
        time_limit: The seconds that a run may take.
        max_requeues: How often a run is queued again that DBOS gave up; then it fails.
    """

    def __init__(
        self,
        transitions: RunTransitions,
        executor: RunExecutor,
        lease: Lease,
        liveness: Liveness,
        *,
        time_limit: float,
        max_requeues: int,
    ) -> None:
        self._transitions = transitions
        self._executor = executor
        self._lease = lease
        self._liveness = liveness
        self._max_age = timedelta(seconds=time_limit) + _GRACE
        self._max_requeues = max_requeues
        # The runs claimed here but not executed at the last sweep, and since when.
        self._idle: dict[str, datetime | None] = {}
        self._emptied: set[str] = set()  # executors that are gone and have no workflows left

    async def reconcile(self) -> None:
        """Resume, end or leave alone each unfinished run; an error with one is logged, and the others go on.

        Raises:
            SQLAlchemyError: The database does not answer, or tables are missing.
        """
        await self._liveness.look()
        await store_usage_of_dead_processes(self._liveness, self._transitions)
        now, runs = await self._transitions.list_unfinished()
        emit_queue(now, runs)
        if not self._lease.is_held:
            emit_unknown_backlog()
            return
        await self._requeue_given_back(runs)
        statuses = await dbos_client.get_statuses([run.id for run in runs])
        own_version = [dbos_client.VERSION] if self._executor.takes_runs else []
        others = self._liveness.count_alive()
        emit_backlog(
            now,
            runs,
            statuses,
            [*self._liveness.versions_alive(), *own_version],
            cache(self._is_gone),
            executors=None if others is None else others + len(own_version),
        )
        idle_before, self._idle = self._idle, {}
        for run in _in_order(runs, statuses):
            if self._executor.is_executing(run.id):
                continue
            try:
                await self._reconcile_run(run, statuses.get(run.id), now, idle_before)
            except Exception as error:
                if is_passing(error):
                    raise
                log.error("run %s: %s at %s", run.id, type(error).__name__, error_location(error))  # noqa: TRY400 - its message may quote a prompt
        await self._empty_gone_executors(runs)

    async def _reconcile_run(
        self,
        run: UnfinishedRun,
        status: WorkflowStatus | None,
        now: datetime,
        idle_before: dict[str, datetime | None],
    ) -> None:
        if status is None:
            if is_being_submitted(run, now):
                return
            # Its process ended before it was queued in DBOS, or DBOS's tables are gone; the steps are still here.
            if run.status == "running" and self._is_old(run.started_at, now):
                await self._abandon(run)
            else:
                await dbos_client.enqueue(run.id)
                emit_requeued(run, "not_queued")
        elif status.status == "ENQUEUED":
            await self._take_over(run, status, None)
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
            emit_requeued(run, "engine_error")

    async def _reconcile_pending(
        self,
        run: UnfinishedRun,
        status: WorkflowStatus,
        now: datetime,
        idle_before: dict[str, datetime | None],
    ) -> None:
        executor, claimed_at = status.executor_id or "", dbos_client.claimed_at(status)
        if executor == self._own_id and status.app_version == dbos_client.VERSION:
            # DBOS resumes it at the start, or is about to execute it. If not, it stays as it is until the next sweep.
            if run.id in idle_before and idle_before[run.id] == claimed_at:
                log.warning("run %s is queued again: this process has it, but does not execute it", run.id)
                if await dbos_client.requeue(run.id, executor):
                    emit_requeued(run, "not_executed")
            else:
                self._idle[run.id] = claimed_at
            return
        if executor == self._own_id:  # of an earlier process of this id
            await self._take_over(run, status, executor)
            return
        with self._liveness.judged(executor) as verdict:
            if verdict == "gone":
                await self._take_over(run, status, executor)
                return
        if verdict == "unknown" and self._is_old(claimed_at, now):
            await self._abandon(run)
            await dbos_client.cancel(run.id)

    async def _take_over(self, run: UnfinishedRun, status: WorkflowStatus, executor: str | None) -> None:
        """Queue a run again whose executor is gone, or that is of a version that nobody living executes.

        One whose own version lives stays of it, so that it ends as it started. One that nobody executes is moved by a
        process that executes runs: of any other the version is no better, and two of them would move it back and forth.

        Args:
            run: The run.
            status: What DBOS knows of it.
            executor: The executor that is gone; None if the run waits in the queue.
        """
        version = status.app_version
        stays = version in {None, dbos_client.VERSION} or not self._executor.takes_runs
        if stays or self._liveness.is_version_alive(version or ""):
            if executor is not None and await dbos_client.requeue(run.id, executor):
                log.info("run %s is taken over from %s, which is gone", run.id, executor)
                emit_requeued(run, "process_gone")
        elif await dbos_client.requeue_in_own_version(run.id, version or "", executor):
            log.info("run %s is queued again: no process executes version %s of the workflows", run.id, version)
            emit_requeued(run, "process_gone")

    async def _requeue_given_back(self, runs: Sequence[UnfinishedRun]) -> None:
        """Queue again what this process had claimed when its lease lapsed, if nobody has taken it over."""
        unfinished = {run.id: run for run in runs}
        for run_id in tuple(self._executor.given_back):
            if self._executor.is_executing(run_id):
                continue  # its usage is still being stored
            if await dbos_client.requeue(run_id, self._own_id) and run_id in unfinished:
                emit_requeued(unfinished[run_id], "not_executed")
            self._executor.given_back.discard(run_id)

    async def _empty_gone_executors(self, runs: Sequence[UnfinishedRun]) -> None:
        """End the workflows that executors left behind whose runs had ended, and forget executors that have none."""
        gone = self._liveness.gone()
        self._emptied.intersection_update(gone)
        rest = [executor for executor in gone if executor not in self._emptied]
        if rest:
            unfinished = {run.id for run in runs}
            pending = await dbos_client.list_pending(rest)
            for status in pending:
                run_id = status.workflow_id
                if run_id not in unfinished and not await self._transitions.is_unfinished(run_id):
                    await dbos_client.cancel(run_id)
            self._emptied.update(set(rest) - {status.executor_id for status in pending})
        await self._liveness.forget(sorted(self._emptied))

    @property
    def _own_id(self) -> str:
        return self._liveness.own_id

    def _is_gone(self, executor_id: str) -> bool:
        return executor_id != self._own_id and self._liveness.is_gone(executor_id)

    def _is_alive(self, executor_id: str | None) -> bool:
        return bool(executor_id) and executor_id != self._own_id and self._liveness.is_alive(executor_id or "")

    def _is_old(self, moment: datetime | None, now: datetime) -> bool:
        return moment is None or moment + self._max_age < now

    async def _abandon(self, run: UnfinishedRun) -> None:
        reason = "The process that ran it is gone, and its time limit has passed."
        await self._transitions.finish(run.id, RunOutcome(status="abandoned", error=reason, error_name="ProcessGone"))


def _in_order(runs: Sequence[UnfinishedRun], statuses: Mapping[str, WorkflowStatus]) -> list[UnfinishedRun]:
    """Return the runs that wait by their age, then those under way, at random: many processes may sweep at once."""

    def place(run: UnfinishedRun) -> float:
        status = statuses.get(run.id)
        return random.random() if status is not None and status.status == "PENDING" else 0.0  # noqa: S311 - no secret

    return sorted(runs, key=place)
