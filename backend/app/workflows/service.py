"""The workflow service: it queues runs, has them executed and cancels them; it starts and stops with its process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from app.database import BrandLibrary, Database, DatabaseUnavailable, Run, file_identity
from app.database.repositories import brands, runs
from app.llm.factory import LLM
from app.settings import Settings
from events import limit_reached

from . import dbos_client, dbos_engine, dbos_tables, notices, trace_carrier
from .backlog_events import ENQUEUE_TIMEOUT
from .definitions import WORKFLOWS
from .executor import RunExecutor
from .liveness import Liveness
from .membership import Membership
from .queue_events import emit_limits, emit_unknown_queue
from .recovery import Recovery
from .retention import delete_forever
from .run_transitions import CANCELLED, RunTransitions
from .shield import wait_within
from .steps import StepRunner
from .sweep_loop import sweep_forever
from .total_agreement import TotalAgreement
from .workflow_errors import (
    IdempotencyConflict,
    QueueFull,
    RunAlreadyEnded,
    RunNotFound,
    RunsUnavailable,
    WorkflowNotFound,
    engine_unavailable,
)

log = logging.getLogger("app.workflows")

_CANCEL_TIMEOUT = 1.0  # seconds for whoever executes a run to store its usage and its end; then it is ended without
_CANCEL_LIMIT = 30.0  # seconds for a cancellation as a whole; then its request is answered and it goes on
_STOP_TIMEOUT = 5.0  # seconds, the same for all runs together when the process ends


class WorkflowService:
    """Runs workflows. There is one a process, because there is one DBOS a process.

    Without a model it executes none: it submits, reads and cancels them, and sweeps.

    Attributes:
        dbos_engine: The engine that DBOS uses, for instrumentation.
    """

    def __init__(self, database: Database, llm: LLM | None, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._transitions = RunTransitions(database)
        self._membership = Membership(settings, self._transitions)
        lease, steps = self._membership.lease, None
        if llm is not None:
            library = BrandLibrary(database)
            steps = StepRunner(self._transitions, llm, library, settings.llm_window, max_text=settings.max_step_text)
        self._executor = RunExecutor(self._transitions, steps, lease, settings.run_time_limit)
        # On SQLite submissions take turns: each writes to two files, and to each of them one may write at a time.
        self._submissions = asyncio.Lock() if settings.sqlite_file is not None else nullcontext()
        self._background: set[asyncio.Task[Any]] = set()
        self.dbos_engine = dbos_engine.create(settings.dbos_database_url)
        self._engine_file = None if settings.sqlite_file is None else Path(str(self.dbos_engine.url.database))
        self._identity: tuple[int, int] | None = None

    async def start(self) -> None:
        """Acquire an executor id, start DBOS, and resume or end the runs that earlier processes left unfinished.

        Raises:
            WorkflowEngineUnavailable: The data directory or the tables of DBOS cannot be written.
        """
        settings = self._settings
        try:
            lock = await self._membership.join()
            self._go_on(self._membership.watch(self._executor.give_back))
            await dbos_client.launch(
                settings.dbos_database_url,
                self.dbos_engine,
                lock.executor_id,
                self._executor.execute,
                slots=settings.slots,
                total=settings.total_concurrency,
                log_level=settings.log_level,
            )
            lease = self._membership.lease
            liveness, agreement = Liveness(self._database, lock, lease), TotalAgreement(settings.total_concurrency)
            recovery = Recovery(
                self._transitions,
                self._executor,
                lease,
                liveness,
                time_limit=settings.run_time_limit,
                max_requeues=settings.run_requeues,
            )
            emit_limits(settings, slots=settings.slots)

            async def sweep() -> None:
                await recovery.reconcile()
                if settings.executes_runs:
                    agreement.compare(liveness.others, liveness.is_gone)

            await sweep()
            self._identity = None if self._engine_file is None else file_identity(self._engine_file)
            self._go_on(sweep_forever(settings.sweep_interval, sweep, self._restore_tables))
            if settings.slots:
                self._go_on(self._executor.watch_cancellations())
            if self._engine_file is None and settings.slots:
                self._go_on(notices.listen_forever(self.dbos_engine, self._executor.cancelled_elsewhere))
            if settings.retention_days:
                self._go_on(delete_forever(self._database, settings.retention_days))
        except (SQLAlchemyError, psycopg.Error) as error:
            await self.stop()
            raise engine_unavailable(error, settings) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop, and leave unfinished runs for the next start; takes a few seconds at most."""
        if self._membership.lock is None:
            return
        for task in tuple(self._background):
            task.cancel()
        emit_limits(self._settings, slots=0)
        emit_unknown_queue()
        await self._executor.release_all(_STOP_TIMEOUT)
        await dbos_client.destroy()
        dbos_engine.dispose(self.dbos_engine)
        await self._membership.leave()

    async def check(self) -> None:
        """Check that a run can be taken: by the engine, and where runs are submitted by the queue.

        Raises:
            QueueFull: As many runs are queued as may be; they are executed.
            RunsUnavailable: None can be taken.
        """
        if self._membership.lock is None or self._executor.is_closing:
            raise RunsUnavailable("The process stops.")
        file = self._engine_file
        if file is not None and self._identity not in {None, file_identity(file)}:
            raise RunsUnavailable(f"The workflow engine's file {file} is gone or was replaced; restart the studio.")
        try:
            await asyncio.to_thread(dbos_tables.check, self.dbos_engine)
        except SQLAlchemyError as error:
            name = type(getattr(error, "orig", None) or error).__name__
            raise RunsUnavailable(f"The tables of the workflow engine cannot be used ({name}).") from error
        if not self._membership.lease.is_held:
            raise RunsUnavailable("The lease of this process on the database has lapsed.")
        if not self._settings.serves_api:
            return
        async with self._database.reading() as session:
            if await runs.is_queue_longer(session, self._settings.max_queued - 1):
                raise QueueFull(self._settings.max_queued)

    def emit_oldest_runs(self) -> None:
        """Emit, for each workflow, the age of its oldest active run in this process."""
        self._transitions.emit_oldest_runs()

    async def submit(
        self, workflow_type: str, brand: str, brief: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Run:
        """Queue a run and return it; with the idempotency key of an earlier run, return that one.

        Raises:
            WorkflowNotFound: There is no such workflow.
            QueueFull: As many runs are queued as may be.
            IdempotencyConflict: The key belongs to a run with another workflow, brand or brief.
        """
        if workflow_type not in WORKFLOWS:
            raise WorkflowNotFound(workflow_type)
        async with self._submissions:
            return await self._submit(workflow_type, brand, dict(brief), idempotency_key)

    async def _submit(self, workflow_type: str, brand: str, brief: dict[str, Any], idempotency_key: str | None) -> Run:
        try:
            async with self._database.writing() as session:
                brand_row = await brands.get_or_create(session, brand)
                run = await runs.create(
                    session,
                    run_id=str(uuid4()),
                    workflow_type=workflow_type,
                    brand_id=brand_row.id,
                    brief=brief,
                    idempotency_key=idempotency_key,
                )
                # After the key is known to be new: a repeated request has its place already.
                if await runs.is_queue_longer(session, self._settings.max_queued):
                    limit_reached.emit(limit="queued_runs")
                    raise QueueFull(self._settings.max_queued)
        except runs.IdempotencyKeyTaken as taken:
            earlier = taken.run
            if (earlier.workflow_type, earlier.brand.name, earlier.brief) != (workflow_type, brand, brief):
                raise IdempotencyConflict(idempotency_key or "", earlier) from None
            run = earlier
            if run.status != "queued":
                return run
        # The run is accepted: its row is stored. A repeated request queues what a lost process did not.
        try:
            carrier = trace_carrier.current_carrier() if self._settings.traces else None
            await wait_within(ENQUEUE_TIMEOUT, dbos_client.enqueue(run.id, carrier), self._background)
        except (SQLAlchemyError, dbos_client.EngineError, TimeoutError) as error:
            log.warning("run %s: %s as it was queued; a sweep queues it", run.id, type(error).__name__)
        return run

    async def cancel(self, run_id: str) -> Run:
        """Cancel a run and return it: a queued one at once, a running one as soon as its model call has stopped.

        Where the process that executes it does not answer, as it is dead, suspended or cut off, the run is ended
        here: that process finds it ended when it goes on, and what it has used is stored after the end.

        Raises:
            RunNotFound: There is no such run.
            RunAlreadyEnded: It ended before, or while it was being cancelled.
            DatabaseUnavailable: The database is away; the run is cancelled when it is back.
        """
        try:
            return await wait_within(_CANCEL_LIMIT, self._cancel(run_id), self._background)
        except TimeoutError:
            raise DatabaseUnavailable("The cancellation could not be stored in time; it goes on.") from None

    async def _cancel(self, run_id: str) -> Run:
        run = await self._get_run(run_id)
        if run.finished_at is not None:
            raise RunAlreadyEnded(run)
        deadline = asyncio.get_running_loop().time() + _CANCEL_TIMEOUT
        here = await self._executor.cancel(run_id, _CANCEL_TIMEOUT)
        if not here and not await self._transitions.finish_queued(run_id, CANCELLED):
            # It has just left the queue, or another process executes it.
            here = await self._executor.cancel(run_id, _CANCEL_TIMEOUT)
        status = await dbos_client.get_status(run_id)
        await dbos_client.cancel(run_id)
        holder = status.executor_id if status is not None and status.status == "PENDING" and not here else None
        if holder is not None:
            await asyncio.to_thread(notices.tell_cancelled, self.dbos_engine, run_id)
        run = await self._wait_until_ended(run_id, deadline if holder is not None else 0)
        if run.finished_at is None:
            if await self._transitions.finish(run_id, CANCELLED) and holder is not None:
                log.warning(
                    "run %s is ended as cancelled here: %s, which had it, did not within %g s",
                    run_id,
                    holder,
                    _CANCEL_TIMEOUT,
                )
            run = await self._get_run(run_id)
        if run.status != "cancelled":
            raise RunAlreadyEnded(run)
        return run

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _restore_tables(self) -> None:
        log.warning("tables of the workflow engine are missing: they are created again")
        await dbos_client.restore_tables(self._settings.dbos_database_url, self.dbos_engine)

    async def _get_run(self, run_id: str) -> Run:
        run = await self._transitions.get_run(run_id)
        if run is None:
            raise RunNotFound(run_id)
        return run

    async def _wait_until_ended(self, run_id: str, deadline: float) -> Run:
        """Return a run once it has ended, or as it is at a moment by the loop's clock."""
        run = await self._get_run(run_id)
        while run.finished_at is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
            run = await self._get_run(run_id)
        return run
