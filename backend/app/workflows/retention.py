"""The retention of runs: those that ended long ago are deleted, with their steps and with the engine's rows."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from app.database import Database, database_time
from app.database.repositories import runs
from events import rows_expired
from events.bus.failures import error_location

from . import dbos_client

log = logging.getLogger("app.workflows")

BATCH = 100  # runs that one transaction deletes: others can write in between
INTERVAL = 3600.0  # seconds
_FIRST_DELAY = 60.0  # seconds after the start
_PAUSE = 0.1  # seconds between two batches


async def delete_forever(database: Database, days: int) -> None:
    """Call `delete_expired` every hour, until cancelled."""
    delay = _FIRST_DELAY
    while True:
        await asyncio.sleep(delay)
        delay = INTERVAL
        try:
            await delete_expired(database, days)
        except Exception as error:  # whatever failed, the next hour tries again
            log.warning("old runs are not deleted: %s at %s", type(error).__name__, error_location(error))


async def delete_expired(database: Database, days: int) -> None:
    """Delete the runs that ended more than ``days`` days ago, by the database's clock, batch by batch."""
    async with database.session() as session:
        cutoff = await database_time(session) - timedelta(days=days)
    deleted = 0
    while expired := await _delete_batch(database, cutoff):
        deleted += expired
        await asyncio.sleep(_PAUSE)
    while expired := await dbos_client.delete_ended_before(cutoff, BATCH):
        rows_expired.emit(resource="workflows", rows=expired)
        await asyncio.sleep(_PAUSE)
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
