"""The process as one of those that execute runs: its executor id with its lock, its journal of usage, and its lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from app.settings import Settings

from . import dbos_client, executor_locks
from .leases import Holder, Lease
from .queue_events import emit_unknown_queue
from .run_transitions import RunTransitions
from .usage_journal import SUFFIX, UsageJournal
from .usage_recovery import store_usage_of
from .workflow_errors import WorkflowEngineUnavailable

log = logging.getLogger("app.workflows")


class Membership:
    """The part of a process that others know it by: joined before a run is claimed, left after all are released.

    Args:
        settings: The settings.
        transitions: Gets the journal, and stores what earlier ones have.

    Attributes:
        lease: The lease on its runs, which is held for ever on SQLite.
        lock: The lock of its executor id, while it is a member.
    """

    def __init__(self, settings: Settings, transitions: RunTransitions) -> None:
        self.lease = Lease(settings.async_database_url, settings.lease)
        self.lock: executor_locks.ExecutorLock | None = None
        self._settings = settings
        self._transitions = transitions

    async def join(self) -> executor_locks.ExecutorLock:
        """Acquire an executor id, open the journal of this process, store its lease, and return the id's lock.

        Raises:
            WorkflowEngineUnavailable: The data directory cannot be written.
            psycopg.Error: The lease cannot be stored.
        """
        lock = self.lock = self._acquire_lock()
        # What an earlier process of this id has left, as there may be one on SQLite.
        await store_usage_of(lock.directory / f"{lock.executor_id}{SUFFIX}", self._transitions)
        self._transitions.journal = UsageJournal(lock.directory, lock.executor_id)
        if self._settings.sqlite_file is None:
            holder = Holder(
                id=lock.executor_id,
                host=executor_locks.host_name(),
                version=dbos_client.VERSION,
                concurrency=self._settings.slots,
                total_concurrency=self._settings.total_concurrency,
            )
            await asyncio.to_thread(self.lease.start, holder)
        return lock

    async def watch(self, give_back: Callable[[], int]) -> None:
        """Call ``give_back()``, which returns how many runs those were, whenever the lease lapses; until cancelled."""

        def lapse() -> None:
            emit_unknown_queue()  # a sweep may wait for the database still
            log.warning(
                "the lease of %g s on the database has lapsed (%s): %d runs are left to others until it is renewed",
                self.lease.seconds,
                self.lease.failure or "this process did not run",
                give_back(),
            )

        await self.lease.watch(lapse, lambda: log.info("the lease on the database is renewed"))

    async def leave(self) -> None:
        """Close the journal and release the lease, then the lock, so that other processes go on with what is left."""
        if self.lock is None:
            return
        if self._transitions.journal is not None:
            self._transitions.journal.close()
        await asyncio.to_thread(self.lease.stop)
        self.lock.release()
        self.lock = None

    def _acquire_lock(self) -> executor_locks.ExecutorLock:
        directory, version = self._settings.data_dir / "executors", dbos_client.VERSION
        try:
            if self._settings.sqlite_file is not None:
                return executor_locks.acquire(directory, version=version)
            prefix = executor_locks.prefix_of(self._settings.data_dir)
            return executor_locks.acquire_unique(directory, prefix, version=version)
        except OSError as error:
            raise WorkflowEngineUnavailable(
                f"The data directory cannot be used ({error.filename}): {error.strerror}; "
                "make it writable, or set SPARKLIO_DATA_DIR to another."
            ) from None
