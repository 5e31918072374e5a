"""The routes of health checks, for load balancers, supervisors and people."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from ..dependencies import DatabaseDep, LLMDep, WorkflowServiceDep
from ..health_checks import HealthChecks, unavailable
from ..schemas.health import Health, HealthStatus, Live

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
    database_health, model_health, workflows_health = await asyncio.gather(
        checks.run("database", database.ping),
        checks.run("model", llm.check),
        checks.run("workflows", workflows.check),
    )
    if request.app.state.draining:
        workflows_health = unavailable("The process stops.")
    components = (database_health, model_health, workflows_health)
    status: HealthStatus = "ok" if all(component.status == "ok" for component in components) else "unavailable"
    if status != "ok":
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    return Health(status=status, database=database_health, model=model_health, workflows=workflows_health)


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Live:
    """Return at once, without a check: restarting the studio does not help when its database is down."""
    return Live()
