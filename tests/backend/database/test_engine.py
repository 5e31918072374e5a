"""What the studio keeps is kept the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Base, BrandLibrary, Database, DatabaseUnavailable, Run, Usage
from app.database.engine import alembic_config
from app.database.repositories import brands, runs
from app.settings import Settings

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def queue(session: AsyncSession, brand: str = "Acme Audio", **fields: Any) -> Run:
    """Store a queued run."""
    values = {"run_id": str(uuid.uuid4()), "workflow_type": "campaign", "brief": {"product": "earbuds"}} | fields
    return await runs.create(session, brand_id=(await brands.get_or_create(session, brand)).id, **values)


async def save(session: AsyncSession, run_id: str, **fields: Any) -> None:
    """Store a step."""
    values: dict[str, Any] = {
        "position": 0,
        "name": "copywriter",
        "agent_name": "copywriter",
        "status": "success",
        "error": None,
        "output": {"text": "Hear less."},
        "started_at": MOMENT,
        "duration": 1.5,
        "llm_calls": 1,
        "prompt_tokens": 10,
        "completion_tokens": 5,
    }
    await runs.save_step(session, run_id, **(values | fields))


# The schema


async def test_migrations_build_exactly_the_models(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))

    def constraints(connection: Connection) -> set[str | None]:
        found = inspect(connection)
        return {check["name"] for table in Base.metadata.tables for check in found.get_check_constraints(table)}

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(constraints) == {"ck_runs_status", "ck_steps_status"}


async def test_migrations_go_down_and_up_again(database: Database) -> None:
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


async def test_a_cost_from_before_calls_were_priced_is_unknown(database: Database) -> None:
    """The step keeps all else that it had."""

    def to(revision: str, move: Callable[..., None]) -> Callable[[Connection], None]:
        def run(connection: Connection) -> None:
            config = alembic_config()
            config.attributes["connection"] = connection
            move(config, revision)

        return run

    async with database.engine.begin() as connection:
        await connection.run_sync(to("0002", command.downgrade))
    async with database.session() as session:
        run = await queue(session)
        await save(session, run.id, cost=0.0)
        await session.commit()
    async with database.engine.begin() as connection:
        await connection.run_sync(to("head", command.upgrade))
        steps = await connection.execute(text("SELECT run_id, name, prompt_tokens, cost FROM steps"))
        assert steps.all() == [(run.id, "copywriter", 10, None)]


async def test_processes_that_start_at_once_upgrade_once(settings: Settings) -> None:
    several = [Database(settings) for _ in range(4)]
    try:
        await asyncio.gather(*(database.upgrade() for database in several))
        await asyncio.gather(*(database.ping() for database in several))
    finally:
        await asyncio.gather(*(database.close() for database in several))


async def test_upgrade_that_breaks_changes_nothing(settings: Settings) -> None:
    """The schema changes wholly or not at all, so that a mended program can start anew."""
    database = Database(settings)
    try:
        async with database.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE steps (id INTEGER)"))
        with pytest.raises(DatabaseUnavailable, match="already exists"):
            await database.upgrade()
        async with database.engine.connect() as connection:
            assert await connection.run_sync(lambda found: inspect(found).get_table_names()) == ["steps"]
    finally:
        await database.close()


async def test_database_of_a_newer_program_is_left_alone(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnavailable, match=r"newer .*9999.*update the program") as caught:
        await database.upgrade()
    assert "\n" not in str(caught.value)


# A database that cannot be used


@pytest.mark.parametrize(
    ("made", "cause"),
    [
        (lambda place: place.joinpath("taken").write_text("a file"), "taken/studio.db): "),
        (lambda place: place.joinpath("taken/studio.db").mkdir(parents=True), "unable to open database file"),
        (
            lambda place: (place / "taken").mkdir() or (place / "taken/studio.db").write_text("x" * 999),
            "not a database",
        ),
    ],
    ids=["parent is a file", "it is a directory", "not a database"],
)
async def test_unusable_file_is_told_in_one_line(tmp_path: Path, made: Any, cause: str) -> None:
    """The line holds the file, the cause and the way out."""
    made(tmp_path)
    database = Database(Settings(database_url=f"sqlite:///{tmp_path}/taken/studio.db"))
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.upgrade()
    await database.close()
    message = str(caught.value)
    assert message.startswith(f"The database cannot be used (SQLite file {tmp_path}/taken/studio.db): ")
    assert cause in message
    assert message.endswith("make it writable, or set SPARKLIO_DATABASE_URL to another.")
    assert "\n" not in message


@pytest.fixture
def read_only() -> Iterator[Database]:
    """Give a finished database that this process may not write."""
    # Not below pytest's own directory, which only its owner may enter; root writes everywhere, so it steps down.
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "studio.db"
        database = Database(Settings(database_url=f"sqlite:///{file}"))
        asyncio.run(_finish(database))
        file.chmod(0o444)
        Path(place).chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        yield database
        if root:
            os.seteuid(0)
        Path(place).chmod(0o755)


async def _finish(database: Database) -> None:
    await database.upgrade()
    async with database.engine.connect() as connection:
        # What lies in the log beside the file could not be read without writing.
        await connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    await database.close()


def test_read_only_file_is_told(read_only: Database) -> None:
    """A file that can be read and not written would fail at the first run: it fails at start."""

    async def start() -> None:
        try:
            await read_only.upgrade()
        finally:
            await read_only.close()

    with pytest.raises(DatabaseUnavailable, match=r"readonly database; make it writable") as caught:
        asyncio.run(start())
    assert "\n" not in str(caught.value)


async def test_locked_file_is_waited_for(tmp_path: Path) -> None:
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
async def test_unreachable_server_is_told_without_its_password(place: str, free_port: Any) -> None:
    address = place.format(port=free_port())
    database = Database(Settings(database_url=f"postgresql://studio:geheim@{address}/studio"))
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.upgrade()
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    await database.close()
    message = str(caught.value)
    assert message.startswith(f"The database cannot be used (PostgreSQL postgresql+psycopg://studio:***@{address}/")
    assert message.endswith("start or repair the server, or set SPARKLIO_DATABASE_URL to another.")
    assert "geheim" not in message
    assert "\n" not in message


async def test_directories_are_made(tmp_path: Path) -> None:
    database = Database(Settings(data_dir=tmp_path / "not" / "yet"))
    await database.upgrade()
    await database.close()
    assert (tmp_path / "not/yet/studio.db").exists()


async def test_ping_notices_a_file_that_is_gone(tmp_path: Path) -> None:
    """An open file that was deleted still answers queries, and loses what is written."""
    database = Database(Settings(database_url=f"sqlite:///{tmp_path}/studio.db"))
    await database.upgrade()
    await database.ping()
    (tmp_path / "studio.db").unlink()
    with pytest.raises(DatabaseUnavailable, match="gone or read-only"):
        await database.ping()
    await database.close()


async def test_ping_notices_tables_that_are_missing(settings: Settings) -> None:
    database = Database(settings)
    async with database.engine.connect():
        pass
    with pytest.raises(DatabaseUnavailable, match=r"runs"):
        await database.ping()
    await database.close()


# Columns


async def test_moments_come_back_in_utc(database: Database) -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=-7)))
    async with database.session() as session, session.begin():
        run_id = (await queue(session)).id
        assert await runs.begin(session, run_id, elsewhere)
    async with database.session() as session:
        run = await runs.get(session, run_id)
    assert run is not None
    assert run.started_at == MOMENT
    assert run.started_at.tzinfo is UTC
    assert run.queued_at.tzinfo is UTC


async def test_moment_without_zone_is_refused(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue(session)).id
    async with database.session() as session:
        with pytest.raises(Exception, match="no time zone"):
            await runs.begin(session, run_id, datetime(2030, 1, 1))  # noqa: DTZ001 - the promise under test


async def test_any_text_can_be_stored(database: Database) -> None:
    """NULs and lone surrogates come out of models and providers; a run must not fail on them."""
    async with database.session() as session, session.begin():
        run_id = (await queue(session)).id
        await save(session, run_id, error="a\x00b\ud800c", output={"text": "a\x00b\ud800c - 'ü' 🎧"})
    async with database.session() as session:
        step = await runs.step(session, run_id, "copywriter")
    assert step is not None
    assert (step.error, step.output) == ("ab?c", {"text": "a\x00b\ud800c - 'ü' 🎧"})


# Brands


async def test_brand_is_stored_once_when_many_ask_at_once(database: Database) -> None:
    async def ask() -> int:
        async with database.session() as session, session.begin():
            return (await brands.get_or_create(session, "Acme Audio", tone="warm")).id

    assert len(set(await asyncio.gather(*(ask() for _ in range(8))))) == 1
    async with database.session() as session:
        found, total = await brands.page(session, limit=10, offset=0)
    assert ([(brand.name, brand.tone, brand.description) for brand in found], total) == (
        [("Acme Audio", "warm", "")],
        1,
    )


async def test_two_brands_never_share_a_name(database: Database) -> None:
    async with database.session() as session, session.begin():
        await brands.create(session, name="Acme")
        other = await brands.create(session, name="Other")
    async with database.session() as session:
        with pytest.raises(brands.BrandNameTaken, match="'Acme' is there already"):
            await brands.create(session, name="Acme")
    async with database.session() as session:
        found = await brands.get(session, other.id)
        assert found is not None
        with pytest.raises(brands.BrandNameTaken, match="'Acme' is there already"):
            await brands.update(session, found, name="Acme")


async def test_brand_that_has_runs_stays(database: Database) -> None:
    async with database.session() as session, session.begin():
        brand_id = (await queue(session, "Acme")).brand_id
        free = await brands.create(session, name="Free")
    async with database.session() as session:
        found = await brands.get(session, brand_id)
        assert found is not None
        with pytest.raises(brands.BrandInUse, match="'Acme' has runs"):
            await brands.delete(session, found)
    async with database.session() as session, session.begin():
        found = await brands.get(session, free.id)
        assert found is not None
        await brands.delete(session, found)
    async with database.session() as session:
        assert await brands.get(session, free.id) is None
        assert await brands.get(session, brand_id) is not None


# Runs


async def test_only_one_takes_a_run_out_of_the_queue_and_only_one_ends_it(database: Database) -> None:
    """The facts of a run are told by whoever changed its row, so exactly one may be told that he did."""
    async with database.session() as session, session.begin():
        run_id = (await queue(session)).id

    async def begin() -> bool:
        async with database.session() as session, session.begin():
            return await runs.begin(session, run_id, MOMENT)

    async def finish(status: Any) -> bool:
        async with database.session() as session, session.begin():
            return await runs.finish(session, run_id, status, None, {"text": status}, MOMENT)

    assert sorted(await asyncio.gather(*(begin() for _ in range(5)))) == [False] * 4 + [True]
    ends = await asyncio.gather(*(finish(status) for status in ("completed", "failed", "cancelled", "abandoned")))
    assert sorted(ends) == [False] * 3 + [True]
    assert not await begin()
    async with database.session() as session:
        run = await runs.get(session, run_id)
    assert run is not None
    assert run.output == {"text": run.status}
    assert run.finished_at == MOMENT


async def test_key_belongs_to_the_run_that_came_first(database: Database) -> None:
    async def create() -> tuple[str, bool]:
        try:
            async with database.session() as session, session.begin():
                return (await queue(session, idempotency_key="key")).id, True
        except runs.IdempotencyKeyTaken as taken:
            return taken.run.id, False

    told = await asyncio.gather(*(create() for _ in range(6)))
    assert len({run_id for run_id, _ in told}) == 1
    assert sum(new for _, new in told) == 1
    async with database.session() as session:
        first = await runs.get_by_idempotency_key(session, "key")
        assert first is not None
        assert first.brand.name == "Acme Audio"
        assert await runs.get_by_idempotency_key(session, "another") is None
        assert (await runs.page(session, limit=9, offset=0))[1] == 1


async def test_what_both_attempts_of_a_step_spent_is_kept(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue(session)).id
        await save(session, run_id, status="error", error="timed out", output=None, llm_calls=2)
        await save(session, run_id, name="reviewer", position=1, prompt_tokens=100, output=None)
    async with database.session() as session, session.begin():
        await save(session, run_id, duration=0.5, output={"text": "second"})
        assert await runs.usage(session, run_id) == Usage(llm_calls=4, prompt_tokens=120, completion_tokens=15)
        run = await runs.get(session, run_id)
    assert run is not None
    assert [step.name for step in run.steps] == ["copywriter", "reviewer"]
    again = run.steps[0]
    assert (again.status, again.error, again.output, again.duration) == ("success", None, {"text": "second"}, 0.5)
    assert (again.llm_calls, again.prompt_tokens, again.completion_tokens) == (3, 20, 10)
    assert run.usage == Usage(4, 120, 15)


async def test_run_without_steps_has_spent_nothing(database: Database) -> None:
    async with database.session() as session, session.begin():
        run = await queue(session)
        assert await runs.usage(session, run.id) == run.usage == Usage(0, 0, 0)
        assert await runs.step(session, run.id, "copywriter") is None
        assert await runs.get(session, "unknown") is None


async def test_pages_hold_every_run_once_the_latest_first(database: Database) -> None:
    async with database.session() as session, session.begin():
        ids = [(await queue(session, workflow_type=kind)).id for kind in ("campaign", "product_content") * 3]
        await runs.begin(session, ids[0], MOMENT)
        await runs.finish(session, ids[1], "failed", "no", None, MOMENT)
    async with database.session() as session:
        paged = [await runs.page(session, limit=4, offset=offset) for offset in (0, 4, 8)]
        assert [run.id for found, _ in paged for run in found] == ids[::-1]
        assert {total for _, total in paged} == {6}
        failed, total = await runs.page(session, limit=9, offset=0, status="failed", workflow_type="product_content")
        assert ([run.id for run in failed], total) == ([ids[1]], 1)
        assert [run.id for run in await runs.unfinished(session)] == [ids[0], *ids[2:]]


async def test_run_of_a_brand_that_is_not_there_is_refused(database: Database) -> None:
    async with database.session() as session:
        with pytest.raises(Exception, match=r"(?i)foreign key"):
            await runs.create(session, run_id="1", workflow_type="campaign", brand_id=99, brief={})


# What agents look up


async def test_agents_find_facts_and_earlier_copy_of_their_brand(database: Database) -> None:
    library = BrandLibrary(database)
    async with database.session() as session, session.begin():
        await brands.create(session, name="Acme", description="Headphones", tone="dry")
        for number in range(4):
            run = await queue(session, "Acme")
            moment = MOMENT + timedelta(minutes=number)
            await runs.finish(session, run.id, "completed", None, {"text": f"copy {number} " + "x" * 999}, moment)
        failed = await queue(session, "Acme")
        await runs.finish(session, failed.id, "failed", "no", {"text": "half"}, MOMENT + timedelta(hours=1))
        await queue(session, "Other")
    assert await library.brand_facts("Acme") == "About: Headphones\nTone: dry"
    assert [copy[:7] for copy in await library.earlier_copy("Acme")] == ["copy 3 ", "copy 2 "]
    assert max(map(len, await library.earlier_copy("Acme", 9))) <= 300
    assert (await library.brand_facts("Other"), await library.earlier_copy("Other")) == ("", [])
    assert (await library.brand_facts("Unknown"), await library.earlier_copy("Unknown")) == ("", [])


async def test_cancelled_query_gives_its_connection_back(database: Database) -> None:
    """Cancelling a run cancels whatever its task waits for; the pool must not lose a place each time."""
    async with database.session() as session, session.begin():
        await queue(session)

    async def ask() -> None:
        async with database.session() as session:
            await runs.page(session, limit=5, offset=0)

    for _ in range(20):
        asking = [asyncio.create_task(ask()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    await ask()
    pool: Any = database.engine.pool
    assert pool.checkedout() == 0


async def test_what_fails_does_not_quote_what_it_was_given(database: Database) -> None:
    """The server logs what nobody handles, whole."""
    with pytest.raises(DBAPIError) as failure:
        async with database.session() as session:
            await session.execute(text("INSERT INTO nowhere VALUES (:told)"), {"told": "a secret prompt"})
    assert "nowhere" in str(failure.value)
    assert "secret" not in str(failure.value)
