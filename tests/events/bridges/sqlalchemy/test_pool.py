"""The state of pools of every kind: those that do not count, without limit, disposed of, forked."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import create_async_engine

import events
from events.bridges.sqlalchemy import Instrumentation, instrument
from metrics import CATALOGUE, subscribe
from tests.support.databases import nonzero_counts
from tests.support.wait import wait_until


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    with subscribe(CATALOGUE, made, namespace="sparklio"):
        yield made


def collect_garbage() -> None:
    """Collect garbage, with the connections that SQLAlchemy leaves to it: from Python 3.13 on SQLite's warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def read_states(handle: Instrumentation, engine: sa.Engine) -> list[tuple[int | None, ...]]:
    """Return used, idle and capacity of a pool while one connection is checked out, and after."""
    with events.pool_read.captured() as states:
        with engine.connect() as connection:
            connection.execute(sa.text("select 1"))
            handle.read_pool()
        handle.read_pool()
    return [(state.used, state.idle, state.capacity) for state in states]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pool", "states"),
    [
        (sa.NullPool, [(1, 0, None), (0, 0, None)]),
        (sa.StaticPool, [(1, 0, None), (0, 1, None)]),
        (sa.pool.SingletonThreadPool, [(1, 0, None), (0, 1, None)]),
        (sa.QueuePool, [(1, 0, 15), (0, 1, 15)]),
    ],
)
def test_pools_that_do_not_count_are_counted_by_their_events(
    pool: Any, states: list[tuple[int, int, int | None]], tmp_path: Path, registry: CollectorRegistry
) -> None:
    """A capacity of None is no limit, or none that is known."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", poolclass=pool)
    with instrument(engine) as handle:
        assert read_states(handle, engine) == states
        assert read_states(handle, engine) == states
        engine.dispose()
        assert read_states(handle, engine) == states
        engine.dispose()
    made = 3 if pool is sa.NullPool else 2
    assert sum(nonzero_counts(registry, "connection_create").values()) == made
    assert sum(nonzero_counts(registry, "connections_closed").values()) == made
    assert nonzero_counts(registry, "connection_hold") == {"connection_hold main": 3}


async def test_a_connection_that_is_checked_out_twice_is_one_hold() -> None:
    """The StaticPool of an asynchronous SQLite in memory has one connection for everybody."""
    engine = create_async_engine("sqlite+aiosqlite://")
    with (
        instrument(engine) as handle,
        events.connection_released.captured() as released,
        events.pool_read.captured() as states,
    ):
        async with engine.connect() as one, engine.connect() as two:
            await one.execute(sa.text("select 1"))
            await two.execute(sa.text("select 1"))
            handle.read_pool()
        handle.read_pool()
    await engine.dispose()
    assert [(state.used, state.idle) for state in states] == [(1, 0), (0, 1)]
    assert len(released) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "samples"), [({"max_overflow": -1}, []), ({"pool_size": 3, "max_overflow": 4}, [7.0])]
)
def test_a_pool_without_limit_has_no_sample_of_its_capacity(
    options: dict[str, int], samples: list[float], tmp_path: Path, registry: CollectorRegistry
) -> None:
    """Infinity would be a number to divide by."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", **options)
    with instrument(engine, "own"):
        families = {family.name: family.samples for family in registry.collect()}
    capacities = families["sparklio_db_pool_capacity"]
    assert [sample.value for sample in capacities if sample.labels["pool"] == "own"] == samples


