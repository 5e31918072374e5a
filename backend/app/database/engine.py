"""The database: its engine, its sessions, and its schema brought up to date."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from threading import Thread
from time import time
from typing import Any
from weakref import WeakSet

import aiosqlite
from alembic.util import CommandError
from sqlalchemy import event, func, literal_column, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.database_urls import describe_database, without_secrets
from app.settings import Settings

from . import private_files
from .advice import advice_for_postgresql, advice_for_sqlite, error_line
from .migrations import upgrade_to_head
from .models import Attempt, Brand, Executor, Run, Step
from .postgresql_sessions import NO_TIMEOUT, prepare_sessions
from .silent_ping import ping_where_something_came
from .sqlite_connections import FileState, file_identity, file_state, prepare_connection

log = logging.getLogger(__name__)

_UPGRADE_LOCK = 0x5350_4B4C  # the key of our PostgreSQL advisory lock; any constant
_LOCK_TIMEOUT_MS = 10_000
# https://www.postgresql.org/docs/current/libpq-connect.html: seconds, but for tcp_user_timeout, which is milliseconds.
# Without them a statement waits for minutes for a server whose packets are dropped.
# The encoding is that of Python's texts: a database may have another one as its sessions' default, which lacks most.
POSTGRESQL_OPTIONS: dict[str, Any] = {
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_THREAD_JOIN_TIMEOUT = 1  # seconds
# One is read, and the others have to be there: all but the audit trail's, which counts what it loses and stops nothing.
_TABLES = [
    select(Run.id).limit(1).scalar_subquery(),
    *(
        select(literal_column("1")).select_from(one).limit(0).scalar_subquery()
        for one in (Attempt, Brand, Executor, Step)
    ),
]
# A transaction with an id has a commit record, which the server writes to its disk.
_PING_POSTGRESQL = select(
    literal_column("current_setting('transaction_read_only')").label("read_only"),
    *_TABLES,
).select_from(func.txid_current())
_PING_SQLITE = select(*_TABLES)
_WRITE_SQLITE = text("UPDATE alembic_version SET version_num = version_num")


class DatabaseUnavailable(Exception):
    """The database cannot be reached or written; the message names it, the cause and what to do, in one line."""


class Database:
    """The process's one engine, and its sessions. A session is for one short transaction, never across a model call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.sqlite_file
        self._url = url = settings.async_database_url
        self._threads: WeakSet[Thread] = WeakSet()
        self._identity: tuple[int, int] | None = None  # of the SQLite file that was opened
        options: dict[str, Any] = {"hide_parameters": True}  # errors would quote them: briefs and answers
        if self._file is not None:
            options["connect_args"] = {"async_creator_fn": self._open_sqlite}
        else:
            options["pool_pre_ping"] = True
            options["connect_args"] = {
                name: value for name, value in POSTGRESQL_OPTIONS.items() if name not in url.query
            }
        self.engine: AsyncEngine = create_async_engine(url, **options)
        autocommit = self.engine
        if self._file is not None:
            event.listen(self.engine.sync_engine, "connect", prepare_connection)
        else:
            ping_where_something_came(self.engine.dialect)
            prepare_sessions(self.engine.sync_engine)
            autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite lets one write at a time, and does not take turns: of many writers one may wait for half a minute.
        self._writer = asyncio.Lock() if self._file is not None else nullcontext()
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._autocommit_sessions = async_sessionmaker(autocommit, expire_on_commit=False)

    def session(self) -> AsyncSession:
        """Return a new session; ``async with database.session() as session, session.begin(): ...`` commits it."""
        return self._sessions()

    def reading(self) -> AsyncSession:
        """Return a new session for statements each of which is a transaction of its own, and leaves nothing to end.

        On SQLite nothing is begun by those that read.
        """
        return self._autocommit_sessions()

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncSession]:
        """Begin a transaction that writes, commit it at the end of the block; on SQLite this process's take turns."""
        async with self._writer, self.session() as session, session.begin():
            yield session

    @asynccontextmanager
    async def writing_one_by_one(self) -> AsyncGenerator[AsyncSession]:
        """Open a session whose statements each commit by themselves; on SQLite they are one transaction, as ever.

        It is for one statement that writes, and others that need not be of one transaction with it.
        """
        if self._file is not None:
            async with self.writing() as session:
                yield session
        else:
            async with self._autocommit_sessions() as session, session.begin():
                yield session

    async def upgrade(self) -> None:
        """Run the migrations, one process at a time.

        Raises:
            DatabaseUnavailable: It cannot be reached or written, has lost a table, or is of a newer program.
        """
        try:
            self._warn_of_lost_file()
            private_files.prepare(self._settings)
            if self._file is not None:
                await self._enable_wal()
            async with self.engine.begin() as connection:
                # All migrations are one transaction, under a lock: processes that start at once take turns.
                if self._file is not None:
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                else:
                    await connection.execute(text(NO_TIMEOUT))  # migrations are read from the disk in between
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
                    if await connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                        raise self._unavailable("it is read-only")
                await connection.run_sync(upgrade_to_head)
            if self._file is not None:
                self._identity = file_identity(self._file)
        except CommandError as error:
            cause = f"its schema is not one that this program knows, perhaps a newer one's ({error_line(error)})"
            raise self._unavailable(cause, "update the program") from error
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable(error_line(error)) from error
        await self.ping()

    def _warn_of_lost_file(self) -> None:
        """Log where the file is gone and that of the workflow engine is not, which has runs that nobody knows then."""
        engine_file = self._settings.workflows_file
        if self._file is not None and engine_file is not None and engine_file.exists() and not self._file.exists():
            log.warning(
                "%s is gone and begins empty, but %s is there: put the file back if its runs are missed",
                self._file,
                engine_file.name,
            )

    async def _enable_wal(self) -> None:
        """Switch the file to write-ahead logging, which lets readers and one writer work at once; the file stays so."""
        # Two connections that switch at the same time would deadlock: SQLite refuses one, whatever busy_timeout says.
        async with self.engine.connect() as connection, asyncio.timeout(_LOCK_TIMEOUT_MS / 1000):
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
        """Read from the studio's tables, and write what changes nothing.

        Raises:
            DatabaseUnavailable: They cannot be read or written.
        """
        self.check_file()
        try:
            if self._file is None:
                async with self.reading() as session:
                    if (await session.execute(_PING_POSTGRESQL)).one().read_only == "on":
                        raise self._unavailable("it is read-only")
            else:
                async with self.session() as session:
                    await session.execute(_PING_SQLITE)
                async with self.engine.begin() as connection:
                    await connection.execute(_WRITE_SQLITE)
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable(error_line(error)) from error

    def check_file(self) -> None:
        """Check that what is written to a SQLite file is not lost, before something new is accepted.

        SQLite goes on answering from an open file that was deleted, replaced or made read-only.

        Raises:
            DatabaseUnavailable: It is so.
        """
        if self._file is None:
            return
        found = file_identity(self._file)
        if found is None:
            raise self._unavailable("the file is gone", "put it back, or restart the studio to begin with an empty one")
        if self._identity not in {None, found}:
            raise self._unavailable("the file was replaced by another", "restart the studio")
        if not os.access(self._file, os.W_OK):
            raise self._unavailable("the file is read-only")

    def state(self) -> FileState | None:
        """Return the state of a SQLite database, another one after each change; None where that cannot be known."""
        return None if self._file is None else file_state(self._file)

    async def clock_skew(self) -> float | None:
        """Return by how many seconds at least the server's clock is ahead of ours; None for SQLite or on an error."""
        if self._file is not None:
            return None
        try:
            async with self.engine.connect() as connection:
                sent_at = time()
                server_now: datetime = await connection.scalar(text("SELECT clock_timestamp()"))
                received_at = time()
        except (SQLAlchemyError, OSError):
            return None
        timestamp = server_now.timestamp()
        return timestamp - min(max(timestamp, sent_at), received_at)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()
        # The thread of a SQLite connection that failed or was cancelled still calls back into this loop.
        for thread in list(self._threads):
            await asyncio.to_thread(thread.join, _THREAD_JOIN_TIMEOUT)

    def _open_sqlite(self, *args: Any, **options: Any) -> aiosqlite.Connection:
        connection = aiosqlite.connect(*args, **options)
        thread = connection._thread  # noqa: SLF001 - as SQLAlchemy's dialect does
        thread.daemon = True
        self._threads.add(thread)
        return connection

    def _unavailable(self, cause: str, advice: str | None = None) -> DatabaseUnavailable:
        advice = advice or (advice_for_sqlite(cause) if self._file else advice_for_postgresql(cause))
        return DatabaseUnavailable(
            f"The database cannot be used ({describe_database(self._url)}): {without_secrets(cause, self._url)}; "
            f"{advice}, or set SPARKLIO_DATABASE_URL to another."
        )
