"""The schema's history, by alembic; it travels inside the package."""
