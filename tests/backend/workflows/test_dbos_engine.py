"""DBOS works on an engine of the studio's: as it would on its own, and seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from dbos._dbos_config import DatabaseConfig, configure_db_engine_parameters
from dbos._serialization import DefaultSerializer
from dbos._sys_db import SystemDatabase

from app.settings import Settings
from app.workflows import dbos_engine
from events import connection_closed, connection_released, database_failed, query_executed, transaction_ended
from events.bridges.sqlalchemy import instrument
from tests.support.in_process_studio import NewSettings, RecordedEvents, running_studio
from tests.support.openai_server import OpenAIServer


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    made = dbos_engine.create(settings.dbos_database_url)
    yield made
    made.dispose()


def set_up_of(engine: sa.Engine) -> dict[str, object]:
    """Read what is particular about an engine and its connections."""
    pool = engine.pool
    assert isinstance(pool, sa.QueuePool)
    found: dict[str, object] = {
        "size": pool.size(),
        "overflow": pool._max_overflow,
        "wait": pool.timeout(),
        "ping": pool._pre_ping,
    }
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            driver_s = connection.connection.dbapi_connection
            found["isolation"] = getattr(driver_s, "isolation_level", None)
            asked = ("PRAGMA busy_timeout", "PRAGMA foreign_keys")
        else:
            asked = ("SHOW idle_in_transaction_session_timeout", "SHOW application_name")
            found["driver"] = engine.driver
        found |= {question: connection.scalar(sa.text(question)) for question in asked}
    return found


def test_it_is_as_the_one_that_dbos_makes_itself(engine: sa.Engine, settings: Settings) -> None:
    """Writers that take turns, time limits: what DBOS relies on, also in its next version."""
    config = DatabaseConfig(sys_db_pool_size=5)
    configure_db_engine_parameters(config)
    theirs = SystemDatabase.create(
        settings.dbos_database_url, config["sys_db_engine_kwargs"] or {}, None, "dbos", DefaultSerializer(), None
    )
    assert set_up_of(engine) == set_up_of(theirs.engine)
    theirs.destroy()


@pytest.mark.slow
def test_a_time_limit_in_the_address_stays(new_postgres: Callable[[], str]) -> None:
    address = sa.make_url(new_postgres()).update_query_dict({"options": "-c idle_in_transaction_session_timeout=7000"})
    engine = dbos_engine.create(address.render_as_string(hide_password=False))
    assert set_up_of(engine)["SHOW idle_in_transaction_session_timeout"] == "7s"
    engine.dispose()


def test_what_comes_back_after_its_end_is_closed(engine: sa.Engine) -> None:
    """DBOS's last threads may be a little later than DBOS: nothing of theirs is left to the garbage collector."""
    held = engine.connect()
    before = engine.pool
    dbos_engine.dispose(engine)
    record = held.connection._connection_record
    held.close()
    assert record.dbapi_connection is None
    assert before is not engine.pool


def test_what_fails_does_not_quote_what_it_was_given(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as failure:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:given)"), {"given": "a secret prompt"})
    assert "nowhere" in str(failure.value)
    assert "secret" not in str(failure.value)


async def test_its_pool_is_told_by_name_and_its_statements_are_not(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """They would stand among the studio's own, which have no label that tells the two apart."""
    with (
        connection_released.captured() as released,
        connection_closed.captured() as closed,
        query_executed.captured() as queries,
        transaction_ended.captured() as transactions,
        database_failed.captured() as failures,
    ):
        async with running_studio(new_settings()) as studio:
            instrument(studio.service.dbos_engine, "dbos", statements=False)
            run = await studio.wait_for_end(await studio.submit())
            assert run.status == "completed", run.error
    assert {(event.pool, event.idle) for event in released} == {("dbos", None)}
    assert {event.pool for event in closed} == {"dbos"}
    assert [*queries, *transactions, *failures] == []
