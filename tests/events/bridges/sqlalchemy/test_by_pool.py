"""What is told by pool: statements, their time, failures and transactions, the peaks, and who holds a connection."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy.ext.asyncio import create_async_engine

import events
from events.bridges.sqlalchemy import instrument
from metrics import CATALOGUE, DATABASE_DETAILS, subscribe
from tests.support.wait import wait_until

Read = Callable[..., float | None]


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    with (
        subscribe(CATALOGUE, made, namespace="x", label_values={"pool": ["main", "dbos"]}),
        subscribe(DATABASE_DETAILS, made, namespace="x"),
    ):
        yield made


def scrape(registry: CollectorRegistry) -> Read:
    """Return what reads the samples of one scrape by name and labels."""
    text = generate_latest(registry).decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    def read(name: str, **labels: str) -> float | None:
        of_series = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        value = samples.get(f"x_db_{name}{{{of_series}}}" if labels else f"x_db_{name}")
        return None if value is None else float(value)

    return read


def make_engine(**options: Any) -> sa.Engine:
    return sa.create_engine(
        "sqlite://", poolclass=sa.QueuePool, connect_args={"check_same_thread": False}, pool_size=3, **options
    )


def use(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("create table users (id int)"))
        connection.execute(sa.text("select id from users")).all()
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError):
        connection.execute(sa.text("select * from nowhere"))


def test_a_replica_is_told_from_its_primary(registry: CollectorRegistry) -> None:
    primary, replica = make_engine(), make_engine()
    with instrument(primary), instrument(replica, "replica"):
        use(primary)
        use(replica)
        with replica.connect() as connection:
            connection.execute(sa.text("select 1"))
    read = scrape(registry)
    assert [read("pool_statements_total", pool=name) for name in ("main", "replica")] == [3, 4]
    assert [read("pool_errors_total", pool=name, error="other") for name in ("main", "replica")] != [None, None]
    assert read("pool_transactions_total", pool="main", outcome="commit") == 1
    assert read("pool_transactions_total", pool="replica", outcome="released") == 1
    assert (read("pool_statement_seconds_total", pool="replica") or 0) > 0
    assert read("queries_total", operation="select", table="users") == 2


def test_what_may_fail_is_at_0_once_the_pool_is_known(registry: CollectorRegistry) -> None:
    read = scrape(registry)
    for name in ("main", "dbos"):
        assert read("pool_errors_total", pool=name, error="deadlock") == 0
        assert read("pool_statements_total", pool=name) == 0


def test_what_may_fail_is_at_0_for_those_who_subscribe_once_the_engine_is_instrumented() -> None:
    registry = CollectorRegistry()
    with instrument(make_engine(), "shop"), subscribe(CATALOGUE, registry, namespace="x"):
        assert scrape(registry)("pool_errors_total", pool="shop", error="deadlock") == 0


def test_another_librarys_statements_count_by_pool_alone(registry: CollectorRegistry) -> None:
    engine = make_engine()
    with (
        instrument(engine, "dbos", own=False),
        events.database_used.captured() as used,
        events.agent_run(agent_name="writer"),
    ):
        use(engine)
    read = scrape(registry)
    assert read("pool_statements_total", pool="dbos") == 3
    assert read("pool_transactions_total", pool="dbos", outcome="commit") == 1
    assert read("queries_total", operation="select", table="users") is None
    assert read("transactions_total", outcome="commit") == 0
    assert used == []
    with instrument(engine, "dbos", own=False), pytest.raises(ValueError, match="close that handle first"):
        instrument(engine, "dbos")


def test_another_librarys_failing_connects_count_by_pool_alone(registry: CollectorRegistry, tmp_path: Path) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    engine = sa.create_engine("sqlite://", creator=refuse)
    with instrument(engine, "dbos", own=False), pytest.raises(ConnectionRefusedError):
        engine.connect()
    read = scrape(registry)
    assert read("pool_errors_total", pool="dbos", error="connect") == 1
    assert read("errors_total", phase="connect", error="connect") in (None, 0)


def test_callers_of_one_connection_have_each_statement(registry: CollectorRegistry) -> None:
    """A `StaticPool` hands out its only connection to all that ask, and reports one return."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with instrument(engine):
        with engine.connect() as one:
            one.execute(sa.text("select 1"))
            with engine.connect() as other:
                other.execute(sa.text("select 2"))
            one.execute(sa.text("select 3"))
        with engine.connect() as one:
            one.execute(sa.text("select 4"))
    assert scrape(registry)("pool_statements_total", pool="main") == 4


