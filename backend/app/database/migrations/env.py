"""Alembic's environment: it uses the connection in its configuration, or, on the command line, one of its own."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection

from app.database.engine import Database
from app.database.models import Base
from app.settings_loading import load_settings


def _run(connection: Connection) -> None:
    # Batch mode: SQLite alters a table by copying it.
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


async def _run_from_command_line() -> None:
    database = Database(load_settings())
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(_run)
    finally:
        await database.close()


configured: Connection | None = context.config.attributes.get("connection")
if configured is not None:
    _run(configured)
else:
    asyncio.run(_run_from_command_line())
