"""Sessions of PostgreSQL are set to what the studio is written for, whatever the database has as default."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.settings import Settings
from app.workflows import dbos_engine
from app.workflows.leases import Lease
from tests.support.postgresql import set_default

pytestmark = pytest.mark.slow

LEVEL = sa.text("SHOW transaction_isolation")


async def level_of(session: AsyncSession) -> object:
    async with session:
        return (await session.execute(LEVEL)).scalar_one()


async def test_every_session_is_of_read_committed(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    set_default(url, "default_transaction_isolation", "serializable")
    database, engine = Database(Settings(database_url=url)), dbos_engine.create(url)
    lease = Lease(sa.make_url(url).set(drivername="postgresql+psycopg"), 15.0)
    try:
        in_turn = (database.session, database.reading, database.session)  # on one connection
        levels = [await level_of(open_session()) for open_session in in_turn]
        for options in ({}, {"isolation_level": "AUTOCOMMIT"}, {}):
            with engine.connect().execution_options(**options) as connection:
                levels.append(connection.scalar(LEVEL))
        with lease._connect() as connection_of_lease:
            levels.extend(connection_of_lease.execute("SHOW transaction_isolation").fetchone() or ())
        assert levels == ["read committed"] * 7
    finally:
        dbos_engine.dispose(engine)
        await database.close()
