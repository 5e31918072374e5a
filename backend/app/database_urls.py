"""The URLs of databases that the settings take, the drivers that are chosen for them, and what may be told of them."""

from __future__ import annotations

import re
from collections.abc import Collection
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
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS: those whose values are no secrets
_PUBLIC_PARAMETERS = frozenset(
    {"application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname", "gssencmode", "host"}
    | {"hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "port", "sslmode"}
    | {"target_session_attrs", "tcp_user_timeout", "user"}
)
_MIN_WORD = 3  # characters; what is shorter says nothing
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
    if any("=" not in part for part in text.partition("?")[2].split("&") if part):
        raise ValueError("what follows the ? is not name=value; write %3F for a ? in the password")
    if "@" in (url.host or ""):
        raise ValueError("the password has an @ in it, or the host; write %40 for each in the password")
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError(f"{url.drivername} is not supported; give {_DATABASE_FORMS}")
    if driver.startswith("postgresql"):
        if not url.database:
            raise ValueError("the name of the database is missing; give postgresql://user:password@host:5432/name")
        if "@" in url.database:
            raise ValueError(
                "the user, the password or the name has an @ or a / in it; write %40 and %2F in the first two"
            )
        return url.set(drivername=driver)
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("SQLite needs a file, so that runs outlive the process; give sqlite:///path/to/file.db")
    return url.set(drivername=driver, database=str(Path(url.database).expanduser()))


def describe_database(url: URL) -> str:
    """Return where a database is: its file, or its server's hosts and ports and its name, and nothing else."""
    if url.get_backend_name() == "sqlite":
        return f"SQLite file {url.database}"
    given = url.normalized_query
    hosts = ",".join(given.get("host") or given.get("hostaddr") or ()) or url.host or "localhost"
    ports = ",".join(given.get("port", ())) or str(url.port or "")
    return f"PostgreSQL database {url.database} at {hosts}{':' if ports else ''}{ports}"


def without_secrets(text: str, url: URL) -> str:
    """Return a text, such as a driver's of an error, with ``***`` for all that may be a secret in a database's URL.

    Those are the password, and the values of all parameters that are not known to be public, also word by word:
    PostgreSQL quotes a faulty word of ``options``.
    """
    secrets = [str(url.password)] if url.password else []
    for name, values in url.normalized_query.items():
        if name not in _PUBLIC_PARAMETERS:
            secrets += values
    return _masked(text, secrets)


def _masked(text: str, secrets: Collection[str]) -> str:
    words = {word for secret in secrets for word in re.split(r"[\s=,;:'\"\\]+", secret) if len(word) >= _MIN_WORD}
    longest_first = sorted({*words, *filter(None, secrets)}, key=len, reverse=True)
    if not longest_first:
        return text
    return re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", "***", text)
