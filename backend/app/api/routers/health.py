"""The routes of health checks, for load balancers, supervisors and people."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from ..dependencies import DatabaseDep, LLMDep, WorkflowServiceDep
from ..health_checks import HealthChecks
from ..schemas.health import Health, Live, Ready

router = APIRouter(tags=["operation"], generate_unique_id_function=lambda route: route.name)


@router.get(
    "/health",
    summary="Can the studio work?",
    responses={
        503: {"model": Health, "description": "Nothing can be stored, or no run can be taken, or the process stops."}
    },
)
async def health(
    database: DatabaseDep, llm: LLMDep, workflows: WorkflowServiceDep, request: Request, response: Response
) -> Health:
    """Check the database, the model and the workflow engine at the same time, for two seconds at most."""
    checks: HealthChecks = request.app.state.health_checks
    found = await checks.check_all(database, llm, workflows, draining=request.app.state.draining)
    if found.status != "ok":
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    return found


@router.get(
    "/health/ready",
    summary="Is this process to be sent requests?",
    responses={503: {"model": Ready, "description": "The process stops, or its database cannot be used."}},
)
async def ready(database: DatabaseDep, request: Request, response: Response) -> Ready:
    """Check the database, for two seconds at most: for load balancers, which share a model and a queue."""
    checks: HealthChecks = request.app.state.health_checks
    found = await checks.check_instance(database, draining=request.app.state.draining)
    if found.status != "ok":
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    return found


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Live:
    """Return at once, without a check: restarting the studio does not help when its database is down."""
    return Live()
