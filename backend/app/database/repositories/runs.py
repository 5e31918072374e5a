"""The repository of runs and their steps: functions that take a session; the caller commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Integer, bindparam, delete, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, make_transient_to_detached, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from ..models import Attempt, Brand, Run, RunStatus, Step, utc_now
from ..upserts import insert_into

UNFINISHED: tuple[RunStatus, ...] = ("queued", "running")

# What is sent again and again is built once.
_WHOLE = select(Run).options(joinedload(Run.brand), selectinload(Run.steps)).execution_options(populate_existing=True)
_BY_ID = (
    select(Run)
    .options(joinedload(Run.brand), joinedload(Run.steps))
    .where(Run.id == bindparam("run_id"))
    .execution_options(populate_existing=True)
)
_UNFINISHED_ROWS = (
    select(Run.id, Run.workflow_type, Run.status, Run.queued_at, Run.started_at, Run.requeues)
    .where(Run.status.in_(UNFINISHED))
    .order_by(Run.queued_at, Run.id)
)
_ONE_MORE_QUEUED = select(Run.id).where(Run.status == "queued").offset(bindparam("length", type_=Integer)).limit(1)


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
    while await session.scalar(insert.returning(Run.id)) is None:
        holder = (await session.scalars(_WHOLE.where(Run.idempotency_key == idempotency_key))).one_or_none()
        if holder is None:
            continue  # it has been deleted meanwhile: the key is free
        # The error rolls the caller's transaction back, which would expire what the session holds.
        session.expunge(holder)
        session.expunge(holder.brand)
        raise IdempotencyKeyTaken(holder)
    return await _as_inserted(session, values)


async def get(session: AsyncSession, run_id: str) -> Run | None:
    """Return the run with an id, with its brand and its steps in order, or None."""
    return (await session.execute(_BY_ID, {"run_id": run_id})).unique().scalar_one_or_none()


async def get_by_idempotency_key(session: AsyncSession, key: str) -> Run | None:
    """Return the run with an idempotency key, or None."""
    return await session.scalar(_WHOLE.where(Run.idempotency_key == key))


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
    latest_first = _WHOLE.where(*criteria).order_by(Run.queued_at.desc(), Run.id.desc())
    return list(await session.scalars(latest_first.limit(limit).offset(offset))), total or 0


async def list_unfinished(session: AsyncSession) -> list[UnfinishedRun]:
    """Return what a sweep needs of the runs that are queued or running, the oldest first."""
    return [UnfinishedRun(*row) for row in await session.execute(_UNFINISHED_ROWS)]


async def mark_requeued(session: AsyncSession, run_id: str, requeues: int) -> bool:
    """Count that an unfinished run is queued again; return False if another process did, or if it has ended."""
    unfinished = update(Run).where(Run.id == run_id, Run.status.in_(UNFINISHED), Run.requeues == requeues)
    return await _updates_one_row(session, unfinished.values(requeues=requeues + 1))


async def is_queue_longer(session: AsyncSession, length: int) -> bool:
    """Return whether more runs than that are queued."""
    return await session.scalar(_ONE_MORE_QUEUED, {"length": length}) is not None


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
    *,
    only_queued: bool = False,
) -> bool:
    """Set an unfinished run to its final status, or only a queued one; return whether this call did it.

    A queued run starts at the moment at which it ends.
    """
    unfinished = update(Run).where(Run.id == run_id, Run.status.in_(("queued",) if only_queued else UNFINISHED))
    started_at = func.coalesce(Run.started_at, literal(now, Run.started_at.type))
    return await _updates_one_row(
        session, unfinished.values(status=status, error=error, output=output, started_at=started_at, finished_at=now)
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


async def _as_inserted(session: AsyncSession, values: dict[str, Any]) -> Run:
    """Return a run that was inserted with these values, as it would be read: nothing of it is unknown."""
    columns: dict[str, Any] = dict.fromkeys(column.key for column in Run.__table__.columns)
    run = Run(**{**columns, "requeues": 0, **values})
    make_transient_to_detached(run)
    set_committed_value(run, "brand", await session.get_one(Brand, run.brand_id))
    set_committed_value(run, "steps", [])
    session.add(run)
    return run


async def _updates_one_row(session: AsyncSession, statement: Any) -> bool:
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101 - SQLAlchemy's result of an UPDATE
    return result.rowcount == 1
