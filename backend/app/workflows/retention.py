"""The retention of runs: those that ended long ago are deleted, with their steps and with the engine's rows."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

from app.database import Database
from app.database.repositories import runs
from app.database.retention_schedule import days_ago, delete_in_batches, expire_hourly
from events import rows_expired

from . import dbos_client

log = logging.getLogger("app.workflows")

BATCH = 100  # runs that one transaction deletes: others can write in between


async def delete_forever(database: Database, days: int) -> None:
    """Call `delete_expired` every hour, until cancelled."""
    await expire_hourly("runs", lambda: delete_expired(database, days))


async def delete_expired(database: Database, days: int) -> None:
    """Delete the runs that ended more than ``days`` days ago, by the database's clock, batch by batch."""
    cutoff = await days_ago(database, days)
    deleted = await delete_in_batches(partial(_delete_batch, database, cutoff))
    await delete_in_batches(partial(_delete_engine_batch, cutoff))
    if deleted:
        log.info("%d runs are deleted that ended more than %d days ago", deleted, days)


async def _delete_batch(database: Database, cutoff: datetime) -> int:
    """Delete some runs and return how many; other processes delete others meanwhile."""
    async with database.writing() as session:
        expired = await runs.delete_ended_before(session, cutoff, BATCH)
    if expired.runs:
        rows_expired.emit(resource="runs", rows=expired.runs)
        rows_expired.emit(resource="steps", rows=expired.steps)
        rows_expired.emit(resource="attempts", rows=expired.attempts)
    return expired.runs


async def _delete_engine_batch(cutoff: datetime) -> int:
    """Delete some of the engine's rows and return how many."""
    if expired := await dbos_client.delete_ended_before(cutoff, BATCH):
        rows_expired.emit(resource="workflows", rows=expired)
    return expired
