"""The database: one-line errors, waiting for locks, and no lost connections."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.database import Base, Database, DatabaseUnavailable
from app.database.advice import advice_for_postgresql
from app.database.repositories import brands, runs
from app.settings import Settings
from tests.backend.database.rows import queue_run
from tests.support.users import as_nobody


@pytest.mark.parametrize(
    ("made", "cause", "advice"),
    [
        (lambda place: place.joinpath("taken").write_text("a file"), "taken/studio.db): ", "make it writable"),
        (
            lambda place: place.joinpath("taken/studio.db").mkdir(parents=True),
            "unable to open database file",
            "make it writable",
        ),
        (
            lambda place: (place / "taken").mkdir() or (place / "taken/studio.db").write_text("x" * 999),
            "not a database",
            "restore it from a backup, or move it away",
        ),
    ],
    ids=["parent is a file", "it is a directory", "not a database"],
)
async def test_the_error_of_an_unusable_file_is_one_line(tmp_path: Path, made: Any, cause: str, advice: str) -> None:
    """It names the file, the cause and what to do."""
    made(tmp_path)
    database = Database(Settings(database_url=f"sqlite:///{tmp_path}/taken/studio.db"))
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.upgrade()
    await database.close()
    message = str(caught.value)
    assert message.startswith(f"The database cannot be used (SQLite file {tmp_path}/taken/studio.db): ")
    assert cause in message
    assert message.endswith(f"; {advice}, or set SPARKLIO_DATABASE_URL to another.")
    assert "\n" not in message


@pytest.fixture
def read_only() -> Iterator[Database]:
    """A migrated database that nobody but root may write."""
    # Not below pytest's own directory, which only its owner may enter.
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "studio.db"
        database = Database(Settings(database_url=f"sqlite:///{file}"))
        asyncio.run(_finish(database))
        file.chmod(0o444)
        Path(place).chmod(0o555)
        yield database
        Path(place).chmod(0o755)


async def _finish(database: Database) -> None:
    await database.upgrade()
    async with database.engine.connect() as connection:
        # The write-ahead log could not be read without writing.
        await connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    await database.close()


def test_a_read_only_file_is_an_error_at_the_start(read_only: Database) -> None:
    """Otherwise the first run would fail."""

    async def start() -> None:
        try:
            await read_only.upgrade()
        finally:
            await read_only.close()

    with as_nobody(), pytest.raises(DatabaseUnavailable, match=r"readonly database; make it writable") as caught:
        asyncio.run(start())
    assert "\n" not in str(caught.value)


@pytest.mark.slow
async def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    database = Database(Settings(database_url=f"sqlite:///{tmp_path}/studio.db"))
    await database.upgrade()
    other = sqlite3.connect(tmp_path / "studio.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    storing = asyncio.create_task(_store_brand(database))
    done, _ = await asyncio.wait([storing], timeout=0.3)
    assert not done
    other.execute("COMMIT")
    other.close()
    await storing
    await database.close()


async def _store_brand(database: Database) -> None:
    async with database.session() as session, session.begin():
        await brands.create(session, name="Acme")


@pytest.mark.parametrize("place", ["127.0.0.1:{port}", "nowhere.invalid:5432"])
async def test_the_error_of_an_unreachable_server_has_no_password(place: str, free_port: Any) -> None:
    address = place.format(port=free_port())
    database = Database(Settings(database_url=f"postgresql://studio:geheim@{address}/studio"))
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.upgrade()
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    await database.close()
    message = str(caught.value)
    assert message.startswith(f"The database cannot be used (PostgreSQL database studio at {address}): ")
    assert message.endswith("start or repair the server, or set SPARKLIO_DATABASE_URL to another.")
    assert "geheim" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        ('connection failed: FATAL:  database "studio" does not exist', "create the database"),
        ('connection failed: FATAL:  role "studio" does not exist', "create the user"),
        ('FATAL:  password authentication failed for user "studio"', "check user, password"),
        ("connection failed: fe_sendauth: no password supplied", "check user, password"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "check user, password"),
        ("permission denied for schema public", "grant the user CREATE"),
        ("FATAL:  sorry, too many clients already", "raise max_connections"),
        ("Connection refused", "start or repair the server"),
    ],
)
def test_the_advice_fits_what_the_server_says(cause: str, advice: str) -> None:
    assert advice_for_postgresql(cause).startswith(advice)


@pytest.mark.parametrize("cause", ["database is locked", "another process holds its lock"])
def test_the_error_of_a_locked_file_says_to_end_who_locks_it(tmp_path: Path, cause: str) -> None:
    database = Database(Settings(data_dir=tmp_path))
    assert "; end the other process that uses it, or set" in str(database._unavailable(cause))


async def test_missing_directories_are_created(tmp_path: Path) -> None:
    database = Database(Settings(data_dir=tmp_path / "not" / "yet"))
    await database.upgrade()
    await database.close()
    assert (tmp_path / "not/yet/studio.db").exists()


async def test_ping_detects_a_deleted_file(tmp_path: Path) -> None:
    """SQLite goes on answering from an open file that was deleted, and what is written is lost."""
    database = Database(Settings(database_url=f"sqlite:///{tmp_path}/studio.db"))
    await database.upgrade()
    await database.ping()
    (tmp_path / "studio.db").unlink()
    with pytest.raises(DatabaseUnavailable, match="the file is gone; put it back, or restart the studio"):
        await database.ping()
    await database.close()


@pytest.mark.parametrize("engine_file_is_there", [True, False])
async def test_a_start_without_its_file_beside_that_of_the_workflow_engine_is_warned_of(
    engine_file_is_there: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/studio.db")
    assert settings.workflows_file is not None
    if engine_file_is_there:
        settings.workflows_file.touch()
    for _ in range(2):
        database = Database(settings)
        await database.upgrade()
        await database.close()
    warned = [message for message in caplog.messages if "is gone and begins empty" in message]
    assert len(warned) == engine_file_is_there


@pytest.mark.parametrize("table", sorted({*Base.metadata.tables} - {"audit_events"}))
async def test_a_lost_table_is_found_by_the_ping_and_at_the_start(table: str, settings: Settings) -> None:
    """The migrations have made it once, and make it no second time."""
    database = Database(settings)
    await database.upgrade()
    await database.ping()
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql(f"DROP TABLE {table}{'' if settings.sqlite_file else ' CASCADE'}")
    for use in (database.ping, database.upgrade):
        with pytest.raises(DatabaseUnavailable, match=rf"\b{table}\b.*; restore it from a backup"):
            await use()
    await database.close()


async def test_ping_detects_missing_tables(settings: Settings) -> None:
    database = Database(settings)
    async with database.engine.connect():
        pass
    with pytest.raises(DatabaseUnavailable, match=r"runs"):
        await database.ping()
    await database.close()


@pytest.mark.slow
async def test_a_cancelled_query_returns_its_connection_to_the_pool(database: Database) -> None:
    """Cancelling a run cancels whatever its task awaits; the pool must not lose a connection each time."""
    async with database.session() as session, session.begin():
        await queue_run(session)

    async def ask() -> None:
        async with database.session() as session:
            await runs.list_page(session, limit=5, offset=0)

    for _ in range(20):
        asking = [asyncio.create_task(ask()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    await ask()
    pool: Any = database.engine.pool
    assert pool.checkedout() == 0


async def test_errors_do_not_quote_parameters(database: Database) -> None:
    """The server logs unhandled errors whole."""
    with pytest.raises(DBAPIError) as failure:
        async with database.session() as session:
            await session.execute(text("INSERT INTO nowhere VALUES (:given)"), {"given": "a secret prompt"})
    assert "nowhere" in str(failure.value)
    assert "secret" not in str(failure.value)
