"""The URLs of databases that the settings take, and the drivers that are chosen for them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "sqlite+pysqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg",
}
_DATABASE_FORMS = "sqlite:///path/to/file.db or postgresql://user:password@host:5432/name"


def parse_database_url(text: str) -> URL:
    """Return a URL with the driver that the studio uses.

    Raises:
        ValueError: It is none, or one of a database that the studio cannot use; the message says what to give.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"not a database URL; give {_DATABASE_FORMS}") from None
    if "@" in (url.host or ""):
        raise ValueError("the password has an @ in it, or the host; write %40 for each in the password")
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError(f"{url.drivername} is not supported; give {_DATABASE_FORMS}")
    if driver.startswith("postgresql"):
        if not url.database:
            raise ValueError("the name of the database is missing; give postgresql://user:password@host:5432/name")
        return url.set(drivername=driver)
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("SQLite needs a file, so that runs outlive the process; give sqlite:///path/to/file.db")
    return url.set(drivername=driver, database=str(Path(url.database).expanduser()))
