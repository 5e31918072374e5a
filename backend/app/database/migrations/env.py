"""How alembic reaches the database: over the connection that it is handed, or one of its own from the command line."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection

from app.database.engine import Database
from app.database.models import Base
from app.settings import load_settings


def _run(connection: Connection) -> None:
    # Batches: SQLite changes a table by copying it.
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


async def _run_alone() -> None:
    database = Database(load_settings())
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(_run)
    finally:
        await database.close()


handed: Connection | None = context.config.attributes.get("connection")
if handed is not None:
    _run(handed)
else:
    asyncio.run(_run_alone())
