"""A run being performed: its stages one after the other, and every way in which it can end or be left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from app.database import Run
from events import workflow_run
from events.bus.failures import error_location

from . import dbos_client
from .definitions import WORKFLOWS
from .run_state import CANCELLED, RunOutcome, RunTransitions
from .steps import StepFailed, Steps

log = logging.getLogger("app.workflows")


@dataclass(slots=True, eq=False)
class Held:
    """A run that this process is performing."""

    task: asyncio.Task[Any]
    cancelled: bool = False
    left: asyncio.Event = field(default_factory=asyncio.Event)


class RunExecutor:
    """Performs runs, and knows which ones it is performing.

    The time limit is for the work of one process: the time between two starts of the studio does not count.
    """

    def __init__(self, ledger: RunTransitions, steps: Steps, time_limit: float) -> None:
        self._ledger = ledger
        self._steps = steps
        self._time_limit = time_limit
        self._held: dict[str, Held] = {}
        self._closing = False

    async def perform(self, run_id: str) -> None:
        """Do what is left of a run, and tell how it ended. Left by a cancellation, it waits for the next start."""
        while (other := self._held.get(run_id)) is not None:
            await other.left.wait()  # an earlier attempt that lost its claim and does not know it yet
        task = asyncio.current_task()
        if self._closing or task is None:
            raise asyncio.CancelledError
        held = self._held[run_id] = Held(task)
        try:
            await self._begin_to_end(run_id, held)
        finally:
            del self._held[run_id]
            self._ledger.leave(run_id)
            held.left.set()

    async def cancel(self, run_id: str, within: float) -> bool:
        """Cancel a run that is performed here, its model call included; False when it is not.

        Waits until what it spent is stored and its end is told, for so many seconds at most.
        """
        held = self._held.get(run_id)
        if held is None:
            return False
        if not held.cancelled:
            held.cancelled = True
            held.task.cancel()
        await _until(held.left, within)
        return True

    async def release(self, within: float) -> None:
        """Leave every run as it is, for the next start, within so many seconds."""
        self._closing = True
        for held in self._held.values():
            held.task.cancel()
        leaving = [asyncio.ensure_future(held.left.wait()) for held in self._held.values()]
        if leaving:
            _, stuck = await asyncio.wait(leaving, timeout=within)
            for waiting in stuck:
                waiting.cancel()

    async def _begin_to_end(self, run_id: str, held: Held) -> None:
        try:
            run = await self._ledger.begin(run_id)
            if run is None:
                return  # it ended before it got here
            with workflow_run.scope(run_id=run.id, workflow_type=run.workflow_type):
                ending = await self._carry_out(run)
        except asyncio.CancelledError:
            if not held.cancelled:
                raise
            held.task.uncancel()  # answered here: what follows is no longer being cancelled
            ending = CANCELLED
        except dbos_client.CancelledElsewhere:
            await self._ledger.end(run_id, CANCELLED)
            raise asyncio.CancelledError from None  # DBOS knows already, and would wait for an answer
        except dbos_client.TakenOver:
            log.warning("run %s was taken over by another process", run_id)
            raise asyncio.CancelledError from None
        await self._ledger.end(run_id, ending)

    async def _carry_out(self, run: Run) -> RunOutcome:
        try:
            async with asyncio.timeout(self._time_limit) as limit:
                return RunOutcome(status="completed", output=await self._stages(run))
        except StepFailed as failure:
            return RunOutcome(status="failed", error=str(failure), kind=failure.kind)
        except Exception as error:
            if limit.expired():
                reason = f"The run passed its time limit of {self._time_limit:g} seconds (SPARKLIO_RUN_TIME_LIMIT)."
                return RunOutcome(status="failed", error=reason, kind="TimeLimitPassed")
            log.error("run %s failed with %s at %s", run.id, type(error).__name__, error_location(error))  # noqa: TRY400 - its message may quote a prompt
            reason = f"The studio failed with {type(error).__name__}; its log says where."
            return RunOutcome(status="failed", error=reason, kind=type(error).__name__)

    async def _stages(self, run: Run) -> dict[str, Any]:
        workflow = WORKFLOWS[run.workflow_type]
        texts: dict[str, str] = {}
        position = 0
        for stage in workflow.stages:
            earlier = tuple(texts.items())
            work = [self._steps.do(run, position + place, step, earlier) for place, step in enumerate(stage)]
            texts.update(zip((step.name for step in stage), await _together(work), strict=True))
            position += len(stage)
        return {"text": "\n\n".join(texts[name] for name in workflow.result)}


async def _together(work: list[Coroutine[Any, Any, str]]) -> list[str]:
    """Do the steps of a stage side by side; when one fails the others are stopped, and have stopped."""
    if len(work) == 1:
        return [await work[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _until(event: asyncio.Event, within: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), within)
    except TimeoutError:
        log.warning("waited %g seconds for a run to leave; going on without", within)
