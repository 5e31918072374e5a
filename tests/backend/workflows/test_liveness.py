"""Who lives: by locks of files and by leases in the database, which prove nothing before one could be renewed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import Database
from app.workflows import executor_locks, leases
from app.workflows.executor_locks import ExecutorLock
from app.workflows.leases import Holder, Lease
from app.workflows.liveness import Liveness, Verdict
from app.workflows.usage_journal import UsageJournal
from tests.support.in_process_studio import NewSettings

pytestmark = pytest.mark.slow

LEASE = 15.0
OTHER, LOST, EARLIER = "host-b.00000000000a", "host-b.00000000000b", "host-b-0"
PASS = "UPDATE executors SET beat_at = beat_at - make_interval(secs => :seconds), stopped_at = NULL WHERE id = :id"
INSERT = """\
INSERT INTO executors (id, host, version, concurrency, lease_seconds, started_at, beat_at)
VALUES (:id, 'host-b', :version, :concurrency, 15, clock_timestamp(), clock_timestamp())"""


@dataclass
class Scene:
    """One process that judges others, and the time by its own clock and by the database's."""

    database: Database
    liveness: Liveness
    lock: ExecutorLock
    clock: list[float]

    async def execute(self, statement: str, **values: object) -> None:
        async with self.database.writing() as session:
            await session.execute(text(statement), values)

    async def others(self) -> list[str]:
        async with self.database.session() as session:
            return list(await session.scalars(text("SELECT id FROM executors WHERE host = 'host-b' ORDER BY id")))

    async def add(self, executor_id: str = OTHER, version: str = "1", concurrency: int = 2) -> None:
        await self.execute(INSERT, id=executor_id, version=version, concurrency=concurrency)

    async def let_pass(self, seconds: float, *, renewing: bool = True) -> None:
        """Let time pass, in which the own lease is renewed if ``renewing`` and that of the other is not."""
        await self.execute(PASS, seconds=seconds, id=OTHER)
        await self.watch(seconds, renewing=renewing)

    async def watch(self, seconds: float, *, renewing: bool = True) -> None:
        """Let time pass by the own clock alone."""
        await self.liveness.look()
        for _ in range(int(seconds)):
            self.clock[0] += 1
            if renewing:
                self.liveness._lease._extend(self.clock[0])
        await self.liveness.look()

    def verdict(self, executor_id: str = OTHER) -> Verdict:
        with self.liveness.judged(executor_id) as verdict:
            return verdict


