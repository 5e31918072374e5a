"""A studio in the test's own process, on a real database, asking a scripted model server; and what it told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from app.database import Database, Run, Usage
from app.database.repositories import runs
from app.llm.factory import open_model
from app.settings import Settings
from app.workflows.service import Studio
from events import (
    LLMCalled,
    WorkflowFinished,
    WorkflowResumed,
    WorkflowStarted,
    llm_called,
    workflow_finished,
    workflow_resumed,
    workflow_started,
)
from tests.support.openai_server import Answer, Asked, calls, says

NewSettings = Callable[..., Settings]

BRIEF = {"product": "wireless earbuds", "features": ["noise cancelling"], "audience": "commuters"}


def suits(asked: Asked) -> Answer:
    """Answer a request in the form that it wants: a text, or something that fits its schema."""
    wanted = asked.body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return says(json.dumps(filled(wanted["json_schema"]["schema"])))
    if asked.body.get("tool_choice") == "required":
        [*_, tool] = asked.body["tools"]
        return calls(tool["function"]["name"], filled(tool["function"]["parameters"]))
    return says("Hear the music, not the train.")


def filled(schema: dict[str, Any]) -> Any:
    """Make the first thing that fits a JSON schema."""
    defined = schema.get("$defs", {})

    def fill(part: dict[str, Any]) -> Any:
        if "$ref" in part:
            return fill(defined[part["$ref"].rsplit("/", 1)[1]])
        if "enum" in part:
            return part["enum"][0]
        if "const" in part:
            return part["const"]
        kinds = {"string": "Fine.", "integer": part.get("minimum", 1), "number": 1.0, "boolean": True, "array": []}
        if part.get("type") == "object" or "properties" in part:
            return {name: fill(inner) for name, inner in part.get("properties", {}).items()}
        return kinds[part["type"]]

    return fill(schema)


def in_order(*answers: Answer | None) -> Callable[[Asked], Answer]:
    """Answer one request after the other as told; None, and everything after the last, as suits it."""
    waiting = list(answers)

    def choose(asked: Asked) -> Answer:
        told = waiting.pop(0) if waiting else None
        return suits(asked) if told is None else told

    return choose


@dataclass
class Told:
    """What was told about runs and model calls."""

    started: list[WorkflowStarted] = field(default_factory=list)
    resumed: list[WorkflowResumed] = field(default_factory=list)
    finished: list[WorkflowFinished] = field(default_factory=list)
    calls: list[LLMCalled] = field(default_factory=list)

    def balances(self) -> None:
        """See that every run that started finished, each told once, none still counted as active."""
        started = Counter(event.run_id for event in self.started)
        finished = Counter(event.run_id for event in self.finished)
        assert started == finished
        assert set(started.values()) <= {1}
        assert {event.run_id for event in self.resumed} <= set(finished)


@contextmanager
def listening() -> Iterator[Told]:
    """Collect what is told while the block runs."""
    told = Told()
    with ExitStack() as stack:
        for signal, into in (
            (workflow_started, told.started),
            (workflow_resumed, told.resumed),
            (workflow_finished, told.finished),
            (llm_called, told.calls),
        ):
            stack.enter_context(signal.connected_to(into.append))
        yield told


@dataclass
class Life:
    """A studio between its start and its stop."""

    studio: Studio
    database: Database

    async def submit(self, workflow_type: str = "product_content", brand: str = "Acme Audio") -> str:
        """Queue a run and give its id."""
        return (await self.studio.submit(workflow_type, brand, BRIEF)).id

    async def run(self, run_id: str) -> Run:
        """Read a run."""
        async with self.database.session() as session:
            run = await runs.get(session, run_id)
        assert run is not None
        return run

    async def ended(self, run_id: str, within: float = 20.0) -> Run:
        """Wait for a run's end and read it."""
        return await self.become(run_id, ("completed", "failed", "cancelled", "abandoned"), within)

    async def become(self, run_id: str, statuses: Sequence[str], within: float = 20.0) -> Run:
        """Wait until a run has one of these statuses and read it."""
        deadline = monotonic() + within
        while (run := await self.run(run_id)).status not in statuses:
            assert monotonic() < deadline, f"run {run_id} is {run.status} after {within} s"
            await asyncio.sleep(0.02)
        return run


def spent(finished: WorkflowFinished) -> Usage:
    """Read what a run was told to have spent."""
    return Usage(finished.llm_calls, finished.prompt_tokens, finished.completion_tokens, finished.cost)


@asynccontextmanager
async def living(settings: Settings) -> AsyncIterator[Life]:
    """Start a studio; stop it when the block ends."""
    async with AsyncExitStack() as parts:
        database = Database(settings)
        parts.push_async_callback(database.close)
        await database.upgrade()
        llm = await open_model(settings)
        parts.push_async_callback(llm.close)
        studio = Studio(database, llm, settings)
        await studio.start()
        parts.push_async_callback(studio.stop)
        yield Life(studio, database)
