"""The steps of a run: an agent is executed, and the outcome is stored however the execution ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any, cast
from uuid import uuid4

from app import agents
from app.agents import AgentFailed, Assignment, Library
from app.database import Run, Step, StepStatus
from app.llm.call_gate import gated
from app.llm.factory import LLM
from app.llm_usage import LLMUsage
from events import limit_reached
from events.bus.failures import error_location
from events.workflows import WorkflowErrorType

from . import dbos_client
from .definitions import WORKFLOWS, StepDefinition
from .error_causes import step_error_type
from .journal_entries import AttemptUsage
from .run_transitions import RunTransitions

log = logging.getLogger("app.workflows")

_STOPPED = "The step was stopped."

EarlierTexts = tuple[tuple[str, str], ...]
"""The texts of the steps of earlier stages, as pairs of step name and text."""


class StepFailed(Exception):
    """A step failed, and its run with it. The message is for the run's reader, the other two are for events."""

    def __init__(self, reason: str, error_name: str, error_type: WorkflowErrorType) -> None:
        super().__init__(reason)
        self.error_name = error_name
        self.error_type = error_type


class StepRunner:
    """Runs steps with one model and one library."""

    def __init__(
        self,
        transitions: RunTransitions,
        llm: LLM,
        library: Library,
        window: int | None = None,
        *,
        max_text: int,
    ) -> None:
        self._transitions = transitions
        self._llm = llm
        self._library = library
        self._window = window  # tokens; None when the settings do not say
        self._max_text = max_text  # bytes of a step's output

    def run(
        self, run: Run, position: int, step: StepDefinition, earlier: EarlierTexts, check: Callable[[], None]
    ) -> Coroutine[Any, Any, str]:
        """Return a coroutine that runs a step and returns its text; a step that is done returns its stored text.

        Args:
            run: The run.
            position: The step's place in it.
            step: The step.
            earlier: The texts of the stages before.
            check: Raises CancelledError once the run is cancelled, or another process may take it over: no call is
                made then, and of the one under way the usage is stored, but not the answer.

        Raises:
            StepFailed: The agent failed (raised when the coroutine is awaited).
        """
        # The DBOS step returns data and never raises: DBOS would store the exception, which is of our classes.
        return _text(dbos_client.durable_step(step.name, partial(self._attempt, run, position, step, earlier, check)))

    async def _attempt(
        self, run: Run, position: int, step: StepDefinition, earlier: EarlierTexts, check: Callable[[], None]
    ) -> dict[str, str]:
        check()
        done = await self._transitions.get_successful_step(run.id, step.name)
        if done is not None and done.output is not None:
            return {"text": str(done.output["text"])}  # stored, but the process ended before DBOS knew
        attempt_id, usage = str(uuid4()), LLMUsage()
        started_at, started = datetime.now(UTC), perf_counter()

        def record(spent: LLMUsage, in_call: bool, status: StepStatus | None = None) -> None:
            if in_call:
                check()
            self._transitions.record(
                AttemptUsage(
                    attempt_id=attempt_id,
                    run_id=run.id,
                    position=position,
                    name=step.name,
                    agent_name=step.agent_name,
                    started_at=started_at,
                    duration=perf_counter() - started,
                    usage=spent,
                    in_call=in_call,
                    status=status,
                )
            )

        async def save(status: StepStatus, error: str | None, output: dict[str, Any] | None = None) -> None:
            result = Step(
                run_id=run.id,
                position=position,
                name=step.name,
                agent_name=step.agent_name,
                status=status,
                error=error,
                output=output,
                started_at=started_at,
                duration=perf_counter() - started,
                **asdict(usage),
            )
            record(usage, False, status)
            await self._transitions.save_step(run, result, attempt_id)

        async def conclude(status: StepStatus, error: str | None, output: dict[str, Any] | None = None) -> None:
            try:
                check()
            except asyncio.CancelledError:  # another process may have repeated the step: what it cost counts, not more
                await save("cancelled", _STOPPED)
                raise
            await save(status, error, output)

        try:
            with gated(check):
                result = await agents.execute(
                    step.agent_name,
                    _assignment(run, step, earlier),
                    model=self._llm.model,
                    library=self._library,
                    usage=usage,
                    window=self._window,
                    on_call=record,
                )
        except asyncio.CancelledError:
            await save("cancelled", _STOPPED)
            raise
        except Exception as error:
            status, reason = _reason_of(error, run, step)
            await conclude(status, reason)
            return _failure(step, reason, type(error).__name__, step_error_type(error))
        output = {**result.output, "text": result.text}
        if (size := byte_size(output)) > self._max_text:
            limit_reached.emit(limit="step_text")
            reason = (
                f"The answer has {size} bytes, more than the {self._max_text} of SPARKLIO_MAX_STEP_TEXT: try again."
            )
            await conclude("error", reason)
            return _failure(step, reason, "AnswerTooLong", "answer_too_long")
        await conclude("success", None, output)
        return {"text": result.text}


def byte_size(output: dict[str, Any]) -> int:
    """Return the bytes of a step's output as it is stored."""
    return len(json.dumps(output, ensure_ascii=False).encode("utf-8", "replace"))


def _reason_of(error: Exception, run: Run, step: StepDefinition) -> tuple[StepStatus, str]:
    """Return how an attempt ends that failed, and why for its reader; what no agent should raise is logged."""
    if isinstance(error, AgentFailed):
        return error.status, error.reason
    name = type(error).__name__
    log.error("run %s: step %s failed with %s at %s", run.id, step.name, name, error_location(error))
    return "error", f"The agent failed with {name}; the studio's log says where."


def _failure(step: StepDefinition, reason: str, error_name: str, error_type: WorkflowErrorType) -> dict[str, str]:
    return {"error": f"{step.name}: {reason}", "kind": error_name, "type": error_type}


async def _text(durable_step: Callable[[], Coroutine[Any, Any, dict[str, str]]]) -> str:
    # The keys are stored by DBOS: runs that were started by an earlier version of the program have them too.
    result = await durable_step()
    if "error" in result:
        raise StepFailed(result["error"], result["kind"], cast("WorkflowErrorType", result.get("type", "other")))
    return result["text"]


def _assignment(run: Run, step: StepDefinition, earlier: EarlierTexts) -> Assignment:
    brief = run.brief
    return Assignment(
        brand=run.brand.name,
        product=str(brief.get("product", "")),
        features=tuple(brief.get("features", ())),
        audience=str(brief.get("audience", "")),
        task=step.task,
        earlier=earlier,
        author=_author(run, earlier),
    )


def _author(run: Run, earlier: EarlierTexts) -> str:
    """Return the agent that wrote the last of some texts; "" where there is none."""
    if not earlier:
        return ""
    agents_of_steps = {step.name: step.agent_name for step in WORKFLOWS[run.workflow_type].steps()}
    return agents_of_steps.get(earlier[-1][0], "")
