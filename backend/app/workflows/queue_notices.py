"""Notices among processes on one PostgreSQL: a run is queued, and the process that knows of it has no place for it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.database import POSTGRESQL_TIMEOUTS, psycopg_options

from . import dbos_pace, dbos_tables

log = logging.getLogger("app.workflows")

CHANNEL = "sparklio_runs"
_RETRY_DELAY = 3.0  # seconds until a lost connection is made again; meanwhile the queue is asked as often
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '') WHERE EXISTS ({dbos_tables.any_queued(dbos_tables.PREFIX)})")


def offer(engine: Engine, queue: str) -> None:
    """Send the other processes a notice if there are runs in a queue; where it fails they find them a little later."""
    if engine.dialect.name == "postgresql":
        with suppress(SQLAlchemyError), engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(_NOTIFY, {"queue": queue})


async def listen_forever(engine: Engine) -> None:
    """Have the queue looked at whenever another process tells of a run, until cancelled."""
    options = psycopg_options(engine.url, **POSTGRESQL_TIMEOUTS, application_name="sparklio_notices")
    while True:
        with suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(autocommit=True, **options) as connection:
                await _listen(connection)
        await asyncio.sleep(_RETRY_DELAY)


async def _listen(connection: psycopg.AsyncConnection) -> None:
    await connection.execute(f"LISTEN {CHANNEL}".encode())
    # Behind a proxy that shares connections among clients nothing would ever come: the first notice is our own.
    await connection.execute(f"NOTIFY {CHANNEL}".encode())
    notices = connection.notifies()
    await anext(notices)
    with dbos_pace.queue.listening():
        async for _ in notices:
            dbos_pace.queue.told()