@pytest.mark.slow
def test_disposing_of_the_pool_while_threads_work_loses_no_count(tmp_path: Path, registry: CollectorRegistry) -> None:
    """Connections that are checked out return to a pool that is gone: each hold ends all the same."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", pool_size=2, max_overflow=1, pool_timeout=60)
    rounds = 40
    started = threading.Barrier(5)

    def work(_: int) -> None:
        started.wait(timeout=30)
        for _ in range(rounds):
            with engine.connect() as connection:
                connection.execute(sa.text("select 1"))

    with instrument(engine) as handle, ThreadPoolExecutor(4) as threads:
        done = threads.map(work, range(4))
        started.wait(timeout=30)
        for _ in range(20):
            engine.dispose()
        list(done)
        with events.pool_read.captured() as states:
            handle.read_pool()
        engine.dispose()
        collect_garbage()
        handle.read_pool()
    made, closed = nonzero_counts(registry, "connection_create"), nonzero_counts(registry, "connections_closed")
    assert sum(made.values()) == sum(closed.values())
    assert closed["connections_closed main dispose"] > 0
    counted = nonzero_counts(registry, "queries", "pool_acquire", "connection_hold", "transactions", "errors")
    assert counted == {
        "queries select none": 4 * rounds,
        "pool_acquire main ok": 4 * rounds,
        "connection_hold main": 4 * rounds,
        "transactions released": 4 * rounds,
    }
    (state,) = states
    assert (state.used, state.pending, state.oldest_hold) == (0, 0, 0)


@pytest.mark.slow
def test_a_connection_that_is_checked_out_while_its_pool_is_disposed_of_is_closed_once(tmp_path: Path) -> None:
    """When it is really gone: its pool keeps it, out of reach, until the garbage collector takes both."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    with instrument(engine) as handle, events.connection_closed.captured() as closed:
        connection = engine.connect()
        before = engine.pool
        engine.dispose()
        connection.close()
        handle.read_pool()
        assert closed == []
        assert before.checkedin() == 1  # type: ignore[attr-defined]
        del before
        collect_garbage()
        assert closed == []  # not in the garbage collector, which may come while a lock is held
        handle.read_pool()
        handle.read_pool()
        engine.dispose()
    (event,) = closed
    assert event.reason == "dispose"
    assert event.lifetime is not None
    assert event.lifetime > 0


@pytest.mark.slow
def test_a_pool_that_is_dropped_without_closing_takes_its_idle_connections_with_it(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    with instrument(engine) as handle, events.connection_closed.captured() as closed:
        with engine.connect(), engine.connect():
            pass
        engine.dispose(close=False)
        collect_garbage()
        handle.read_pool()
    assert [event.reason for event in closed] == ["dispose", "dispose"]


@pytest.mark.slow
def test_a_connection_of_a_disposed_pool_may_be_checked_out_once_more(tmp_path: Path) -> None:
    """A caller that waits in its queue gets what is returned to it, which is not closed yet."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", pool_size=1, max_overflow=0, pool_timeout=30)

    def pending() -> int:
        with events.pool_read.captured() as states:
            handle.read_pool()
        return states[0].pending or 0

    with (
        instrument(engine) as handle,
        events.connection_closed.captured() as closed,
        ThreadPoolExecutor(1) as threads,
    ):
        held = engine.connect()
        waiting = threads.submit(engine.connect)
        wait_until(pending)
        engine.dispose()
        held.close()
        second = waiting.result(timeout=30)
        del waiting
        collect_garbage()
        handle.read_pool()
        assert closed == []
        second.close()
        collect_garbage()
        handle.read_pool()
        assert [event.reason for event in closed] == ["dispose"]


def test_connections_can_be_tracked_without_statements(tmp_path: Path) -> None:
    """No statement, transaction or failure is emitted then, and how long connections were idle is not known."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db")
    with (
        instrument(engine, "theirs", statements=False) as handle,
        events.connection_acquired.captured() as acquired,
        events.connection_released.captured() as released,
        events.pool_read.captured() as states,
        events.query_executed.captured() as queries,
        events.transaction_ended.captured() as transactions,
        events.database_failed.captured() as failures,
    ):
        with engine.begin() as connection:
            connection.execute(sa.text("select 1"))
            with pytest.raises(sa.exc.OperationalError):
                connection.execute(sa.text("select * from nowhere"))
            handle.read_pool()
        engine.dispose()
    assert [(event.pool, event.outcome) for event in acquired] == [("theirs", "ok")]
    assert [(event.pool, event.idle) for event in released] == [("theirs", None)]
    assert [(event.pool, event.used) for event in states] == [("theirs", 1)]
    assert [*queries, *transactions, *failures] == []


