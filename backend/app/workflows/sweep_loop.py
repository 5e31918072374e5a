"""The loop of sweeps: `recovery` every few seconds, for as long as the process runs and whatever fails."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from app.database import lost_studio_table
from events.bus.failures import error_location

from . import dbos_tables
from .queue_events import emit_unknown_queue

log = logging.getLogger("app.workflows")


async def sweep_forever(
    interval: float, reconcile: Callable[[], Awaitable[None]], restore_tables: Callable[[], Awaitable[None]]
) -> None:
    """Call ``reconcile()`` every ``interval`` seconds, until cancelled.

    Args:
        interval: Seconds; each wait is a little shorter or longer, so that processes do not sweep at the same moment.
        reconcile: One sweep.
        restore_tables: Creates missing tables of DBOS. It is called when they have been missing at two sweeps in a row:
            at the first one somebody may be about to restore them. Those of the studio come from a backup alone.
    """
    missing, failing = False, ""  # why the last sweep failed, as far as it was logged
    while True:
        await asyncio.sleep(interval * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
        try:
            if missing:
                await restore_tables()
            await reconcile()
            missing, failing = False, ""
        except Exception as error:  # whatever failed, the next sweep tries again
            emit_unknown_queue()
            undefined = isinstance(error, SQLAlchemyError) and dbos_tables.is_missing(error)
            lost = lost_studio_table(error) if undefined else None
            missing = undefined and lost is None
            if lost is not None and lost != failing:
                log.error("the database has lost the table %s, or a column of it: restore it from a backup", lost)  # noqa: TRY400 - it says all
            elif not failing:
                log.warning("a sweep failed with %s at %s", type(error).__name__, error_location(error))
            failing = lost or "any"
