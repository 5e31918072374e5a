"""The Alembic migrations of the schema, shipped inside the package, and how they are applied at the start."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def alembic_config() -> Config:
    """Return Alembic's configuration, which needs no file."""
    config = Config()
    config.set_main_option("script_location", "app.database:migrations")
    return config


def upgrade_to_head(connection: Connection) -> None:
    """Run the migrations that the schema lacks, in the transaction of the connection."""
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
