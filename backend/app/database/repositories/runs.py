"""Runs and their steps, kept: plain functions that take a session; the caller commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from ..models import Run, RunStatus, Step, StepStatus, Usage, now
from ..upserts import insert_into

UNFINISHED: tuple[RunStatus, ...] = ("queued", "running")


class IdempotencyKeyTaken(Exception):
    """Another run has that idempotency key: ``run`` is it, whole, and outlives the session."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"The idempotency key belongs to run {run.id}.")
        self.run = run


async def create(
    session: AsyncSession,
    *,
    run_id: str,
    workflow_type: str,
    brand_id: int,
    brief: dict[str, Any],
    idempotency_key: str | None = None,
) -> Run:
    """Queue a run; of several with one idempotency key the first wins, the others get IdempotencyKeyTaken."""
    values = {
        "id": run_id,
        "workflow_type": workflow_type,
        "brand_id": brand_id,
        "brief": brief,
        "status": "queued",
        "idempotency_key": idempotency_key,
        "queued_at": now(),
    }
    # Not an insert that fails: on PostgreSQL a failed statement ends the caller's whole transaction.
    inserting = insert_into(session, Run).values(values).on_conflict_do_nothing(index_elements=["idempotency_key"])
    if await session.scalar(inserting.returning(Run.id)) is None:
        taken = (await session.scalars(_whole().where(Run.idempotency_key == idempotency_key))).one()
        # The error makes the caller's transaction roll back, which would empty what the session holds.
        session.expunge(taken)
        session.expunge(taken.brand)
        raise IdempotencyKeyTaken(taken)
    return (await session.scalars(_whole().where(Run.id == run_id))).one()


async def get(session: AsyncSession, run_id: str) -> Run | None:
    """Find a run, with its brand and its steps in order."""
    return await session.scalar(_whole().where(Run.id == run_id))


async def get_by_idempotency_key(session: AsyncSession, key: str) -> Run | None:
    """Find the run that an idempotency key belongs to."""
    return await session.scalar(_whole().where(Run.idempotency_key == key))


async def page(
    session: AsyncSession,
    *,
    limit: int,
    offset: int,
    status: RunStatus | None = None,
    workflow_type: str | None = None,
) -> tuple[list[Run], int]:
    """Give one page of the runs, the latest first, and how many there are."""
    chosen = [
        *([Run.status == status] if status is not None else []),
        *([Run.workflow_type == workflow_type] if workflow_type is not None else []),
    ]
    total = await session.scalar(select(func.count()).select_from(Run).where(*chosen))
    latest_first = _whole().where(*chosen).order_by(Run.queued_at.desc(), Run.id.desc())
    return list(await session.scalars(latest_first.limit(limit).offset(offset))), total or 0


async def unfinished(session: AsyncSession) -> list[Run]:
    """Give the runs that are queued or running, the oldest first."""
    return list(await session.scalars(_whole().where(Run.status.in_(UNFINISHED)).order_by(Run.queued_at, Run.id)))


async def begin(session: AsyncSession, run_id: str, now: datetime) -> bool:
    """Take a run out of the queue; True for the one who did."""
    queued = update(Run).where(Run.id == run_id, Run.status == "queued")
    return await _changed_one(session, queued.values(status="running", started_at=now))


async def finish(  # noqa: PLR0917 - what a run ends with, in the order of its columns
    session: AsyncSession,
    run_id: str,
    status: RunStatus,
    error: str | None,
    output: dict[str, Any] | None,
    now: datetime,
) -> bool:
    """End a run; True for the one who did, False when it had ended before."""
    live = update(Run).where(Run.id == run_id, Run.status.in_(UNFINISHED))
    return await _changed_one(session, live.values(status=status, error=error, output=output, finished_at=now))


async def save_step(
    session: AsyncSession,
    run_id: str,
    *,
    position: int,
    name: str,
    agent_name: str,
    status: StepStatus,
    error: str | None,
    output: dict[str, Any] | None,
    started_at: datetime,
    duration: float,
    llm_calls: int,
    prompt_tokens: int,
    completion_tokens: int,
    cost: float | None = None,
) -> None:
    """Store a step; of a second attempt the outcome replaces the first one's, and what both spent is added up."""
    outcome = {
        "position": position,
        "agent_name": agent_name,
        "status": status,
        "error": error,
        "output": output,
        "started_at": started_at,
        "duration": duration,
    }
    spent = {"llm_calls": llm_calls, "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    inserting = insert_into(session, Step).values({"run_id": run_id, "name": name, **outcome, **spent, "cost": cost})
    new = inserting.excluded
    # A cost that nobody knows adds nothing, and two of them are no 0.
    together = func.coalesce(Step.cost + new["cost"], Step.cost, new["cost"])
    await session.execute(
        inserting.on_conflict_do_update(
            index_elements=["run_id", "name"],
            set_={
                **{key: new[key] for key in outcome},
                **{key: getattr(Step, key) + new[key] for key in spent},
                "cost": together,
            },
        )
    )


async def step(session: AsyncSession, run_id: str, name: str) -> Step | None:
    """Find a step of a run by its name."""
    asked = select(Step).where(Step.run_id == run_id, Step.name == name)
    return await session.scalar(asked.execution_options(populate_existing=True))


async def usage(session: AsyncSession, run_id: str) -> Usage:
    """Sum what the steps of a run spent so far."""
    columns = (Step.llm_calls, Step.prompt_tokens, Step.completion_tokens, Step.cost)
    row = (await session.execute(select(*(func.sum(column) for column in columns)).where(Step.run_id == run_id))).one()
    *counts, cost = row
    calls, prompt, completion = (int(amount or 0) for amount in counts)
    return Usage(calls, prompt, completion, cost)


def _whole() -> Select[Run]:
    # What the statements above changed is read again, not taken from the session's memory.
    loaded = select(Run).options(joinedload(Run.brand), selectinload(Run.steps))
    return loaded.execution_options(populate_existing=True)


async def _changed_one(session: AsyncSession, statement: Any) -> bool:
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101 - what SQLAlchemy gives for an UPDATE
    return result.rowcount == 1
