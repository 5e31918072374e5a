"""The API on a real database, with a workflow service that executes nothing, and a client."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import api
from app.database import Database, Run
from app.database.repositories import brands, runs
from app.workflows.definitions import WORKFLOWS
from app.workflows.workflow_errors import IdempotencyConflict, RunAlreadyEnded, RunNotFound, WorkflowNotFound

BRIEF_WITHOUT_BRAND = {"product": "wireless earbuds", "features": ["noise cancelling"], "audience": "commuters"}
BRIEF: dict[str, Any] = {"brand": "Acme Audio", **BRIEF_WITHOUT_BRAND}
START = "/api/v1/workflows/product_content/runs"

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class FakeWorkflowService:
    """A workflow service that stores runs and cancels them, but executes none."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.problem: Exception | None = None

    async def submit(self, workflow_type: str, brand: str, brief: Mapping[str, Any], key: str | None) -> Run:
        if workflow_type not in WORKFLOWS:
            raise WorkflowNotFound(workflow_type)
        try:
            async with self.database.session() as session, session.begin():
                return await runs.create(
                    session,
                    run_id=str(uuid.uuid4()),
                    workflow_type=workflow_type,
                    brand_id=(await brands.get_or_create(session, brand)).id,
                    brief=dict(brief),
                    idempotency_key=key,
                )
        except runs.IdempotencyKeyTaken as taken:
            if (taken.run.workflow_type, taken.run.brand.name, taken.run.brief) != (workflow_type, brand, brief):
                raise IdempotencyConflict(str(key), taken.run) from None
            return taken.run

    async def check(self) -> None:
        if self.problem is not None:
            raise self.problem

    async def cancel(self, run_id: str) -> Run:
        async with self.database.session() as session, session.begin():
            ended = await runs.mark_finished(session, run_id, "cancelled", None, None, datetime.now(UTC))
            run = await runs.get(session, run_id)
        if run is None:
            raise RunNotFound(run_id)
        if not ended:
            raise RunAlreadyEnded(run)
        return run


class FakeModel:
    """A model with nothing but a check, which fails with ``problem`` and waits for ``answers``."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self) -> None:
        await self.answers.wait()
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def app(database: Database) -> FastAPI:
    created = FastAPI()
    api.include(created)
    created.state.database, created.state.llm = database, FakeModel()
    created.state.workflows = FakeWorkflowService(database)
    return created


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio") as opened:
        yield opened
