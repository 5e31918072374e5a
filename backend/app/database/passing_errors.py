"""Database errors that pass without a change to the program: the server restarts, a lock is held, the disk is full."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

T = TypeVar("T")

log = logging.getLogger("app.database")

_FIRST_DELAY = 0.1  # seconds; it doubles from one attempt to the next
_MAX_DELAY = 2.0  # seconds

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_CLASSES = ("08", "40", "53", "57", "58")  # connection, rollback, resources, operator, system
_POSTGRESQL_CODES = {"25006", "25P03", "55P03"}  # read-only after a failover, idle for too long, lock not available
# https://www.sqlite.org/rescode.html
_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip


def is_passing(error: BaseException) -> bool:
    """Return whether a failed transaction may succeed if it is repeated later."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_CODES  # the primary code of an extended one
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)  # psycopg has no code for a connection that cannot be made
    return state in _POSTGRESQL_CODES or state.startswith(_POSTGRESQL_CLASSES)


async def retry_passing(attempt: Callable[[], Awaitable[T]], stop: asyncio.Event | None = None) -> T:
    """Return what ``attempt()`` returns; repeat it, after a growing delay, for as long as its error is a passing one.

    Args:
        attempt: One whole transaction. After an error nobody knows whether it was committed, so it has to find out.
        stop: When it is set, the next error is raised, whatever it is.
    """
    stop = stop or asyncio.Event()
    delay, failures = _FIRST_DELAY, 0
    while True:
        try:
            result = await attempt()
        except (DBAPIError, PoolTimeoutError) as error:
            if stop.is_set() or not is_passing(error):
                raise
            failures += 1
            if failures == 1:
                log.warning("the database does not answer (%s): trying again until it does", _name_of(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            delay = min(2 * delay, _MAX_DELAY)
        else:
            if failures:
                log.info("the database answers again, after %d failures", failures)
            return result


def _name_of(error: Exception) -> str:
    return type(getattr(error, "orig", None) or error).__name__
