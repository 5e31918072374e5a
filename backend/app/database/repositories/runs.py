"""The repository of runs and their steps: functions that take a session; the caller commits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import CursorResult, Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.llm_usage import LLMUsage

from ..models import Attempt, Run, RunStatus, Step, utc_now
from ..upserts import insert_into

UNFINISHED: tuple[RunStatus, ...] = ("queued", "running")

_STEP_COLUMNS = [column.key for column in Step.__table__.columns if column.key != "id"]
_STEP_KEY = ["run_id", "name"]
_USAGE = [field.name for field in fields(LLMUsage)]


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that is queued or running, without its brief and its steps."""

    id: str
    workflow_type: str
    status: RunStatus
    queued_at: datetime
    started_at: datetime | None
    requeues: int


@dataclass(frozen=True, slots=True)
class DeletedRows:
    """How many rows were deleted of each table."""

    runs: int
    steps: int
    attempts: int


@dataclass(frozen=True, slots=True)
class SavedAttempt:
    """The answer of `save_step`.

    Attributes:
        is_new: Whether the attempt was stored now; False if it had been before.
        is_late: Whether the run had ended, so that its end was without this usage.
    """

    is_new: bool
    is_late: bool = False


class IdempotencyKeyTaken(Exception):
    """Another run has that idempotency key. It is ``run``, loaded whole and detached from the session."""

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
    """Insert a queued run and return it.

    Raises:
        IdempotencyKeyTaken: Another run has the key; of concurrent callers with one key, the first one wins.
    """
    values = {
        "id": run_id,
        "workflow_type": workflow_type,
        "brand_id": brand_id,
        "brief": brief,
        "status": "queued",
        "idempotency_key": idempotency_key,
        "queued_at": utc_now(),
    }
    # Not an insert that fails: on PostgreSQL a failed statement aborts the caller's whole transaction.
    insert = insert_into(session, Run).values(values).on_conflict_do_nothing(index_elements=["idempotency_key"])
    if await session.scalar(insert.returning(Run.id)) is None:
        holder = (await session.scalars(_select_whole().where(Run.idempotency_key == idempotency_key))).one()
        # The error rolls the caller's transaction back, which would expire what the session holds.
        session.expunge(holder)
        session.expunge(holder.brand)
        raise IdempotencyKeyTaken(holder)
    return (await session.scalars(_select_whole().where(Run.id == run_id))).one()


async def get(session: AsyncSession, run_id: str) -> Run | None:
    """Return the run with an id, with its brand and its steps in order, or None."""
    return await session.scalar(_select_whole().where(Run.id == run_id))


async def get_by_idempotency_key(session: AsyncSession, key: str) -> Run | None:
    """Return the run with an idempotency key, or None."""
    return await session.scalar(_select_whole().where(Run.idempotency_key == key))


async def list_page(
    session: AsyncSession,
    *,
    limit: int,
    offset: int,
    status: RunStatus | None = None,
    workflow_type: str | None = None,
) -> tuple[list[Run], int]:
    """Return one page of the runs, the latest first, and the number of all runs that match."""
    criteria = [
        *([Run.status == status] if status is not None else []),
        *([Run.workflow_type == workflow_type] if workflow_type is not None else []),
    ]
    total = await session.scalar(select(func.count()).select_from(Run).where(*criteria))
    latest_first = _select_whole().where(*criteria).order_by(Run.queued_at.desc(), Run.id.desc())
    return list(await session.scalars(latest_first.limit(limit).offset(offset))), total or 0


async def list_unfinished(session: AsyncSession) -> list[UnfinishedRun]:
    """Return what a sweep needs of the runs that are queued or running, the oldest first."""
    columns = (Run.id, Run.workflow_type, Run.status, Run.queued_at, Run.started_at, Run.requeues)
    oldest_first = select(*columns).where(Run.status.in_(UNFINISHED)).order_by(Run.queued_at, Run.id)
    return [UnfinishedRun(*row) for row in await session.execute(oldest_first)]


async def mark_requeued(session: AsyncSession, run_id: str, requeues: int) -> bool:
    """Count that an unfinished run is queued again; return False if another process did, or if it has ended."""
    unfinished = update(Run).where(Run.id == run_id, Run.status.in_(UNFINISHED), Run.requeues == requeues)
    return await _updates_one_row(session, unfinished.values(requeues=requeues + 1))


async def is_queue_longer(session: AsyncSession, length: int) -> bool:
    """Return whether more runs than that are queued."""
    one_more = select(Run.id).where(Run.status == "queued").offset(length).limit(1)
    return await session.scalar(one_more) is not None


