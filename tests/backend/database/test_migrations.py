"""The migrations create the tables of the models, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from app.database import Base, Database, DatabaseUnavailable
from app.database.migrations import alembic_config
from app.settings import Settings
from tests.backend.database.rows import queue_run, save_step


async def test_the_migrations_create_exactly_the_models(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))

    def constraints(connection: Connection) -> set[str | None]:
        rows = inspect(connection)
        return {check["name"] for table in Base.metadata.tables for check in rows.get_check_constraints(table)}

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(constraints) == {"ck_runs_status", "ck_steps_status"}


@pytest.mark.slow
async def test_the_migrations_can_be_downgraded_and_upgraded_again(database: Database) -> None:
    def there_and_back(connection: Connection) -> list[str]:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        left = inspect(connection).get_table_names()
        command.upgrade(config, "head")
        return left

    async with database.engine.begin() as connection:
        assert await connection.run_sync(there_and_back) == ["alembic_version"]
    await database.upgrade()
    await database.ping()


ROWS_OF_0002 = (  # not by the models, which are those of the last revision
    "INSERT INTO brands (id, name, description, audience, tone, created_at)"
    " VALUES (1, 'Acme Audio', '', '', '', '2030-01-02 03:04:05')",
    "INSERT INTO runs (id, workflow_type, brand_id, brief, status, queued_at)"
    " VALUES ('one', 'campaign', 1, '{}', 'queued', '2030-01-02 03:04:05')",
    "INSERT INTO steps (run_id, position, name, agent_name, status, started_at, duration, llm_calls, prompt_tokens,"
    " completion_tokens, cost) VALUES ('one', 0, 'copywriter', 'copywriter', 'success', '2030-01-02 03:04:05', 1.5, 1,"
    " 10, 5, 0)",
)


@pytest.mark.slow
async def test_a_cost_from_before_calls_were_priced_is_unknown(database: Database) -> None:
    """All other columns of the step stay."""

    def to(revision: str, move: Callable[..., None]) -> Callable[[Connection], None]:
        def run(connection: Connection) -> None:
            config = alembic_config()
            config.attributes["connection"] = connection
            move(config, revision)

        return run

    async with database.engine.begin() as connection:
        await connection.run_sync(to("0002", command.downgrade))
    async with database.engine.begin() as connection:
        for statement in ROWS_OF_0002:
            await connection.execute(text(statement))
    async with database.engine.begin() as connection:
        await connection.run_sync(to("head", command.upgrade))
        steps = await connection.execute(text("SELECT run_id, name, prompt_tokens, cost FROM steps"))
        assert steps.all() == [("one", "copywriter", 10, None)]


@pytest.mark.slow
async def test_the_table_of_the_audit_trail_is_added_to_a_database_with_runs(database: Database) -> None:
    def move(revision: str) -> Callable[[Connection], None]:
        def run(connection: Connection) -> None:
            config = alembic_config()
            config.attributes["connection"] = connection
            (command.downgrade if revision == "0005" else command.upgrade)(config, revision)

        return run

    async with database.session() as session, session.begin():
        run = await queue_run(session)
        await save_step(session, run.id)
    async with database.engine.begin() as connection:
        await connection.run_sync(move("0005"))
        assert "audit_events" not in await connection.run_sync(lambda rows: inspect(rows).get_table_names())
    await database.upgrade()
    async with database.engine.connect() as connection:
        indexes = await connection.run_sync(lambda rows: inspect(rows).get_indexes("audit_events"))
        assert [index["column_names"] for index in sorted(indexes, key=lambda index: str(index["name"]))] == [
            ["run_id"],
            ["time"],
        ]
        steps = await connection.execute(text("SELECT run_id, prompt_tokens FROM steps"))
        assert steps.all() == [(run.id, 10)]
        assert (await connection.execute(text("SELECT * FROM audit_events"))).all() == []


async def test_processes_that_start_at_the_same_time_upgrade_once(settings: Settings) -> None:
    several = [Database(settings) for _ in range(4)]
    try:
        await asyncio.gather(*(database.upgrade() for database in several))
        await asyncio.gather(*(database.ping() for database in several))
    finally:
        await asyncio.gather(*(database.close() for database in several))


async def test_an_upgrade_that_fails_changes_nothing(settings: Settings) -> None:
    """All migrations are one transaction, so that a corrected program can start again."""
    database = Database(settings)
    try:
        async with database.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE steps (id INTEGER)"))
        with pytest.raises(DatabaseUnavailable, match="already exists"):
            await database.upgrade()
        async with database.engine.connect() as connection:
            assert await connection.run_sync(lambda rows: inspect(rows).get_table_names()) == ["steps"]
    finally:
        await database.close()


async def test_the_database_of_a_newer_program_is_left_alone(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnavailable, match=r"newer .*9999.*update the program") as caught:
        await database.upgrade()
    assert "\n" not in str(caught.value)
