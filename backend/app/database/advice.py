"""The advice on a database that cannot be used, by the message of SQLite, PostgreSQL or libpq."""

from __future__ import annotations

import re

from sqlalchemy.exc import DBAPIError

# What to do about the message of SQLite, where it is not to make the file writable.
_SQLITE_ADVICE = (
    (r"(database is locked|another process holds its lock)$", "end the other process that uses it"),
    (r"not a database|malformed|no such (table|column)", "restore it from a backup, or move it away"),
)

# What the server, and libpq, say of a connection that is refused: psycopg has no code for it.
_REFUSALS = (
    (r"database .* does not exist", "create the database, as by createdb, with the user as its owner"),
    (r"(relation|column) .* does not exist", "restore it from a backup"),
    (r"role .* does not exist", "create the user, as by createuser"),
    (r"password authentication failed|no password supplied|pg_hba\.conf", "check user, password and pg_hba.conf"),
    (r"permission denied", "grant the user CREATE on the database and on its schema public"),
    (
        r"too many (clients|connections)|connection slots",
        "raise max_connections of the server, or lower SPARKLIO_WORKERS",
    ),
)


def advice_for_sqlite(cause: str) -> str:
    """Return what to do about a message of SQLite."""
    return next((advice for said, advice in _SQLITE_ADVICE if re.search(said, cause)), "make it writable")


def advice_for_postgresql(cause: str) -> str:
    """Return what to do about the message of a server that refuses a connection or a statement."""
    return next((advice for said, advice in _REFUSALS if re.search(said, cause)), "start or repair the server")


def error_line(error: Exception) -> str:
    """Return the first line of the driver's own message: SQLAlchemy's quotes the statement and its parameters."""
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror} ({cause.filename})" if cause.filename else cause.strerror
    if isinstance(cause, TimeoutError):
        return "another process holds its lock"
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return lines[0].rstrip(".;")
