"""A real PostgreSQL for the tests of bridges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.support.postgresql import postgresql_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.URL]:
    """Return the address of a server's empty database, through psycopg."""
    with postgresql_server() as address:
        yield address
