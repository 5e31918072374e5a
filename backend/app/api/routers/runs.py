"""Runs: listed, looked at, cancelled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.database import RunStatus
from app.database.repositories import runs as rows
from app.workflows.service import RunNotFound

from ..dependencies import DatabaseDep, Limit, Offset, WorkflowServiceDep
from ..exception_handlers import problems
from ..schemas.responses import Page, RunDetail, RunSummary

router = APIRouter(prefix="/runs", tags=["runs"])

UNKNOWN = "No such run."


@router.get("", summary="List the runs", responses=problems())
async def list_runs(
    database: DatabaseDep,
    limit: Limit = 20,
    offset: Offset = 0,
    status: Annotated[RunStatus | None, Query(description="Only those in this state")] = None,
    workflow_type: Annotated[str | None, Query(max_length=64, description="Only those of this workflow")] = None,
) -> Page[RunSummary]:
    """Give one page of the runs, the latest first."""
    async with database.session() as session:
        found, total = await rows.page(session, limit=limit, offset=offset, status=status, workflow_type=workflow_type)
    return Page(items=[RunSummary.of(run) for run in found], total=total, limit=limit, offset=offset)


@router.get("/{run_id}", summary="See a run", responses=problems(c404=UNKNOWN))
async def get_run(run_id: str, database: DatabaseDep) -> RunDetail:
    """Tell how a run fares: its state, the steps that ended with what they wrote, and what it spent."""
    async with database.session() as session:
        run = await rows.get(session, run_id)
    if run is None:
        raise RunNotFound(run_id)
    return RunDetail.of(run)


@router.post(
    "/{run_id}/cancel",
    summary="Cancel a run",
    responses=problems(c404=UNKNOWN, c409="The run has ended, so there is nothing to cancel."),
)
async def cancel_run(run_id: str, studio: WorkflowServiceDep) -> RunDetail:
    """Stop a run that is queued or under way; a model call under way is stopped too."""
    return RunDetail.of(await studio.cancel(run_id))
