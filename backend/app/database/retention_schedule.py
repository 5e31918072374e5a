"""Old rows are deleted by the database's clock, every hour, in small batches between which others can write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from events.bus.failures import error_location

from .clock import database_time
from .engine import Database

log = logging.getLogger("app.database")

INTERVAL = 3600.0  # seconds
FIRST_DELAY = 60.0  # seconds after the start
PAUSE = 0.1  # seconds between two batches


async def expire_hourly(resource: str, expire: Callable[[], Awaitable[None]]) -> None:
    """Call a function a minute after the start and then every hour, until cancelled; what it raises is logged.

    Args:
        resource: What it deletes, for the log, as in "runs".
        expire: The function.
    """
    delay = FIRST_DELAY
    while True:
        await asyncio.sleep(delay)
        delay = INTERVAL
        try:
            await expire()
        except Exception as error:  # whatever failed, the next hour tries again
            log.warning("old %s are not deleted: %s at %s", resource, type(error).__name__, error_location(error))


async def days_ago(database: Database, days: int) -> datetime:
    """Return the time so many days ago, by the database's clock."""
    async with database.reading() as session:
        return await database_time(session) - timedelta(days=days)


async def delete_in_batches(delete_batch: Callable[[], Awaitable[int]]) -> int:
    """Call a function that deletes some rows and returns how many, until there are none; return the sum."""
    deleted = 0
    while batch := await delete_batch():
        deleted += batch
        await asyncio.sleep(PAUSE)
    return deleted
