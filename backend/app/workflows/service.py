"""The studio: takes runs in, has them performed, cancels them; started and stopped with its process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from app.database import BrandLibrary, Database, Run
from app.database.repositories import brands, runs
from app.llm.factory import LLM
from app.settings import Settings

from . import dbos_client, dbos_engine, executor_locks
from .definitions import WORKFLOWS
from .executor import RunExecutor
from .recovery import Recovery
from .run_state import CANCELLED, RunTransitions
from .steps import Steps

_CANCEL_WITHIN = 10.0  # seconds for a run to store what it spent before its end is told without it
_STOP_WITHIN = 5.0  # the same, for all runs together, when the process ends


class WorkflowEngineUnavailable(Exception):
    """The studio cannot start; the message is one line: the thing, the cause, the way out."""


class WorkflowNotFound(Exception):
    """No workflow has that name."""

    def __init__(self, workflow_type: str) -> None:
        super().__init__(f"There is no workflow {workflow_type!r}; choose one of {', '.join(sorted(WORKFLOWS))}.")


class RunNotFound(Exception):
    """No run has that id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run {run_id!r}; GET /api/v1/runs lists them.")


class RunAlreadyEnded(Exception):
    """The run has ended, so there is nothing to cancel."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Run {run.id} is {run.status}: there is nothing to cancel.")
        self.run = run


class IdempotencyConflict(Exception):
    """The key belongs to a run that was asked for in other words."""

    def __init__(self, key: str, run: Run) -> None:
        super().__init__(
            f"Idempotency-Key {key!r} belongs to run {run.id}, with another workflow, brand or brief; use a new key."
        )
        self.run = run


class WorkflowService:
    """Runs workflows. One a process, because DBOS is one a process."""

    def __init__(self, database: Database, llm: LLM, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._ledger = RunTransitions(database)
        steps = Steps(self._ledger, llm, BrandLibrary(database), settings.llm_window)
        self._performer = RunExecutor(self._ledger, steps, settings.run_time_limit)
        self._slot: executor_locks.ExecutorLock | None = None
        self.dbos_engine = dbos_engine.make(settings.dbos_database_url)

    async def start(self) -> None:
        """Take an executor slot, start DBOS, and take up what was left behind.

        Raises:
            WorkflowEngineUnavailable: the data directory or the tables of the workflow engine cannot be written.
        """
        settings = self._settings
        try:
            self._slot = executor_locks.take(settings.data_dir / "executors", _prefix(settings))
        except OSError as error:
            raise WorkflowEngineUnavailable(
                f"The data directory cannot be used ({error.filename}): {error.strerror}; "
                "make it writable, or set SPARKLIO_DATA_DIR to another."
            ) from None
        try:
            await dbos_client.launch(
                settings.dbos_database_url,
                self.dbos_engine,
                self._slot.executor_id,
                self._performer.perform,
                concurrency=settings.concurrency,
                log_level=settings.log_level,
            )
            await Recovery(self._ledger, self._slot, settings.run_time_limit).reconcile()
        except SQLAlchemyError as error:
            await self.stop()
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise WorkflowEngineUnavailable(
                f"The tables of the workflow engine cannot be used: {cause}; "
                "make the database writable, or set SPARKLIO_DATABASE_URL to another."
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Leave what is under way for the next start; takes a few seconds at most."""
        if self._slot is None:
            return
        await self._performer.release(_STOP_WITHIN)
        await dbos_client.destroy()
        dbos_engine.close(self.dbos_engine)
        self._slot.release()
        self._slot = None

    def emit_oldest_runs(self) -> None:
        """Tell how long the oldest run of each workflow has been under way in this process."""
        self._ledger.emit_oldest_runs()

    async def submit(
        self, workflow_type: str, brand: str, brief: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Run:
        """Queue a run; with the key of an earlier one, give that one.

        Raises:
            WorkflowNotFound: there is no such workflow.
            IdempotencyConflict: the key's run was asked for in other words.
        """
        if workflow_type not in WORKFLOWS:
            raise WorkflowNotFound(workflow_type)
        brief = dict(brief)
        try:
            async with self._database.session() as session, session.begin():
                whose = await brands.get_or_create(session, brand)
                run = await runs.create(
                    session,
                    run_id=str(uuid4()),
                    workflow_type=workflow_type,
                    brand_id=whose.id,
                    brief=brief,
                    idempotency_key=idempotency_key,
                )
        except runs.IdempotencyKeyTaken as taken:
            earlier = taken.run
            if (earlier.workflow_type, earlier.brand.name, earlier.brief) != (workflow_type, brand, brief):
                raise IdempotencyConflict(idempotency_key or "", earlier) from None
            run = earlier
            if run.status != "queued":
                return run
        await dbos_client.enqueue(run.id)  # a repeated request queues what a lost process did not
        return run

    async def cancel(self, run_id: str) -> Run:
        """Cancel a run: in the queue at once, under way as soon as its model call has stopped.

        Raises:
            RunNotFound: there is no such run.
            RunAlreadyEnded: it has ended, before or while it was being cancelled.
        """
        run = await self._known(run_id)
        if run.finished_at is not None:
            raise RunAlreadyEnded(run)
        here = await self._performer.cancel(run_id, _CANCEL_WITHIN)
        if not here and not await self._ledger.end_queued(run_id, CANCELLED):
            # It left the queue this moment, or another process has it: DBOS tells that one.
            await self._performer.cancel(run_id, _CANCEL_WITHIN)
        known = (await dbos_client.statuses([run_id])).get(run_id)
        await dbos_client.cancel(run_id)
        elsewhere = known is not None and known.status == "PENDING"
        run = await self._ended(run_id, _CANCEL_WITHIN if elsewhere else 0)
        if run.finished_at is None:
            await self._ledger.end(run_id, CANCELLED)  # nobody has it, or nobody answers for it
            run = await self._known(run_id)
        if run.status != "cancelled":
            raise RunAlreadyEnded(run)
        return run

    async def _known(self, run_id: str) -> Run:
        run = await self._ledger.run(run_id)
        if run is None:
            raise RunNotFound(run_id)
        return run

    async def _ended(self, run_id: str, within: float) -> Run:
        """Wait for a run to end, so many seconds at most."""
        deadline = asyncio.get_running_loop().time() + within
        run = await self._known(run_id)
        while run.finished_at is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
            run = await self._known(run_id)
        return run


def _prefix(settings: Settings) -> str | None:
    """Tell processes of one host apart that share a database but no directory for their locks."""
    if settings.sqlite_file is not None:
        return None
    place = hashlib.blake2s(str(settings.data_dir.resolve()).encode(), digest_size=4).hexdigest()
    return f"{executor_locks.host()}-{place}"
