"""Why a database failed, from SQLSTATE where the driver tells one, and what it was doing: both closed sets."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import ExceptionContext

from ...database import DatabaseError, Phase
from .connection_state import Kept

# Class 23 is integrity whatever the rest, and so on (SQL:2016 table 38; PostgreSQL's manual, appendix A).
_STATES: dict[str, DatabaseError] = {
    "40P01": "deadlock",
    "40001": "serialization",
    "55P03": "lock_timeout",
    "42501": "permission",
    "25006": "permission",
    "53300": "connect",
    "25P03": "disconnect",
    "57P01": "disconnect",
    "57P02": "disconnect",
    "57P03": "connect",
    "57P05": "disconnect",
}
_CLASSES: dict[str, DatabaseError] = {
    "08": "disconnect",
    "22": "data",
    "23": "integrity",
    "28": "permission",
    "3D": "connect",
    "42": "syntax",
}
_QUERY_CANCELLED = "57014"

# https://www.sqlite.org/rescode.html, the primary codes.
_SQLITE: dict[int, DatabaseError] = {
    1: "syntax",
    3: "permission",
    5: "lock_timeout",
    6: "lock_timeout",
    8: "permission",
    9: "cancelled",
    14: "connect",
    18: "data",
    19: "integrity",
    20: "data",
    23: "permission",
    25: "data",
}

# MySQL and MariaDB give an error number first.
_MYSQL: dict[int, DatabaseError] = {
    1044: "permission",
    1045: "permission",
    1142: "permission",
    1205: "lock_timeout",
    1213: "deadlock",
    1317: "cancelled",
    1969: "statement_timeout",
    2006: "disconnect",
    2013: "disconnect",
    3024: "statement_timeout",
}

# What DBAPI (PEP 249) calls it, where nothing more exact is told.
_NAMES: dict[str, DatabaseError] = {"IntegrityError": "integrity", "DataError": "data", "ProgrammingError": "syntax"}


def reason_of(error: BaseException, phase: Phase, *, disconnected: bool) -> DatabaseError:
    """Name why something failed, by the driver's own exception."""
    if not isinstance(error, Exception):
        return "cancelled"
    exact = by_state(error) or by_number(error)
    if exact is not None:
        return exact
    if phase == "connect":
        return "connect"
    if disconnected:
        return "disconnect"
    for parent in type(error).__mro__:
        if parent.__name__ in _NAMES:
            return _NAMES[parent.__name__]
    return "other"


def by_state(error: Exception) -> DatabaseError | None:
    """Read SQLSTATE, as psycopg, psycopg2 and asyncpg name it."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not isinstance(state, str):
        return None
    if state == _QUERY_CANCELLED:
        # One code for both; a server of another language says neither, and most are time limits.
        return "cancelled" if "user request" in str(error) else "statement_timeout"
    return _STATES.get(state) or _CLASSES.get(state[:2])


def by_number(error: Exception) -> DatabaseError | None:
    """Read the error number of SQLite and of MySQL."""
    number = getattr(error, "sqlite_errorcode", None)
    if isinstance(number, int):
        return _SQLITE.get(number & 0xFF)
    first = error.args[0] if error.args else None
    return _MYSQL.get(first) if type(first) is int else None


def phase_of(failure: ExceptionContext, kept: Kept | None, *, answered: bool) -> Phase:
    """Name what was being done when it failed."""
    if failure.is_pre_ping:
        return "ping"
    context = failure.execution_context
    # A connection that was lost is made anew by whatever asks next, which then fails without having been sent.
    if failure.connection is None or (context is None and failure.connection.invalidated):
        return "connect"
    if context is not None:
        if not answered:
            return "execute"
        return "fetch" if is_answered(context.cursor) else "compile"
    if failure.statement is not None:
        return "compile"
    ending: Phase = "execute"  # BEGIN, on drivers that send it
    if kept is not None and kept.failed_in is not None:
        ending, kept.failed_in = kept.failed_in, None
    return ending


def is_answered(cursor: Any) -> bool:
    """Tell whether a statement was executed with a cursor; no mark is left where each statement would pay for it."""
    try:
        return cursor.description is not None or cursor.rowcount >= 0
    except Exception:
        return False
