"""Why a database failed, by SQLSTATE where the driver has one, and in which phase: both closed sets."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import ExceptionContext

from ...database import DatabaseError, Phase
from .connection_state import ConnectionState

# Class 23 is integrity whatever the rest, and so on (SQL:2016 table 38; PostgreSQL's manual, appendix A).
_REASON_BY_SQLSTATE: dict[str, DatabaseError] = {
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
_REASON_BY_SQLSTATE_CLASS: dict[str, DatabaseError] = {
    "08": "disconnect",
    "22": "data",
    "23": "integrity",
    "28": "permission",
    "3D": "connect",
    "42": "syntax",
}
_QUERY_CANCELLED = "57014"

# https://www.sqlite.org/rescode.html, the primary codes.
_REASON_BY_SQLITE_CODE: dict[int, DatabaseError] = {
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

# MySQL's and MariaDB's error numbers: the first argument of the exception.
_REASON_BY_MYSQL_NUMBER: dict[int, DatabaseError] = {
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

# By the exceptions of PEP 249, where the driver says nothing more exact.
_REASON_BY_EXCEPTION: dict[str, DatabaseError] = {
    "IntegrityError": "integrity",
    "DataError": "data",
    "ProgrammingError": "syntax",
}


def error_reason(error: BaseException, phase: Phase, *, disconnected: bool) -> DatabaseError:
    """Return why something failed, by the driver's own exception."""
    if not isinstance(error, Exception):
        return "cancelled"
    exact = _reason_by_sqlstate(error) or _reason_by_number(error)
    if exact is not None:
        return exact
    if phase == "connect":
        return "connect"
    if disconnected:
        return "disconnect"
    for parent in type(error).__mro__:
        if parent.__name__ in _REASON_BY_EXCEPTION:
            return _REASON_BY_EXCEPTION[parent.__name__]
    return "other"


def _reason_by_sqlstate(error: Exception) -> DatabaseError | None:
    """Return the reason by SQLSTATE, as psycopg, psycopg2 and asyncpg name it."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not isinstance(state, str):
        return None
    if state == _QUERY_CANCELLED:
        # One code for both. A server that speaks another language says neither, and most are time limits.
        return "cancelled" if "user request" in str(error) else "statement_timeout"
    return _REASON_BY_SQLSTATE.get(state) or _REASON_BY_SQLSTATE_CLASS.get(state[:2])


def _reason_by_number(error: Exception) -> DatabaseError | None:
    """Return the reason by the error number of SQLite and of MySQL."""
    number = getattr(error, "sqlite_errorcode", None)
    if isinstance(number, int):
        return _REASON_BY_SQLITE_CODE.get(number & 0xFF)
    first = error.args[0] if error.args else None
    return _REASON_BY_MYSQL_NUMBER.get(first) if type(first) is int else None


def phase_of_failure(failure: ExceptionContext, state: ConnectionState | None, *, answered: bool) -> Phase:
    """Return what was being done when it failed; ``answered`` unless a statement was sent and got no answer."""
    if failure.is_pre_ping:
        return "ping"
    context = failure.execution_context
    # A lost connection is opened anew by whatever is asked next, which fails without having been sent.
    if failure.connection is None or (context is None and failure.connection.invalidated):
        return "connect"
    if context is not None:
        if not answered:
            return "execute"
        return "fetch" if _was_executed(context.cursor) else "compile"
    if failure.statement is not None:
        return "compile"
    phase: Phase = "execute"  # BEGIN, on drivers that send it
    if state is not None and state.failed_phase is not None:
        phase, state.failed_phase = state.failed_phase, None
    return phase


def _was_executed(cursor: Any) -> bool:
    """Return whether a statement was executed with a cursor; a mark would cost every statement its time."""
    try:
        return cursor.description is not None or cursor.rowcount >= 0
    except Exception:
        return False
