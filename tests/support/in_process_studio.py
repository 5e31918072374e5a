"""A studio in the test's own process, on a real database, asking a scripted model server; and what it recorded."""

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
from app.workflows.service import WorkflowService
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
from tests.support.openai_server import ChatRequest, Reply, calls_tool, says

NewSettings = Callable[..., Settings]

BRIEF = {"product": "wireless earbuds", "features": ["noise cancelling"], "audience": "commuters"}


def matching_answer(request: ChatRequest) -> Reply:
    """Answer a request in the form that it wants: a text, or something that fits its schema."""
    wanted = request.body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return says(json.dumps(example_of_schema(wanted["json_schema"]["schema"])))
    if request.body.get("tool_choice") == "required":
        [*_, tool] = request.body["tools"]
        return calls_tool(tool["function"]["name"], example_of_schema(tool["function"]["parameters"]))
    return says("Hear the music, not the train.")


def example_of_schema(schema: dict[str, Any]) -> Any:
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


def answers_in_order(*answers: Reply | None) -> Callable[[ChatRequest], Reply]:
    """Answer one request after the other as recorded; None, and everything after the last, as matching_answer it."""
    waiting = list(answers)

    def choose(request: ChatRequest) -> Reply:
        recorded = waiting.pop(0) if waiting else None
        return matching_answer(request) if recorded is None else recorded

    return choose


@dataclass
class RecordedEvents:
    """What was recorded about runs and model calls."""

    started: list[WorkflowStarted] = field(default_factory=list)
    resumed: list[WorkflowResumed] = field(default_factory=list)
    finished: list[WorkflowFinished] = field(default_factory=list)
    calls: list[LLMCalled] = field(default_factory=list)

    def assert_balanced(self) -> None:
        """See that every run that started finished, each recorded once, none still counted as active."""
        started = Counter(event.run_id for event in self.started)
        finished = Counter(event.run_id for event in self.finished)
        assert started == finished
        assert set(started.values()) <= {1}
        assert {event.run_id for event in self.resumed} <= set(finished)


@contextmanager
def record_events() -> Iterator[RecordedEvents]:
    """Collect what is recorded while the block runs."""
    recorded = RecordedEvents()
    with ExitStack() as stack:
        for signal, into in (
            (workflow_started, recorded.started),
            (workflow_resumed, recorded.resumed),
            (workflow_finished, recorded.finished),
            (llm_called, recorded.calls),
        ):
            stack.enter_context(signal.connected_to(into.append))
        yield recorded


@dataclass
class InProcessStudio:
    """A studio between its start and its stop."""

    service: WorkflowService
    database: Database

    async def submit(self, workflow_type: str = "product_content", brand: str = "Acme Audio") -> str:
        """Queue a run and give its id."""
        return (await self.service.submit(workflow_type, brand, BRIEF)).id

    async def run(self, run_id: str) -> Run:
        """Read a run."""
        async with self.database.session() as session:
            run = await runs.get(session, run_id)
        assert run is not None
        return run

    async def ended(self, run_id: str, within: float = 20.0) -> Run:
        """Wait for a run's end and read it."""
        return await self.wait_for_status(run_id, ("completed", "failed", "cancelled", "abandoned"), within)

    async def wait_for_status(self, run_id: str, statuses: Sequence[str], within: float = 20.0) -> Run:
        """Wait until a run has one of these statuses and read it."""
        deadline = monotonic() + within
        while (run := await self.run(run_id)).status not in statuses:
            assert monotonic() < deadline, f"run {run_id} is {run.status} after {within} s"
            await asyncio.sleep(0.02)
        return run


def spent(finished: WorkflowFinished) -> Usage:
    """Read what a run was recorded to have spent."""
    return Usage(finished.llm_calls, finished.prompt_tokens, finished.completion_tokens, finished.cost)


@asynccontextmanager
async def running_studio(settings: Settings) -> AsyncIterator[InProcessStudio]:
    """Start a studio; stop it when the block ends."""
    async with AsyncExitStack() as parts:
        database = Database(settings)
        parts.push_async_callback(database.close)
        await database.upgrade()
        llm = await open_model(settings)
        parts.push_async_callback(llm.close)
        service = WorkflowService(database, llm, settings)
        await service.start()
        parts.push_async_callback(service.stop)
        yield InProcessStudio(service, database)
