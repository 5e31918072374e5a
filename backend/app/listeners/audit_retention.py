"""The retention of the audit trail: events that are older than they are kept are deleted, in small batches."""

from __future__ import annotations

import logging

from app.database import Database
from app.database.repositories import audit_events
from app.database.retention_schedule import days_ago, delete_in_batches, expire_hourly
from events import rows_expired

log = logging.getLogger("app.listeners")

BATCH = 500  # events that one transaction deletes: others can write in between


async def delete_forever(database: Database, days: int) -> None:
    """Call `delete_expired` every hour, until cancelled."""
    await expire_hourly("events of the audit trail", lambda: delete_expired(database, days))


async def delete_expired(database: Database, days: int) -> None:
    """Delete the events that are more than ``days`` days old, by the database's clock, batch by batch."""
    cutoff = await days_ago(database, days)

    async def delete_batch() -> int:
        async with database.writing() as session:
            expired = await audit_events.delete_before(session, cutoff, BATCH)
        if expired:
            rows_expired.emit(resource="audit_events", rows=expired)
        return expired

    if deleted := await delete_in_batches(delete_batch):
        log.info("%d events of the audit trail are deleted that are more than %d days old", deleted, days)
