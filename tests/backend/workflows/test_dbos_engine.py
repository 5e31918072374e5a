"""DBOS works on the studio's engine as it would on its own, and the engine is instrumented."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
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
from tests.support.postgresql import set_default
from tests.support.wait import until

TIMEOUTS = ("idle_in_transaction_session_timeout", "lock_timeout")

REFUSE = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('refusals') % 3 <> 0 THEN RAISE 'refused' USING ERRCODE = '{code}'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON dbos.operation_outputs FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse BEFORE UPDATE ON dbos.workflow_status
    FOR EACH ROW WHEN (NEW.status = 'SUCCESS') EXECUTE FUNCTION refuse();
"""
"""Has every first and second attempt to store a step's or a workflow's end fail: no rollback sets a sequence back."""


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    made = dbos_engine.create(settings.dbos_database_url)
    yield made
    made.dispose()


def configuration_of(engine: sa.Engine) -> dict[str, object]:
    """Return the settings of an engine's pool and of its connections."""
    pool = engine.pool
    assert isinstance(pool, sa.QueuePool)
    found: dict[str, object] = {
        "size": pool.size(),
        "overflow": pool._max_overflow,
        "wait": pool.timeout(),
        "ping": pool._pre_ping,
    }
    with engine.connect() as connection:
        asked: tuple[str, ...]
        if engine.dialect.name == "sqlite":
            driver_connection = connection.connection.dbapi_connection
            found["isolation"] = getattr(driver_connection, "isolation_level", None)
            asked = ("PRAGMA busy_timeout", "PRAGMA foreign_keys")
        else:
            asked = (*(f"SHOW {timeout}" for timeout in TIMEOUTS), "SHOW application_name")
            found["driver"] = engine.driver
        found |= {question: connection.scalar(sa.text(question)) for question in asked}
    return found


def test_the_engine_is_like_the_one_that_dbos_creates_itself(engine: sa.Engine, settings: Settings) -> None:
    """DBOS relies on timeouts and on writers that take turns; its next version may change them.

    But for the time that a transaction may idle: by DBOS's a suspended process would hold up others for a minute.
    """
    config = DatabaseConfig(sys_db_pool_size=5)
    configure_db_engine_parameters(config)
    dbos_database = SystemDatabase.create(
        settings.dbos_database_url, config["sys_db_engine_kwargs"] or {}, None, "dbos", DefaultSerializer(), None
    )
    expected = configuration_of(dbos_database.engine)
    if engine.dialect.name == "postgresql":
        expected["SHOW idle_in_transaction_session_timeout"] = "1500ms"
    assert configuration_of(engine) == expected
    dbos_database.destroy()


@pytest.mark.slow
@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_timeout_in_the_url_stays(timeout: str, new_postgres: Callable[[], str]) -> None:
    address = sa.make_url(new_postgres()).update_query_dict({"options": f"-c {timeout}=7000"})
    engine = dbos_engine.create(address.render_as_string(hide_password=False))
    assert configuration_of(engine)[f"SHOW {timeout}"] == "7s"
    engine.dispose()


@pytest.mark.slow
def test_a_lock_is_waited_for_whatever_the_database_has_as_default(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    set_default(url, "lock_timeout", "1ms")
    engine = dbos_engine.create(url)
    assert configuration_of(engine)["SHOW lock_timeout"] == "0"
    engine.dispose()


def test_a_connection_returned_after_dispose_is_closed(engine: sa.Engine) -> None:
    """DBOS's last threads may end after DBOS: none of their connections is left to the garbage collector."""
    held = engine.connect()
    before = engine.pool
    dbos_engine.dispose(engine)
    record = held.connection._connection_record
    held.close()
    assert record.dbapi_connection is None
    assert before is not engine.pool


def test_errors_do_not_quote_parameters(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as failure:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:given)"), {"given": "a secret prompt"})
    assert "nowhere" in str(failure.value)
    assert "secret" not in str(failure.value)


@pytest.mark.slow
async def test_the_statements_of_the_engine_are_told_from_the_studios_own(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """By pool alone: in the families with tables they would be mixed."""
    with (
        connection_released.captured() as released,
        connection_closed.captured() as closed,
        query_executed.captured() as queries,
        transaction_ended.captured() as transactions,
        database_failed.captured() as failures,
    ):
        async with running_studio(new_settings()) as studio:
            instrument(studio.service.dbos_engine, "dbos", own=False)
            run = await studio.wait_for_end(await studio.submit())
            assert run.status == "completed", run.error
    assert {event.pool for event in released} | {event.pool for event in closed} == {"dbos"}
    told = {(event.engine, event.own) for event in queries} | {(event.pool, event.own) for event in transactions}
    assert told | {(event.pool, event.own) for event in failures} == {("dbos", False)}


@pytest.mark.slow
@pytest.mark.parametrize("code", ["25006", "57014"], ids=["read-only", "statement timeout"])
async def test_the_engine_repeats_what_fails_for_a_reason_that_passes(
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
    code: str,
) -> None:
    """No run is queued again for it, and no workflow stays under way, which would take a place of all processes."""
    url = new_migrated_postgres()
    async with running_studio(new_settings(database_url=url, sweep_interval=0.3)) as studio:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(REFUSE.format(code=code).encode())
            run_id = await studio.submit()
            run = await studio.wait_for_end(run_id)
            assert (run.status, run.requeues) == ("completed", 0), run.error
            assert model.tally.requests == len(run.steps)
            status = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %s"
            await until(lambda: connection.execute(status, [run_id]).fetchone() == ("SUCCESS",))
    recorded.assert_balanced()
