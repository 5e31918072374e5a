"""The recovery of usage: what attempts had spent whose process was killed is stored with their runs."""

from __future__ import annotations

import logging
from pathlib import Path

from . import executor_locks
from .run_state import RunTransitions
from .usage_journal import SUFFIX, clear_journal, journals_in, read_journal

log = logging.getLogger("app.workflows")


async def store_usage_of(path: Path, transitions: RunTransitions) -> None:
    """Store what a journal has, and empty it. Its executor's lock has to be held."""
    entries = read_journal(path)
    for entry in entries:
        if await transitions.save_interrupted(entry):
            log.info("run %s: the usage of an interrupted attempt at %s is stored", entry.run_id, entry.name)
    if entries:
        clear_journal(path)


async def store_usage_of_dead_processes(lock: executor_locks.ExecutorLock, transitions: RunTransitions) -> None:
    """Store what the journals of other executors have whose processes are dead."""
    for path in journals_in(lock.directory):
        executor_id = path.name.removesuffix(SUFFIX)
        with executor_locks.lock_if_dead(lock.directory, executor_id) as dead:
            if dead:
                await store_usage_of(path, transitions)