@pytest.fixture
async def scene(
    new_settings: NewSettings, new_migrated_postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    settings = new_settings(database_url=new_migrated_postgres())
    database = Database(settings)
    await database.upgrade()
    clock = [1000.0]
    monkeypatch.setattr(leases, "_now", lambda: clock[0])
    lock = executor_locks.acquire_unique(tmp_path / "executors", "host-a", version="1")
    lease = Lease(settings.async_database_url, LEASE)
    monkeypatch.setattr(lease, "_renew_forever", lambda: None)
    lease.start(Holder(id=lock.executor_id, host="host-a", version="1", concurrency=2))
    yield Scene(database, Liveness(database, lock, lease), lock, clock)
    lease.stop()
    lock.release()
    await database.close()


async def test_an_executor_is_gone_once_its_lease_has_lapsed_and_others_have_lasted_as_long(scene: Scene) -> None:
    await scene.add()
    await scene.let_pass(10)
    assert scene.verdict() == "alive"
    await scene.let_pass(10)
    assert scene.verdict() == "gone"
    assert scene.liveness.gone() == [OTHER]
    await scene.execute("UPDATE executors SET beat_at = clock_timestamp()")
    await scene.let_pass(0)
    assert scene.verdict() == "alive"


async def test_nobody_is_gone_for_a_process_that_has_just_come_itself(scene: Scene) -> None:
    """The database may have been away for all: each of them needs a moment to renew its lease."""
    await scene.add()
    await scene.execute(PASS, seconds=3600, id=OTHER)
    await scene.let_pass(14)
    assert scene.verdict() == "alive"
    await scene.let_pass(5)
    assert scene.verdict() == "gone"


async def test_nobody_is_gone_for_a_process_whose_own_lease_had_lapsed(scene: Scene) -> None:
    await scene.add()
    await scene.let_pass(20)
    assert scene.verdict() == "gone"
    await scene.let_pass(20, renewing=False)
    assert scene.verdict() == "alive"


async def test_a_clock_that_is_set_forward_makes_nobody_dead(scene: Scene) -> None:
    """The database's, as after a failover: the leases that it shows as old are renewed within a beat."""
    await scene.add()
    await scene.let_pass(20)
    await scene.execute("UPDATE executors SET beat_at = clock_timestamp()")
    await scene.let_pass(0)
    await scene.execute("UPDATE executors SET beat_at = beat_at - interval '1 hour'")
    await scene.let_pass(0)
    assert scene.verdict() == "alive"


async def test_a_clock_that_is_set_back_lets_no_dead_one_live(scene: Scene) -> None:
    """The database's: by it the last renewal is yet to come. The own clock says how long ago it was seen."""
    await scene.add()
    await scene.watch(20)
    await scene.execute("UPDATE executors SET beat_at = beat_at + interval '1 hour' WHERE id = :id", id=OTHER)
    await scene.watch(LEASE)
    assert scene.verdict() == "alive"
    await scene.watch(4)
    assert scene.verdict() == "gone"
    await scene.execute("UPDATE executors SET beat_at = beat_at - interval '1 hour'")
    await scene.watch(0)
    assert scene.verdict() == "alive"


async def test_how_many_live_is_not_known_before_those_that_are_silent_are_judged(scene: Scene) -> None:
    """Neither those that died before this process came nor those that an outage has kept from their renewal."""
    await scene.add()
    await scene.add(LOST, concurrency=0)  # it serves the API alone
    await scene.liveness.look()
    assert scene.liveness.count_alive() == 1
    await scene.execute(PASS, seconds=3600, id=OTHER)
    await scene.execute(PASS, seconds=3600, id=LOST)
    await scene.let_pass(14)
    assert scene.liveness.count_alive() is None
    await scene.let_pass(5)
    assert scene.liveness.count_alive() == 0
    await scene.execute("UPDATE executors SET beat_at = clock_timestamp()")
    await scene.let_pass(0)
    assert scene.liveness.count_alive() == 1


async def test_an_executor_that_has_stopped_is_gone_at_once(scene: Scene) -> None:
    await scene.add()
    await scene.execute("UPDATE executors SET stopped_at = clock_timestamp() WHERE id = :id", id=OTHER)
    await scene.liveness.look()
    assert scene.verdict() == "gone"


async def test_an_executor_whose_row_is_lost_has_time_to_store_it_again(scene: Scene) -> None:
    await scene.let_pass(20)
    assert scene.verdict(LOST) == "alive"
    await scene.let_pass(10)
    assert scene.verdict(LOST) == "alive"
    await scene.let_pass(6)
    assert scene.verdict(LOST) == "gone"


async def test_of_an_executor_of_a_release_without_leases_its_lock_alone_tells(scene: Scene) -> None:
    await scene.let_pass(60)
    assert scene.verdict(EARLIER) == "unknown"
    here = executor_locks.acquire(scene.lock.directory, "host-a")
    assert scene.verdict(here.executor_id) == "alive"
    here.release()
    assert scene.verdict(here.executor_id) == "gone"


async def test_a_version_lives_while_an_executor_lives_that_executes_it(scene: Scene) -> None:
    await scene.add()
    await scene.add(LOST, version="2", concurrency=0)  # it serves the API alone
    await scene.liveness.look()
    assert scene.liveness.is_version_alive("1")
    assert not scene.liveness.is_version_alive("2")
    await scene.let_pass(20)
    assert not scene.liveness.is_version_alive("1")
    earlier = executor_locks.acquire(scene.lock.directory, "host-a")
    await scene.liveness.look()
    assert scene.liveness.is_version_alive("1")
    earlier.release()
    await scene.liveness.look()
    with scene.liveness.judged(earlier.executor_id):
        assert not scene.liveness.is_version_alive("1")


async def test_a_version_is_dead_with_a_killed_process_of_this_machine_before_its_lease_has_lapsed(
    scene: Scene,
) -> None:
    killed = executor_locks.acquire_unique(scene.lock.directory, "host-b", version="1")
    await scene.add(killed.executor_id)
    await scene.liveness.look()
    assert scene.liveness.is_version_alive("1")
    killed.release()
    await scene.liveness.look()
    with scene.liveness.judged(killed.executor_id) as verdict:
        assert verdict == "gone"
        assert not scene.liveness.is_version_alive("1")


async def test_what_is_left_of_an_executor_goes_and_its_row_stays_for_a_day(scene: Scene) -> None:
    dead = executor_locks.acquire_unique(scene.lock.directory, "host-b")
    UsageJournal(scene.lock.directory, dead.executor_id).close()
    dead.release()
    await scene.add(dead.executor_id)
    await scene.add()
    await scene.let_pass(20)
    assert scene.liveness.gone() == sorted([dead.executor_id, OTHER])
    await scene.liveness.forget([dead.executor_id, OTHER])
    assert {path.name.rpartition(".")[0] for path in scene.lock.directory.iterdir()} == {scene.lock.executor_id}
    assert await scene.others() == sorted([OTHER, dead.executor_id])
    await scene.let_pass(0)
    await scene.execute(PASS, seconds=86_400, id=OTHER)
    await scene.liveness.look()
    await scene.liveness.forget([OTHER])
    assert await scene.others() == [dead.executor_id]
