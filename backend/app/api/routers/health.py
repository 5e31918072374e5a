"""Whether the studio works: for load balancers, supervisors and people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.database import DatabaseUnavailable
from app.llm.factory import ModelUnavailable

from ..dependencies import DatabaseDep, LLMDep

CHECK_SECONDS = 2.0

router = APIRouter(tags=["operation"], generate_unique_id_function=lambda route: route.name)

State = Literal["ok", "unavailable"]


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ComponentHealth(BaseModel):
    """Whether one part works."""

    status: State
    reason: str | None = Field(default=None, description="Why it does not work, and what to do")


class Health(BaseModel):
    """Whether the studio can do its work."""

    status: State = Field(description="ok when every part is")
    database: ComponentHealth
    model: ComponentHealth


@router.get(
    "/health",
    summary="Can the studio work?",
    responses={503: {"model": Health, "description": "The database or the model is unavailable."}},
)
async def health(database: DatabaseDep, llm: LLMDep, response: Response) -> Health:
    """Ask the database and the model, both at once, two seconds at most."""
    told = await asyncio.gather(_check(database.ping), _check(llm.check))
    status: State = "ok" if all(part.status == "ok" for part in told) else "unavailable"
    if status != "ok":
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    return Health(status=status, database=told[0], model=told[1])


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Live:
    """Answer, without touching anything: who is restarted for a database that is down gains nothing."""
    return Live()


async def _check(check: Callable[[], Awaitable[None]]) -> ComponentHealth:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except (DatabaseUnavailable, ModelUnavailable) as error:
        return ComponentHealth(status="unavailable", reason=str(error))
    except TimeoutError:
        return ComponentHealth(status="unavailable", reason=f"No answer within {CHECK_SECONDS:g} seconds.")
    except Exception as error:  # an honest no, whatever breaks; its text may hold secrets
        return ComponentHealth(status="unavailable", reason=f"The check itself failed ({type(error).__name__}).")
    return ComponentHealth(status="ok")
