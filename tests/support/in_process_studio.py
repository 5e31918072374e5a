"""A studio in the test's own process, on a real database, with a scripted model server; and its events."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from sqlalchemy import select

from app.database import Database, Run
from app.database.repositories import runs
from app.llm.factory import open_model
from app.llm_usage import LLMUsage
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
from tests.support.migrated_databases import copy_migrated_files
from tests.support.openai_server import ChatRequest, Reply, calls_tool, says
from tests.support.wait import pause

NewSettings = Callable[..., Settings]

BRIEF = {"product": "wireless earbuds", "features": ["noise cancelling"], "audience": "commuters"}


def matching_reply(request: ChatRequest) -> Reply:
    """Return a reply in the form that a request asks for: a text, or an instance of its schema."""
    response_format = request.body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        return says(json.dumps(instance_of(response_format["json_schema"]["schema"])))
    if request.body.get("tool_choice") == "required":
        [*_, tool] = request.body["tools"]
        return calls_tool(tool["function"]["name"], instance_of(tool["function"]["parameters"]))
    return says("Hear the music, not the train.")


def rejecting(reply: Reply) -> Reply:
    """Return a reply whose verdict, if it has one, is to reject."""

    def reject(text: str) -> str:
        return text.replace('"approved"', '"rejected"')

    calls = tuple((name, json.loads(reject(json.dumps(dict(given))))) for name, given in reply.tool_calls)
    return replace(reply, text=reject(reply.text), tool_calls=calls)


def instance_of(schema: dict[str, Any]) -> Any:
    """Return a value that is valid by a JSON schema."""
    definitions = schema.get("$defs", {})

    def fill(part: dict[str, Any]) -> Any:
        if "$ref" in part:
            return fill(definitions[part["$ref"].rsplit("/", 1)[1]])
        if "enum" in part:
            return part["enum"][0]
        if "const" in part:
            return part["const"]
        values = {"string": "Fine.", "integer": part.get("minimum", 1), "number": 1.0, "boolean": True, "array": []}
        if part.get("type") == "object" or "properties" in part:
            return {name: fill(inner) for name, inner in part.get("properties", {}).items()}
        return values[part["type"]]

    return fill(schema)


def replies_in_order(*replies: Reply | None) -> Callable[[ChatRequest], Reply]:
    """Return a behaviour that sends these replies one after the other; `matching_reply` for None and after the last."""
    remaining = list(replies)

    def behave(request: ChatRequest) -> Reply:
        reply = remaining.pop(0) if remaining else None
        return matching_reply(request) if reply is None else reply

    return behave


@dataclass
class RecordedEvents:
    """The events of runs and model calls."""

    started: list[WorkflowStarted] = field(default_factory=list)
    resumed: list[WorkflowResumed] = field(default_factory=list)
    finished: list[WorkflowFinished] = field(default_factory=list)
    calls: list[LLMCalled] = field(default_factory=list)

    def assert_balanced(self) -> None:
        """Assert that every run that was started was finished, and that both were emitted once."""
        started = Counter(event.run_id for event in self.started)
        finished = Counter(event.run_id for event in self.finished)
        assert started == finished
        assert set(started.values()) <= {1}
        assert {event.run_id for event in self.resumed} <= set(finished)


@contextmanager
def record_events() -> Iterator[RecordedEvents]:
    """Record the events that are emitted while the block runs."""
    recorded = RecordedEvents()
    with ExitStack() as stack:
        for signal, events in (
            (workflow_started, recorded.started),
            (workflow_resumed, recorded.resumed),
            (workflow_finished, recorded.finished),
            (llm_called, recorded.calls),
        ):
            stack.enter_context(signal.connected_to(events.append))
        yield recorded


@dataclass
class InProcessStudio:
    """The workflow service of a running studio, and its database."""

    service: WorkflowService
    database: Database

    async def submit(self, workflow_type: str = "product_content", brand: str = "Acme Audio") -> str:
        """Queue a run and return its id."""
        return (await self.service.submit(workflow_type, brand, BRIEF)).id

    async def run(self, run_id: str) -> Run:
        """Return a run as it is stored."""
        async with self.database.session() as session:
            run = await runs.get(session, run_id)
        assert run is not None
        return run

    async def status(self, run_id: str) -> str:
        """Return the status of a run as it is stored: a tenth of the work of `run`, to be asked again and again."""
        async with self.database.session() as session:
            return (await session.scalars(select(Run.status).where(Run.id == run_id))).one()

    async def wait_for_end(self, run_id: str, within: float = 60.0) -> Run:
        """Wait until a run has ended and return it."""
        return await self.wait_for_status(run_id, ("completed", "failed", "cancelled", "abandoned"), within)

    async def wait_for_status(self, run_id: str, statuses: Sequence[str], within: float = 60.0) -> Run:
        """Wait until a run has one of these statuses and return it."""
        started = monotonic()
        while True:
            status = await self.status(run_id)
            if status in statuses and (run := await self.run(run_id)).status in statuses:
                return run
            waited = monotonic() - started
            assert waited < within, f"run {run_id} is {status} after {within} s"
            await asyncio.sleep(pause(waited, 0.03))


def usage_of(finished: WorkflowFinished) -> LLMUsage:
    """Return the usage in the event of a run's end."""
    return LLMUsage(finished.llm_calls, finished.prompt_tokens, finished.completion_tokens, finished.cost)


@asynccontextmanager
async def running_studio(settings: Settings) -> AsyncIterator[InProcessStudio]:
    """Start a studio; stop it when the block ends. What is new is a copy of migrated files, on SQLite."""
    copy_migrated_files(settings)
    async with AsyncExitStack() as resources:
        database = Database(settings)
        resources.push_async_callback(database.close)
        await database.upgrade()
        llm = None
        if settings.executes_runs:
            llm = await open_model(settings)
            resources.push_async_callback(llm.close)
        service = WorkflowService(database, llm, settings)
        await service.start()
        resources.push_async_callback(service.stop)
        yield InProcessStudio(service, database)
