"""The database: its engine, its sessions, and its schema brought up to date."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from threading import Thread
from time import time
from typing import Any
from weakref import WeakSet

import aiosqlite
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.settings import Settings

from .models import Run

_MIGRATIONS = "app.database:migrations"
_UPGRADE_LOCK = 0x5350_4B4C  # any constant of ours; PostgreSQL's advisory locks are numbers
_LOCK_WAIT_MS = 10_000
_CONNECT_SECONDS = 5
_THREAD_SECONDS = 1


class DatabaseUnavailable(Exception):
    """The database cannot be reached or written; the message is one line: the thing, the cause, the way out."""


class Database:
    """One engine for the whole process. A session is for one short transaction, never across a model call."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.sqlite_file
        url = settings.async_database_url
        self._name = f"SQLite file {self._file}" if self._file else f"PostgreSQL {url.render_as_string()}"
        self._threads: WeakSet[Thread] = WeakSet()
        options: dict[str, Any] = {"hide_parameters": True}  # briefs and answers, which an error would quote
        if self._file is not None:
            options["connect_args"] = {"async_creator_fn": self._open_file}
        else:
            options["pool_pre_ping"] = True
            if "connect_timeout" not in url.query:
                options["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
        self.engine: AsyncEngine = create_async_engine(url, **options)
        if self._file is not None:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    def session(self) -> AsyncSession:
        """Open a session: ``async with database.session() as session, session.begin(): ...`` commits at the end."""
        return self._sessions()

    async def upgrade(self) -> None:
        """Bring the schema up to date, one process at a time; raises DatabaseUnavailable when it cannot be written."""
        try:
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                await self._keep_log_beside()
            async with self.engine.begin() as connection:
                # The schema changes wholly or not at all, and two that start at once take turns.
                if self._file is not None:
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                else:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
                    if await connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                        raise self._unavailable("it is read-only")
                await connection.run_sync(_to_head)
        except CommandError as error:
            cause = f"its schema is not one that this program knows, perhaps a newer one's ({_reason(error)})"
            raise self._unavailable(cause, "update the program") from error
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable(_reason(error)) from error

    async def _keep_log_beside(self) -> None:
        """Let readers and one writer work at once, from now on: the file remembers its journal mode."""
        # Two that switch at once would wait for each other, so SQLite refuses one at once, whatever busy_timeout says.
        async with self.engine.connect() as connection, asyncio.timeout(_LOCK_WAIT_MS / 1000):
            while True:
                try:
                    await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                except OperationalError as error:
                    if "locked" not in str(error.orig):
                        raise
                    await asyncio.sleep(0.02)
                else:
                    return

    async def ping(self) -> None:
        """Read from the studio's own tables; raises DatabaseUnavailable when they do not answer."""
        # An open SQLite file that was deleted or made read-only still answers.
        if self._file is not None and not os.access(self._file, os.W_OK):
            raise self._unavailable("the file is gone or read-only")
        try:
            async with self.session() as session:
                await session.execute(select(Run.id).limit(1))
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable(_reason(error)) from error

    async def ahead(self) -> float | None:
        """Say by how many seconds the server's clock is ahead of the one here at least; None where it does not say."""
        if self._file is not None:
            return None
        try:
            async with self.engine.connect() as connection:
                asked = time()
                told: datetime = await connection.scalar(text("SELECT clock_timestamp()"))
                answered = time()
        except (SQLAlchemyError, OSError):
            return None
        there = told.timestamp()
        return there - min(max(there, asked), answered)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        # The thread of a SQLite connection that failed or was cancelled still answers to this loop: let it end first.
        for thread in list(self._threads):
            await asyncio.to_thread(thread.join, _THREAD_SECONDS)

    def _open_file(self, *args: Any, **options: Any) -> aiosqlite.Connection:
        connection = aiosqlite.connect(*args, **options)
        thread = connection._thread  # noqa: SLF001 - SQLAlchemy's dialect does the same where it opens the file
        thread.daemon = True
        self._threads.add(thread)
        return connection

    def _unavailable(self, cause: str, way_out: str | None = None) -> DatabaseUnavailable:
        way_out = way_out or ("make it writable" if self._file else "start or repair the server")
        return DatabaseUnavailable(
            f"The database cannot be used ({self._name}): {cause}; {way_out}, or set SPARKLIO_DATABASE_URL to another."
        )


def alembic_config() -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    return config


def _to_head(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # A busy writer is waited for; a commit survives the process, a power cut may cost the last ones; references hold.
    for pragma in (f"busy_timeout={_LOCK_WAIT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _reason(error: Exception) -> str:
    """Give the driver's own first line: SQLAlchemy's text carries the statement and its parameters."""
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror} ({cause.filename})" if cause.filename else cause.strerror
    if isinstance(cause, TimeoutError):
        return "another process holds its lock"
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return lines[0].rstrip(".;")
