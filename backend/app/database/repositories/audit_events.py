"""The repository of the audit trail's events: functions that take a session; the caller commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import AuditEvent
from ..upserts import insert_into


async def add(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert events; those that are there already, as after a commit whose answer was lost, stay as they are."""
    insert = insert_into(session, AuditEvent.__table__).on_conflict_do_nothing(index_elements=["id"])
    connection = await session.connection()  # not the session's own insert, which builds objects
    await connection.execute(insert, list(rows))


async def delete_before(session: AsyncSession, cutoff: datetime, limit: int) -> int:
    """Delete events from before a moment, the oldest first, and return how many."""
    oldest = select(AuditEvent.id).where(AuditEvent.time < cutoff).order_by(AuditEvent.time).limit(limit)
    expired = delete(AuditEvent).where(AuditEvent.id.in_(oldest.with_for_update(skip_locked=True)))
    result = await session.execute(expired, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - SQLAlchemy's result of a DELETE
    return result.rowcount


async def first_time(session: AsyncSession) -> datetime | None:
    """Return the time of the oldest event; None where there is none."""
    return await session.scalar(select(func.min(AuditEvent.time)))
