"""One step of a run: an agent is executed, and what came of it is stored in every way of leaving."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any

from app import agents
from app.agents import AgentFailed, Assignment, Library, Spent
from app.database import Run, StepStatus
from app.llm.factory import LLM
from events.bus.failures import error_location

from . import dbos_client
from .definitions import Step
from .run_state import RunTransitions, StepRecord

log = logging.getLogger("app.workflows")


class StepFailed(Exception):
    """A step failed, and its run with it; the message is for the run's reader, ``kind`` for listeners."""

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Steps:
    """Does steps with one model and one library."""

    def __init__(self, ledger: RunTransitions, llm: LLM, library: Library, window: int | None = None) -> None:
        self._window = window  # tokens that the model takes, where the settings say
        self._ledger = ledger
        self._llm = llm
        self._library = library

    def do(self, run: Run, position: int, step: Step, earlier: tuple[tuple[str, str], ...]) -> Coroutine[Any, Any, str]:
        """Do a step, or give what it gave before; the answer is its text.

        Raises:
            StepFailed: the agent failed.
        """
        # The durable step answers with data and never raises: what DBOS stores of an exception would be our classes.
        return _text(dbos_client.step(step.name, partial(self._attempt, run, position, step, earlier)))

    async def _attempt(
        self, run: Run, position: int, step: Step, earlier: tuple[tuple[str, str], ...]
    ) -> dict[str, str]:
        done = await self._ledger.finished_step(run.id, step.name)
        if done is not None and done.output is not None:
            return {"text": str(done.output["text"])}  # stored, but the process ended before DBOS knew
        spent = Spent()
        started_at, began = datetime.now(UTC), perf_counter()

        async def save(status: StepStatus, error: str | None, output: dict[str, Any] | None = None) -> None:
            record = StepRecord(
                position=position,
                name=step.name,
                agent_name=step.agent_name,
                status=status,
                error=error,
                output=output,
                started_at=started_at,
                duration=perf_counter() - began,
                llm_calls=spent.llm_calls,
                prompt_tokens=spent.prompt_tokens,
                completion_tokens=spent.completion_tokens,
                cost=spent.cost,
            )
            await self._ledger.save_step(run, record)

        try:
            execution = await agents.execute(
                step.agent_name,
                _assignment(run, step, earlier),
                model=self._llm.model,
                library=self._library,
                usage=spent,
                window=self._window,
            )
        except AgentFailed as failure:
            reason = f"{step.name}: {failure.reason}"
            await save(failure.status, failure.reason)
            return {"error": reason, "kind": type(failure).__name__}
        except asyncio.CancelledError:
            await save("cancelled", "The step was stopped.")
            raise
        except Exception as error:
            kind = type(error).__name__
            log.error("run %s: step %s failed with %s at %s", run.id, step.name, kind, error_location(error))  # noqa: TRY400 - its message may quote a prompt
            reason = f"The agent failed with {kind}; the studio's log says where."
            await save("error", reason)
            return {"error": f"{step.name}: {reason}", "kind": kind}
        await save("success", None, {**execution.output, "text": execution.text})
        return {"text": execution.text}


async def _text(answer: Callable[[], Coroutine[Any, Any, dict[str, str]]]) -> str:
    found = await answer()
    if "error" in found:
        raise StepFailed(found["error"], found["kind"])
    return found["text"]


def _assignment(run: Run, step: Step, earlier: tuple[tuple[str, str], ...]) -> Assignment:
    brief = run.brief
    return Assignment(
        brand=run.brand.name,
        product=str(brief.get("product", "")),
        features=tuple(brief.get("features", ())),
        audience=str(brief.get("audience", "")),
        task=step.task,
        earlier=earlier,
    )
