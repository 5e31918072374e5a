"""The recovery of a journal: what a process left is stored with its runs, and counted, once the process is dead."""

from __future__ import annotations

import logging
from pathlib import Path

from .journal_entries import Transition
from .liveness import Liveness
from .run_transitions import RunTransitions
from .usage_journal import SUFFIX, clear_journal, journals_in, mark_settled, read_journal

log = logging.getLogger("app.workflows")


async def store_usage_of(path: Path, transitions: RunTransitions) -> None:
    """Store and count what a journal has, and empty it. Its executor's lock has to be held."""
    entries = read_journal(path)
    for entry in entries:  # in their order: usage that is stored after a run's end is not in the event of the end
        if isinstance(entry, Transition):
            if await transitions.emit_left(entry):
                log.info(
                    "run %s: its %s was stored by a killed process; it is counted",
                    entry.run_id,
                    entry.status or "start",
                )
        elif await transitions.save_interrupted(entry):
            log.info("run %s: what an interrupted attempt at %s had used is stored", entry.run_id, entry.name)
        mark_settled(path, entry.key)
    clear_journal(path)


async def store_usage_of_dead_processes(liveness: Liveness, transitions: RunTransitions) -> None:
    """Store what the journals of other executors have whose processes are dead."""
    for path in journals_in(liveness.directory):
        with liveness.dead_here(path.name.removesuffix(SUFFIX)) as dead:
            if dead:
                await store_usage_of(path, transitions)
