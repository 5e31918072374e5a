"""The routes of health checks, for load balancers, supervisors and people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from app.database import DatabaseUnavailable
from app.llm.factory import ModelUnavailable

from ..dependencies import DatabaseDep, LLMDep
from ..schemas.health import ComponentHealth, Health, HealthStatus, Live

CHECK_TIMEOUT = 2.0  # seconds

router = APIRouter(tags=["operation"], generate_unique_id_function=lambda route: route.name)


@router.get(
    "/health",
    summary="Can the studio work?",
    responses={503: {"model": Health, "description": "The database or the model is unavailable."}},
)
async def health(database: DatabaseDep, llm: LLMDep, response: Response) -> Health:
    """Check the database and the model at the same time, for two seconds at most."""
    components = await asyncio.gather(_run_check(database.ping), _run_check(llm.check))
    status: HealthStatus = "ok" if all(component.status == "ok" for component in components) else "unavailable"
    if status != "ok":
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    return Health(status=status, database=components[0], model=components[1])


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Live:
    """Return at once, without a check: restarting the studio does not help when its database is down."""
    return Live()


async def _run_check(check: Callable[[], Awaitable[None]]) -> ComponentHealth:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except (DatabaseUnavailable, ModelUnavailable) as error:
        return ComponentHealth(status="unavailable", reason=str(error))
    except TimeoutError:
        return ComponentHealth(status="unavailable", reason=f"No answer within {CHECK_TIMEOUT:g} seconds.")
    except Exception as error:  # whatever fails, the component is unavailable; the message may hold secrets
        return ComponentHealth(status="unavailable", reason=f"The check itself failed ({type(error).__name__}).")
    return ComponentHealth(status="ok")
