"""Notices among processes on one PostgreSQL: a run waits that the sender has no place for, or a run is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import TextClause

from app.database import POSTGRESQL_OPTIONS, psycopg_options

from . import dbos_pace, dbos_tables

log = logging.getLogger("app.workflows")

CHANNEL = "sparklio_runs"
_RETRY_DELAY = 3.0  # seconds until a lost connection is made again; meanwhile the queue is asked as often
_READ_TIMEOUT = 0.1  # seconds to read what has begun to come, which may be no notice
_QUEUED = text(f"SELECT pg_notify('{CHANNEL}', '') WHERE EXISTS ({dbos_tables.any_queued(dbos_tables.PREFIX)})")
_CANCELLED = text(f"SELECT pg_notify('{CHANNEL}', :run_id)")  # earlier releases take it for one of a queued run


def offer(engine: Engine, queue: str) -> None:
    """Send the other processes a notice if there are runs in a queue; where it fails they find them a little later."""
    _send(engine, _QUEUED, queue=queue)


def tell_cancelled(engine: Engine, run_id: str) -> None:
    """Send whoever executes a run the notice that it is cancelled; where it fails they find out a little later."""
    _send(engine, _CANCELLED, run_id=run_id)


async def listen_forever(engine: Engine, on_cancelled: Callable[[str], None]) -> None:
    """Take the notices of other processes, until cancelled: the queue is looked at, or a run is no longer executed.

    Args:
        engine: The engine of the database.
        on_cancelled: Called with the id of each run that another process has cancelled.
    """
    options = psycopg_options(engine.url, **POSTGRESQL_OPTIONS, application_name="sparklio_notices")
    while True:
        with suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(autocommit=True, **options) as connection:
                await _listen(connection, on_cancelled)
        await asyncio.sleep(_RETRY_DELAY)


async def _listen(connection: psycopg.AsyncConnection, on_cancelled: Callable[[str], None]) -> None:
    await connection.execute(f"LISTEN {CHANNEL}".encode())
    # Behind a proxy that shares connections among clients nothing would ever come: the first notice is our own.
    await connection.execute(f"NOTIFY {CHANNEL}".encode())
    while not await _read(connection, on_cancelled):
        await _until_readable(connection)
    with dbos_pace.queue.listening():
        while True:
            # Until there are none: what the TLS library has decrypted already makes no socket readable.
            while await _read(connection, on_cancelled):
                pass
            await _until_readable(connection)


async def _read(connection: psycopg.AsyncConnection, on_cancelled: Callable[[str], None]) -> int:
    """Take the notices that have come, with those that come with them; return how many they are."""
    count = 0
    async for notice in connection.notifies(stop_after=1, timeout=_READ_TIMEOUT):
        count += 1
        if notice.payload:
            on_cancelled(notice.payload)
        else:
            dbos_pace.queue.told()
    return count


async def _until_readable(connection: psycopg.AsyncConnection) -> None:
    """Wait until the server has sent something; psycopg's own wait for it wakes up ten times a second."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    descriptor = connection.fileno()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _send(engine: Engine, notice: TextClause, **values: str) -> None:
    if engine.dialect.name == "postgresql":
        with suppress(SQLAlchemyError), engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(notice, values)
