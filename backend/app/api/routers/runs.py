"""The routes of runs: list, get, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.database import RunStatus
from app.database.repositories import runs
from app.workflows.workflow_errors import RunNotFound

from ..dependencies import DatabaseDep, Limit, Offset, WorkflowServiceDep
from ..exception_handlers import error_responses
from ..schemas.pagination import Page
from ..schemas.runs import RunDetail, RunSummary

router = APIRouter(prefix="/runs", tags=["runs"])

NOT_FOUND = "No such run."


@router.get("", summary="List the runs", responses=error_responses())
async def list_runs(
    database: DatabaseDep,
    limit: Limit = 20,
    offset: Offset = 0,
    status: Annotated[RunStatus | None, Query(description="Only those in this state")] = None,
    workflow_type: Annotated[str | None, Query(max_length=64, description="Only those of this workflow")] = None,
) -> Page[RunSummary]:
    """Return one page of the runs, the latest first."""
    async with database.reading() as session:
        rows, total = await runs.list_page(
            session, limit=limit, offset=offset, status=status, workflow_type=workflow_type
        )
    return Page(items=[RunSummary.model_validate(run) for run in rows], total=total, limit=limit, offset=offset)


@router.get("/{run_id}", summary="See a run", responses=error_responses({404: NOT_FOUND}))
async def get_run(run_id: str, database: DatabaseDep) -> RunDetail:
    """Return a run: its state, its output, and the steps that have ended, with their output, tokens and cost."""
    async with database.reading() as session:
        run = await runs.get(session, run_id)
    if run is None:
        raise RunNotFound(run_id)
    return RunDetail.model_validate(run)


@router.post(
    "/{run_id}/cancel",
    summary="Cancel a run",
    responses=error_responses({404: NOT_FOUND, 409: "The run has ended, so there is nothing to cancel."}),
)
async def cancel_run(run_id: str, workflows: WorkflowServiceDep) -> RunDetail:
    """Cancel a run that is queued or running; its model call is stopped."""
    return RunDetail.model_validate(await workflows.cancel(run_id))
