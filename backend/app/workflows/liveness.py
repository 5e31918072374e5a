"""Which other executors live: by the locks of this machine's, and by the leases that all of them have in the database.

A free lock is proof at once. A lease proves nothing while the database was away for all: when it is back, nobody's has
been renewed, and whoever looks first would take the runs of all others. So a process judges others only once its own
lease has been held for as long as theirs last, and once it has itself seen that one is not renewed, over two beats: a
database whose clock is set forward, as after a failover, makes nobody dead. Nor does one that is set back let the dead
live: who was not renewed for as long as its lease lasts, and two beats, by the clock of who watches, is gone as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from app.database import Database
from app.database.repositories import executors
from app.database.repositories.executors import ExecutorState

from . import executor_locks
from .leases import Lease
from .usage_journal import remove_empty_journal

Verdict = Literal["alive", "gone", "unknown"]
"""``unknown`` is an executor of a release that had no leases, on another machine."""

_BEATS_WATCHED = 2


class Liveness:
    """Judges the other executors.

    Args:
        database: Has their leases, unless it is SQLite.
        lock: The lock of this process's executor id.
        lease: The lease of this process.

    Attributes:
        directory: The directory of the locks and journals of this machine's executors.
        own_id: The id of this process.
    """

    def __init__(self, database: Database, lock: executor_locks.ExecutorLock, lease: Lease) -> None:
        self._database = database
        self.directory = lock.directory
        self.own_id = lock.executor_id
        self._lease = lease
        self._states: dict[str, ExecutorState] = {}
        self._held_for = 0.0  # how long the own lease had been held at the last look
        # The last renewal of each that was seen, None where there was no row, and how long the own one was held then.
        self._seen: dict[str, tuple[datetime | None, float]] = {}
        # Since the last look: the versions that live, and whose locks were found free, as they are held meanwhile.
        self._versions: list[str | None] | None = None
        self._dead: set[str] = set()

    @property
    def others(self) -> Collection[ExecutorState]:
        """The other executors as they were at the last look; none on SQLite."""
        return self._states.values()

    async def look(self) -> None:
        """Read the leases of all executors: what is judged after it is judged by them.

        Raises:
            SQLAlchemyError: The database does not answer.
        """
        self._versions = None
        self._dead.clear()
        if not self._lease.is_started:
            return
        async with self._database.reading() as session:
            states = await executors.list_all(session)
        held_for = self._lease.held_for
        if held_for < self._held_for:
            self._seen.clear()  # it had lapsed meanwhile
        self._held_for = held_for
        self._states = {state.id: state for state in states if state.id != self.own_id}
        self._seen = {one: seen for one, seen in self._seen.items() if one in self._states or seen[0] is None}
        for state in self._states.values():
            self._watch(state.id, state.beat_at)

    @contextmanager
    def judged(self, executor_id: str) -> Iterator[Verdict]:
        """Judge another executor, and hold the lock of a dead one of this machine while the block runs.

        So no process can start under its id meanwhile, and resume its runs as well.
        """
        with executor_locks.lock_if_dead(self.directory, executor_id) as dead:
            if dead:
                self._dead.add(executor_id)
            yield "gone" if dead else self._judge(executor_id)

    @contextmanager
    def dead_here(self, executor_id: str) -> Iterator[bool]:
        """Hold the lock of an executor while the block runs, if it was of this machine and is gone.

        Yields:
            Whether the lock is held.
        """
        with executor_locks.lock_if_free(self.directory, executor_id) as free:
            yield free and (
                executor_locks.is_original(self.directory, executor_id) or self._judge(executor_id) == "gone"
            )

    def is_alive(self, executor_id: str) -> bool:
        """Return whether an executor lives; one that nothing is known of does not."""
        with self.judged(executor_id) as verdict:
            return verdict == "alive"

    def gone(self) -> list[str]:
        """Return the executors that are gone and whose ids nobody uses again, in a fixed order."""
        ids = {*self._states, *filter(executor_locks.is_unique, executor_locks.ids_in(self.directory))}
        found = []
        for executor_id in sorted(ids - {self.own_id}):
            with self.judged(executor_id) as verdict:
                if verdict == "gone":
                    found.append(executor_id)
        return found

    def is_gone(self, executor_id: str) -> bool:
        """Return whether an executor is gone, so that its runs are to be taken over."""
        with self.judged(executor_id) as verdict:
            return verdict == "gone"

    def is_version_alive(self, version: str) -> bool:
        """Return whether an executor lives that may execute workflows of a version."""
        return not {None, version}.isdisjoint(self.versions_alive())

    def versions_alive(self) -> Sequence[str | None]:
        """Return the version of each other executor that lives and executes runs; None is one that may execute any."""
        if self._versions is None:
            self._versions = [*self._find_versions()]
        return self._versions

    def _find_versions(self) -> Iterator[str | None]:
        for state in self._states.values():
            if state.concurrency and state.id not in self._dead and self.is_alive(state.id):
                yield state.version
        known = {*self._states, *self._dead, self.own_id}
        for executor_id in executor_locks.ids_in(self.directory):
            if executor_id in known:
                continue
            with executor_locks.lock_if_free(self.directory, executor_id) as free:
                if not free:  # without a version it is one of an earlier release
                    yield executor_locks.version_of(self.directory, executor_id)

    def count_alive(self) -> int | None:
        """Return how many other executors live and execute runs; None while it is too early to say of some of them."""
        alive = len(self.versions_alive())
        undecided = any(
            state.concurrency and state.is_lapsed and state.id not in self._dead and not self.is_gone(state.id)
            for state in self._states.values()
        )
        return None if undecided else alive

    async def forget(self, executor_ids: list[str]) -> None:
        """Remove what is left of executors that are gone and have no workflows: files, and rows that are old."""
        for executor_id in filter(executor_locks.is_unique, executor_ids):
            with self.dead_here(executor_id) as dead:
                if dead and remove_empty_journal(self.directory, executor_id):
                    executor_locks.remove(self.directory, executor_id)
        old = [executor_id for executor_id in executor_ids if self._is_old(executor_id)]
        if old:
            async with self._database.writing() as session:
                await executors.delete_old(session, old)

    def _judge(self, executor_id: str) -> Verdict:
        state = self._states.get(executor_id)
        if state is not None:
            return "gone" if state.is_stopped or self._watched_for_long(state) else "alive"
        if executor_locks.is_unique(executor_id) and self._lease.is_started:
            # Its row is lost, or not read yet; a living process stores it again at its next beat.
            since = self._watch(executor_id, None)
            return "gone" if self._held_for - since > self._lease.seconds else "alive"
        return "alive" if executor_locks.has_lock_file(self.directory, executor_id) else "unknown"

    def _watch(self, executor_id: str, beat_at: datetime | None) -> float:
        """Return how long the own lease had been held when this renewal of another was first seen."""
        seen = self._seen.get(executor_id)
        if seen is None or seen[0] != beat_at:
            seen = self._seen[executor_id] = (beat_at, self._held_for)
        return seen[1]

    def _watched_for_long(self, state: ExecutorState) -> bool:
        watched = self._held_for - self._watch(state.id, state.beat_at)
        beats = _BEATS_WATCHED * self._lease.beat
        lapsed_by_its_age = state.is_lapsed and self._held_for > state.lease_seconds
        return watched >= (beats if lapsed_by_its_age else state.lease_seconds + beats)

    def _is_old(self, executor_id: str) -> bool:
        return executor_id in self._states and self._states[executor_id].is_old
