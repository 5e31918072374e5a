"""The parts of the studio, as the routes reach them."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from app.database import Database
from app.llm.factory import LLM
from app.workflows.service import WorkflowService

MAX_PAGE = 100


def _database(request: Request) -> Database:
    return cast("Database", request.app.state.database)


def _llm(request: Request) -> LLM:
    return cast("LLM", request.app.state.llm)


def _studio(request: Request) -> WorkflowService:
    return cast("WorkflowService", request.app.state.studio)


DatabaseDep = Annotated[Database, Depends(_database)]
LLMDep = Annotated[LLM, Depends(_llm)]
WorkflowServiceDep = Annotated[WorkflowService, Depends(_studio)]

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many to give at most")]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000, description="How many to leave out first")]
