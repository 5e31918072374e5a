"""INSERT ... ON CONFLICT in the dialect of the database in use: SQLite and PostgreSQL each have a construct for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession


def insert_into(session: AsyncSession, table: Any) -> sqlite.Insert | postgresql.Insert:
    """Return an insert whose ``on_conflict_...`` methods work on the session's database."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
