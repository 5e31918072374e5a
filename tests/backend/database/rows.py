"""Rows for tests of the database: a queued run, and a step."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Run, Step
from app.database.repositories import attempts, brands, runs

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def queue_run(session: AsyncSession, brand: str = "Acme Audio", **fields: Any) -> Run:
    """Store a queued run and return it."""
    values = {"run_id": str(uuid.uuid4()), "workflow_type": "campaign", "brief": {"product": "earbuds"}} | fields
    return await runs.create(session, brand_id=(await brands.get_or_create(session, brand)).id, **values)


async def save_step(session: AsyncSession, run_id: str, **fields: Any) -> None:
    """Store a step."""
    values: dict[str, Any] = {
        "position": 0,
        "name": "copywriter",
        "agent_name": "copywriter",
        "status": "success",
        "error": None,
        "output": {"text": "Hear less."},
        "started_at": MOMENT,
        "duration": 1.5,
        "llm_calls": 1,
        "prompt_tokens": 10,
        "completion_tokens": 5,
    }
    await attempts.save_step(session, Step(run_id=run_id, **(values | fields)))
