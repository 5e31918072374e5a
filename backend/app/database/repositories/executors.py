"""The repository of executors: the processes that execute runs on PostgreSQL, and until when each of them lives.

Each process writes its own row by its lease; here the others read it. The caller commits.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, extract, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Executor

KEPT_FOR = timedelta(days=1)
"""How long the row of a process stays after its last sign of life, for whoever looks into what happened."""

_AGE = extract("epoch", func.clock_timestamp() - Executor.beat_at)
_ALL = select(
    Executor.id,
    Executor.version,
    Executor.concurrency,
    Executor.total_concurrency,
    Executor.beat_at,
    Executor.lease_seconds,
    Executor.stopped_at.is_not(None),
    _AGE,
)


@dataclass(frozen=True, slots=True)
class ExecutorState:
    """An executor as its row tells, at the moment at which it was read.

    Attributes:
        id: Its id.
        version: The version of the workflows that it executes.
        concurrency: How many runs it executes at once; 0 if it executes none.
        total_concurrency: How many it lets all processes together execute; None for no such limit.
        beat_at: When its lease was last renewed.
        lease_seconds: How long it lives after that.
        is_stopped: Whether it has released its runs and stopped.
        age: The seconds since the last renewal, both by the database's clock.
    """

    id: str
    version: str
    concurrency: int
    total_concurrency: int | None
    beat_at: datetime
    lease_seconds: float
    is_stopped: bool
    age: float

    @property
    def is_lapsed(self) -> bool:
        """Whether its lease has lapsed, or was released."""
        return self.is_stopped or self.age > self.lease_seconds

    @property
    def is_old(self) -> bool:
        """Whether its row need not be kept any longer."""
        return self.age > KEPT_FOR.total_seconds()


async def list_all(session: AsyncSession) -> list[ExecutorState]:
    """Return all executors with the ages of their leases, which one statement reads and the database computes."""
    return [ExecutorState(*row[:-1], float(row[-1])) for row in await session.execute(_ALL)]


async def delete_old(session: AsyncSession, ids: Collection[str]) -> None:
    """Delete those of these executors that have not given a sign of life for `KEPT_FOR`."""
    cutoff = func.clock_timestamp() - KEPT_FOR
    await session.execute(delete(Executor).where(Executor.id.in_(ids), Executor.beat_at < cutoff))