def test_peaks_are_those_since_the_last_scrape(registry: CollectorRegistry) -> None:
    """However often the state is read in between, and by however many subscriptions of a registry."""
    engine = make_engine()
    with instrument(engine) as handle:
        with engine.connect(), engine.connect(), engine.connect():
            handle.read_pool()
        handle.read_pool()
        read = scrape(registry)
        assert read("pool_peak_connections", pool="main") == 3
        assert read("pool_connections", pool="main", state="used") == 0
        assert read("pool_peak_pending_requests", pool="main") == 0
        assert scrape(registry)("pool_peak_connections", pool="main") == 0
        with engine.connect():
            assert scrape(registry)("pool_peak_connections", pool="main") == 1
        assert scrape(registry)("pool_peak_connections", pool="main") == 1
        assert scrape(registry)("pool_peak_connections", pool="main") == 0


def test_the_longest_queue_is_a_peak(registry: CollectorRegistry) -> None:
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.QueuePool, connect_args={"check_same_thread": False}, pool_size=1, max_overflow=0
    )
    with instrument(engine) as handle:
        with engine.connect():
            threads = [threading.Thread(target=lambda: engine.connect().close()) for _ in range(3)]
            for thread in threads:
                thread.start()
            with events.pool_read.captured() as seen:

                def three_wait() -> bool:
                    handle.read_pool()
                    return seen[-1].pending == 3

                wait_until(three_wait)
            time.sleep(0.005)
        for thread in threads:
            thread.join()
        read = scrape(registry)
        assert read("pool_pending_requests", pool="main") == 0
        assert read("pool_peak_pending_requests", pool="main") == 3
        assert scrape(registry)("pool_peak_pending_requests", pool="main") == 0


async def test_callers_that_find_a_connection_stand_in_no_queue(tmp_path: Path, registry: CollectorRegistry) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/test.db", pool_size=5)

    async def select_one() -> None:
        async with engine.connect() as connection:
            await connection.execute(sa.text("select 1"))

    with instrument(engine):
        await asyncio.gather(*(select_one() for _ in range(5)))
        await asyncio.gather(*(select_one() for _ in range(5)))
        read = scrape(registry)
    assert read("pool_peak_connections", pool="main") == 5
    assert read("pool_peak_pending_requests", pool="main") == 0
    await engine.dispose()


def test_a_long_hold_is_logged_with_who_took_it(caplog: pytest.LogCaptureFixture) -> None:
    engine = make_engine()
    with instrument(engine, "shop", hold_seconds=0.0) as handle, events.agent_run(agent_name="writer", run_id="r1"):
        with engine.connect():
            handle.read_pool()
            handle.read_pool()
        held, released = [record.getMessage() for record in caplog.records if record.name == "events.sql"]
    assert held.startswith("long hold: a connection of pool shop has been out for")
    assert released.startswith("long hold: a connection of pool shop was out for")
    for line in (held, released):
        assert line.endswith("scope agent, agent writer, run r1")


def test_a_short_hold_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = make_engine()
    with instrument(engine) as handle, engine.connect():
        handle.read_pool()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": sa.MetaData()}, r"name of instrument\(\) is a text, not MetaData\(\): metadata=\.\.\. comes by name"),
        ({"name": 5}, r"name of instrument\(\) is a text, not 5: as in \"main\""),
        (
            {"slow_seconds": "0.5"},
            r"slow_seconds of instrument\(\) is a number .*, not '0.5': slow_seconds=float",
        ),
        ({"hold_seconds": None}, "hold_seconds of instrument.* not None; math.inf logs nothing"),
        ({"slow_seconds": float("nan")}, "not nan"),
        ({"slow_seconds": True}, "not True"),
    ],
)
def test_an_argument_that_would_lose_events_later_is_refused_at_once(arguments: Any, message: str) -> None:
    engine = make_engine()
    with pytest.raises(TypeError, match=message):
        instrument(engine, **arguments)
    with instrument(engine, "after all"):
        pass
