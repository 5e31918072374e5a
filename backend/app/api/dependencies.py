"""The dependencies of the routes: the parts of the studio, and the parameters of pages."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Query, Request

from app.database import Database
from app.llm.factory import LLM
from app.workflows.service import WorkflowService

MAX_PAGE = 100


class LiveNumbers(Protocol):
    """The live numbers, as far as routes ask them."""

    def page(self) -> dict[str, Any]:
        """Return what the live page shows when it opens, as `schemas.live.LiveOut` has it; call it in a thread."""


def get_database(request: Request) -> Database:
    """Return the application's database."""
    return cast("Database", request.app.state.database)


def get_llm(request: Request) -> LLM | None:
    """Return the application's model; None where runs are executed elsewhere."""
    return cast("LLM | None", request.app.state.llm)


def get_workflow_service(request: Request) -> WorkflowService:
    """Return the application's workflow service."""
    return cast("WorkflowService", request.app.state.workflows)


def get_live_numbers(request: Request) -> LiveNumbers | None:
    """Return the application's live numbers; None where the live page is switched off."""
    return cast("LiveNumbers | None", request.app.state.live_numbers)


def get_writable_database(request: Request) -> Database:
    """Return the application's database, to which something is about to be written.

    Raises:
        DatabaseUnavailable: Its file is gone: what is written would be lost with it.
    """
    database = get_database(request)
    database.check_file()
    return database


DatabaseDep = Annotated[Database, Depends(get_database)]
WritableDatabaseDep = Annotated[Database, Depends(get_writable_database)]
LLMDep = Annotated[LLM | None, Depends(get_llm)]
LiveNumbersDep = Annotated[LiveNumbers | None, Depends(get_live_numbers)]
WorkflowServiceDep = Annotated[WorkflowService, Depends(get_workflow_service)]

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="The number of items on a page, at most")]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000, description="The number of items to skip")]
