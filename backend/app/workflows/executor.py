"""The execution of runs: stage after stage, and every way in which a run ends or is left unfinished."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NoReturn

from sqlalchemy.exc import SQLAlchemyError

from app.database import Run
from events import workflow_run
from events.bus.failures import error_location

from . import dbos_client
from .active_run import READ_TIME, ActiveRun
from .definitions import WORKFLOWS
from .leases import Lease
from .run_transitions import CANCELLED, RunOutcome, RunTransitions
from .steps import StepFailed, StepRunner

log = logging.getLogger("app.workflows")

CANCELLATION_CHECK = 1.0  # seconds between two looks for cancellations that no notice came of


class RunExecutor:
    """Executes runs, and knows which ones it is executing.

    The time limit is for the work of one process: the time between two starts of the studio does not count.

    Args:
        transitions: Reads and changes the rows of runs.
        steps: Runs their steps; None in a process that executes no runs.
        lease: The lease of this process, without which nothing is executed.
        time_limit: The seconds that a run may take.

    Attributes:
        given_back: The runs that this process has claimed but does not execute, as its lease lapsed. Whoever queues one
            of them again removes it.
    """

    def __init__(self, transitions: RunTransitions, steps: StepRunner | None, lease: Lease, time_limit: float) -> None:
        self.given_back: set[str] = set()
        self._transitions = transitions
        self._steps = steps
        self._lease = lease
        self._time_limit = time_limit
        self._active: dict[str, ActiveRun] = {}
        self._any_active = asyncio.Event()
        self._closing = False

    @property
    def takes_runs(self) -> bool:
        """Whether this process executes runs at all."""
        return self._steps is not None

    @property
    def is_closing(self) -> bool:
        """Whether runs are no longer executed, as the process stops."""
        return self._closing

    def is_executing(self, run_id: str) -> bool:
        """Return whether this process executes a run."""
        return run_id in self._active

    async def execute(self, run_id: str) -> None:
        """Execute what is left of a run and store its end; if a stop cancels this, the next start resumes it.

        Raises:
            EngineFailed: The database or the workflow engine failed, which says nothing about the run. A sweep queues
                it again.
        """
        while (earlier := self._active.get(run_id)) is not None:
            await earlier.released.wait()  # it has lost the run to this call and does not know it yet
        task = asyncio.current_task()
        if self._closing or task is None or self._steps is None:
            raise asyncio.CancelledError
        active = self._active[run_id] = ActiveRun(task, self._lease.check_from_now())
        self._any_active.set()
        try:
            await self._check_claim(run_id)
            await self._execute_to_end(run_id, active)
        except (SQLAlchemyError, dbos_client.EngineError) as error:
            if self._closing:
                raise asyncio.CancelledError from None
            log.warning("run %s: %s at %s", run_id, type(error).__name__, error_location(error))
            raise dbos_client.EngineFailed from None
        finally:
            del self._active[run_id]
            if not self._active:
                self._any_active.clear()
            self._transitions.release(run_id)
            active.released.set()

    async def cancel(self, run_id: str, timeout_seconds: float) -> bool:
        """Cancel a run that this process is executing, with its model call; return False if it is not executing it.

        Waits until the usage and the end are stored, for ``timeout_seconds`` at most.
        """
        active = self._active.get(run_id)
        if active is None:
            return False
        if active.cancelled is None:
            active.cancelled = "here"
            active.task.cancel()
        await _wait_for_event(active.released, timeout_seconds)
        return True

    def cancelled_elsewhere(self, run_id: str) -> None:
        """Cancel a run, with its model call, as it was cancelled through another process; if it is executed here."""
        active = self._active.get(run_id)
        if active is not None and active.cancelled is None:
            active.cancelled = "elsewhere"
            active.stop_in(READ_TIME)

    async def watch_cancellations(self) -> None:
        """Cancel the runs that were cancelled through another process whose notice did not come; until cancelled."""
        while await self._any_active.wait():
            await asyncio.sleep(CANCELLATION_CHECK)
            executed = dict(self._active)
            try:
                found = await dbos_client.cancelled_among(tuple(executed))
            except (
                Exception
            ) as error:  # whatever failed, the next look tries again; sweeps report the database's errors
                if not isinstance(error, (SQLAlchemyError, dbos_client.EngineError)):
                    name = type(error).__name__
                    log.warning("a look for cancellations failed with %s at %s", name, error_location(error))
                continue
            for run_id in found:
                if self._active.get(run_id) is executed[run_id]:  # and not resumed meanwhile
                    self.cancelled_elsewhere(run_id)

    def give_back(self) -> int:
        """Stop executing all runs, as other processes may take them over, and return how many there are.

        They make no call of a model any more; those under way are broken off half a beat of the lease later, which is
        before others take the runs. What they have used is stored.
        """
        for run_id, active in self._active.items():
            self.given_back.add(run_id)
            active.stop_in(max(READ_TIME, self._lease.beat / 2))
        return len(self._active)

    async def release_all(self, timeout_seconds: float) -> None:
        """Stop executing all runs, within ``timeout_seconds``, and leave them as they are for the next start."""
        self._closing = True
        self._transitions.stop_retrying()
        for active in self._active.values():
            active.task.cancel()
        releases = [asyncio.ensure_future(active.released.wait()) for active in self._active.values()]
        if releases:
            _, pending = await asyncio.wait(releases, timeout=timeout_seconds)
            for release in pending:
                release.cancel()

    async def _check_claim(self, run_id: str) -> None:
        """Raise CancelledError if the run may be another process's by now, as one that was claimed without a lease."""
        if not self._lease.is_held:
            # Raised at once it would let the engine claim the next run, and so withhold all from other processes.
            await self._lease.wait_until_held()
        elif not self._lease.was_renewed_late or await dbos_client.is_claimed_here(run_id):
            self.given_back.discard(run_id)
            return
        self.given_back.add(run_id)
        raise asyncio.CancelledError

    async def _execute_to_end(self, run_id: str, active: ActiveRun) -> None:
        try:
            run = await self._transitions.start(run_id)
            if run is None:
                return  # it has ended already
            with workflow_run.scope(run_id=run.id, workflow_type=run.workflow_type):
                outcome = await self._outcome_of(run, active)
            active.check()  # an end that it passed while it was suspended is not the run's
        except asyncio.CancelledError:
            if not active.cancelled:
                raise
            active.task.uncancel()  # the cancellation is dealt with here: what follows must not be cancelled
            if active.cancelled == "elsewhere":
                await self._end_cancelled_elsewhere(run_id, active)
            outcome = CANCELLED
        except dbos_client.CancelledElsewhere:
            await self._end_cancelled_elsewhere(run_id, active)
        except dbos_client.TakenOver:
            active.ending = True
            # So does a step's end that meets a cancellation by another process.
            status = await dbos_client.get_status(run_id)
            if status is not None and status.status == "CANCELLED":
                await self._end_cancelled_elsewhere(run_id, active)
            log.warning("run %s was taken over by another process", run_id)
            raise asyncio.CancelledError from None
        await self._transitions.finish(run_id, outcome)

    async def _end_cancelled_elsewhere(self, run_id: str, active: ActiveRun) -> NoReturn:
        """End a run that another process has cancelled, unless that one has, and raise CancelledError.

        DBOS knows of the cancellation, and would wait for a result.
        """
        active.ending = True
        await self._transitions.finish(run_id, CANCELLED)
        log.info("run %s was cancelled by another process", run_id)
        raise asyncio.CancelledError

    async def _outcome_of(self, run: Run, active: ActiveRun) -> RunOutcome:
        try:
            async with asyncio.timeout(self._time_limit) as limit:
                return RunOutcome(status="completed", output=await self._run_stages(run, active))
        except StepFailed as failure:
            return RunOutcome(
                status="failed", error=str(failure), error_name=failure.error_name, error_type=failure.error_type
            )
        except Exception as error:
            if limit.expired():
                reason = f"The run passed its time limit of {self._time_limit:g} seconds (SPARKLIO_RUN_TIME_LIMIT)."
                return RunOutcome(status="failed", error=reason, error_name="TimeLimitPassed", error_type="time_limit")
            if isinstance(error, (SQLAlchemyError, dbos_client.EngineError)):
                raise
            name = type(error).__name__
            log.error("run %s failed with %s at %s", run.id, name, error_location(error))  # noqa: TRY400 - its message may quote a prompt
            reason = f"The studio failed with {name}; its log says where."
            return RunOutcome(status="failed", error=reason, error_name=name)

    async def _run_stages(self, run: Run, active: ActiveRun) -> dict[str, Any]:
        assert self._steps is not None  # noqa: S101 - `execute` begins nothing without
        workflow = WORKFLOWS[run.workflow_type]
        texts: dict[str, str] = {}
        position = 0
        for stage in workflow.stages:
            earlier = tuple(texts.items())
            steps = [
                self._steps.run(run, position + index, step, earlier, active.check) for index, step in enumerate(stage)
            ]
            texts.update(zip((step.name for step in stage), await _gather(steps), strict=True))
            position += len(stage)
        return {"text": "\n\n".join(texts[name] for name in workflow.result)}


async def _gather(steps: list[Coroutine[Any, Any, str]]) -> list[str]:
    """Run the steps of a stage in parallel; if one fails, cancel the others and await them before raising its error."""
    if len(steps) == 1:
        return [await steps[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in steps]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _wait_for_event(event: asyncio.Event, timeout_seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_seconds)
    except TimeoutError:
        log.warning("waited %g seconds for a run to be released; going on without", timeout_seconds)