def test_a_second_handle_begins_anew(tmp_path: Path) -> None:
    """It tracks the connections that it finds once they are checked out, and it alone emits that they are closed."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", poolclass=sa.pool.SingletonThreadPool)
    with instrument(engine, "first"), engine.connect():
        pass
    with (
        instrument(engine, "second") as handle,
        events.pool_read.captured() as states,
        events.connection_closed.captured() as closed,
    ):
        with engine.connect():
            handle.read_pool()
        engine.dispose()
    (state,) = states
    assert (state.used, (state.oldest_hold or 0) > 0) == (1, True)
    assert [(event.pool, event.lifetime) for event in closed] == [("second", None)]


FORKING = """
import gc, os, sys
import sqlalchemy as sa
import events
from events.bridges.sqlalchemy import instrument

engine = sa.create_engine(sys.argv[1], poolclass=getattr(sa, sys.argv[2]))
handle = instrument(engine)

def state():
    with events.pool_read.captured() as states:
        handle.read_pool()
    return states[0].used, states[0].idle, states[0].pending, states[0].oldest_hold > 0

idle, held = engine.connect(), engine.connect()
idle.close()
del idle
child = os.fork()
if child == 0:
    with events.connection_closed.captured() as closed:
        engine.dispose(close=False)
        gc.collect()
        before = state()
    assert closed == []
    with events.connection_released.captured() as released, engine.connect() as connection:
        connection.execute(sa.text("select 1"))
        during = state()
    print(before, during, state(), len(released), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(state(), flush=True)
held.close()
engine.dispose()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
@pytest.mark.parametrize("pool", ["QueuePool", "NullPool"])
def test_after_a_fork_connections_that_are_checked_out_count_in_the_parent_only(pool: str, tmp_path: Path) -> None:
    """The child disposes of the pool without closing it, as SQLAlchemy asks for; it counts its own from then on."""
    address = f"sqlite:///{tmp_path}/test.db"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, address, pool],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    child, parent = done.stdout.splitlines()
    idle = 1 if pool == "QueuePool" else 0
    assert child == f"(0, 0, 0, False) (1, 0, 0, True) (0, {idle}, 0, False) 1"
    assert parent == f"(1, {idle}, 0, True)"


@pytest.mark.parametrize("pool", [sa.StaticPool, sa.SingletonThreadPool, sa.QueuePool, sa.NullPool, sa.AssertionPool])
def test_opening_a_connection_is_no_wait_in_the_queue(pool: type[sa.Pool]) -> None:
    opening = 0.03  # seconds; the lowest bucket of a wait is far below

    def creator() -> Any:
        time.sleep(opening)
        handle.read_pool()
        return sqlite3.connect(":memory:")

    engine = sa.create_engine("sqlite://", creator=creator, poolclass=pool)
    with (
        instrument(engine) as handle,
        events.connection_acquired.captured() as acquired,
        events.pool_read.captured() as states,
        engine.connect(),
    ):
        pass
    engine.dispose()
    assert acquired[0].duration - acquired[0].wait >= opening
    assert states[0].pending == 0


@pytest.mark.parametrize("close", [True, False])
def test_the_peak_of_a_new_pool_is_its_own(tmp_path: Path, close: bool) -> None:
    """What is still checked out of the one that it replaces is in neither."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/test.db", poolclass=sa.QueuePool)
    with instrument(engine) as handle, events.pool_read.captured() as states:
        old = engine.connect()
        engine.dispose(close=close)
        with engine.connect():
            handle.read_pool()
        old.close()
        handle.read_pool()
        with engine.connect(), engine.connect():
            handle.read_pool()
        del old
        collect_garbage()
    engine.dispose()
    assert [(state.used, state.peak_used) for state in states] == [(1, 1), (0, 1), (2, 2)]
