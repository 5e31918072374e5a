"""The retention of the audit trail: events that are older than they are kept are deleted, in small batches."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from app.database import Database, database_time
from app.database.repositories import audit_events
from events import rows_expired
from events.bus.failures import error_location

log = logging.getLogger("app.listeners")

BATCH = 500  # events that one transaction deletes: others can write in between
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
            log.warning("old events are not deleted: %s at %s", type(error).__name__, error_location(error))


async def delete_expired(database: Database, days: int) -> None:
    """Delete the events that are more than ``days`` days old, by the database's clock, batch by batch."""
    async with database.session() as session:
        cutoff = await database_time(session) - timedelta(days=days)
    deleted = 0
    while True:
        async with database.writing() as session:
            expired = await audit_events.delete_before(session, cutoff, BATCH)
        if not expired:
            break
        deleted += expired
        rows_expired.emit(resource="audit_events", rows=expired)
        await asyncio.sleep(_PAUSE)
    if deleted:
        log.info("%d events of the audit trail are deleted that are more than %d days old", deleted, days)