async def mark_running(session: AsyncSession, run_id: str, now: datetime) -> bool:
    """Set a queued run to running; return whether this call did it."""
    queued = update(Run).where(Run.id == run_id, Run.status == "queued")
    return await _updates_one_row(session, queued.values(status="running", started_at=now))


async def mark_finished(  # noqa: PLR0917 - what a run ends with, in the order of its columns
    session: AsyncSession,
    run_id: str,
    status: RunStatus,
    error: str | None,
    output: dict[str, Any] | None,
    now: datetime,
) -> bool:
    """Set an unfinished run to its final status; return whether this call did it."""
    unfinished = update(Run).where(Run.id == run_id, Run.status.in_(UNFINISHED))
    return await _updates_one_row(
        session, unfinished.values(status=status, error=error, output=output, finished_at=now)
    )


async def delete_ended_before(session: AsyncSession, cutoff: datetime, limit: int) -> DeletedRows:
    """Delete the runs that ended before a moment, the oldest first, with all that belongs to them."""
    oldest = select(Run.id).where(Run.finished_at < cutoff).order_by(Run.finished_at).limit(limit)
    ids = list(await session.scalars(oldest.with_for_update(skip_locked=True)))
    of_runs = ((Run, Run.id), (Step, Step.run_id), (Attempt, Attempt.run_id))
    counts = {model: 0 for model, _ in of_runs}
    for model, run_id in reversed(of_runs) if ids else ():
        result = await session.execute(delete(model).where(run_id.in_(ids)))
        assert isinstance(result, CursorResult)  # noqa: S101 - SQLAlchemy's result of a DELETE
        counts[model] = result.rowcount
    return DeletedRows(counts[Run], counts[Step], counts[Attempt])


async def save_step(
    session: AsyncSession, step: Step, attempt_id: str | None = None, *, interrupted: bool = False
) -> SavedAttempt:
    """Insert a step. If an earlier attempt is stored, replace its outcome and add the usage of both.

    Args:
        session: The session.
        step: The outcome and the usage of one attempt.
        attempt_id: The id of the attempt; None for a new one. If it is stored already, nothing is changed.
        interrupted: The attempt's process was killed: an outcome that is stored stays.
    """
    usage = {name: getattr(step, name) for name in _USAGE}
    attempt = {"id": attempt_id or str(uuid4()), "run_id": step.run_id, "step": step.name, **usage}
    insert_attempt = insert_into(session, Attempt).values(attempt).on_conflict_do_nothing(index_elements=["id"])
    if await session.scalar(insert_attempt.returning(Attempt.id)) is None:
        return SavedAttempt(is_new=False)
    # From here on, processes take turns: none sums up without the attempt of another, or misses the end of the run.
    locked = select(Run.status).where(Run.id == step.run_id).with_for_update(key_share=True)
    status = await session.scalar(locked)
    values = {name: getattr(step, name) for name in _STEP_COLUMNS}
    of_step = (Attempt.run_id == step.run_id, Attempt.step == step.name)
    sums = {name: select(func.sum(getattr(Attempt, name))).where(*of_step).scalar_subquery() for name in _USAGE}
    insert = insert_into(session, Step).values({**values, **sums})
    new = insert.excluded
    replaced = _USAGE if interrupted else [name for name in _STEP_COLUMNS if name not in _STEP_KEY]
    await session.execute(
        insert.on_conflict_do_update(index_elements=_STEP_KEY, set_={name: new[name] for name in replaced})
    )
    return SavedAttempt(is_new=True, is_late=status not in UNFINISHED)


async def get_step(session: AsyncSession, run_id: str, name: str) -> Step | None:
    """Return a run's step with a name, or None."""
    statement = select(Step).where(Step.run_id == run_id, Step.name == name)
    return await session.scalar(statement.execution_options(populate_existing=True))


async def get_usage(session: AsyncSession, run_id: str) -> LLMUsage:
    """Return the usage of models by all steps of a run so far."""
    columns = (Step.llm_calls, Step.prompt_tokens, Step.completion_tokens, Step.cost)
    row = (await session.execute(select(*(func.sum(column) for column in columns)).where(Step.run_id == run_id))).one()
    *counts, cost = row
    calls, prompt, completion = (int(count or 0) for count in counts)
    return LLMUsage(calls, prompt, completion, cost)


def _select_whole() -> Select[Run]:
    # What Core statements have changed is read again, instead of taken from the session's identity map.
    statement = select(Run).options(joinedload(Run.brand), selectinload(Run.steps))
    return statement.execution_options(populate_existing=True)


async def _updates_one_row(session: AsyncSession, statement: Any) -> bool:
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101 - SQLAlchemy's result of an UPDATE
    return result.rowcount == 1
