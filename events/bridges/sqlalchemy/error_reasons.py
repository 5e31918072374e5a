"""Why a database failed, by the codes that servers and drivers have for it, and in which phase: both closed sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ...database import DatabaseError, Phase
from .connection_state import ConnectionState
from .error_codes import (
    BY_CLASS,
    BY_MYSQL_NUMBER,
    BY_ORACLE_DRIVER_NUMBER,
    BY_ORACLE_NUMBER,
    BY_SQL_SERVER_NUMBER,
    BY_SQLITE_CODE,
    BY_SQLSTATE,
)

_MOST_CAUSES = 10
_QUERY_CANCELLED = "57014"
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_WITHOUT_MEANING = frozenset({"HY", "S1"})  # the classes of "general error"
_ODBC_NUMBER = re.compile(r"\((-?\d+)\)(?= \(SQL\w+\)|; \[|$)")
_ODBC_OF_MYSQL = re.compile(r"\[ma-|\[mysql|MariaDB|MySQL")
# What has no code: libpq's refused connections, DuckDB's transactions, and mssql-python, which has a text for each
# SQLSTATE. All but PostgreSQL's are always English.
# fmt: off
_REASON_BY_TEXT: tuple[tuple[re.Pattern[str], DatabaseError], ...] = (
    (re.compile(r"FATAL: .*(authentication failed|pg_hba\.conf|not permitted to log in|role .* does not exist)"
                r"|no password supplied"), "permission"),
    (re.compile(r"attached in read-only mode"), "permission"),
    (re.compile(r"TransactionContext Error: .*constraint viol"), "integrity"),
    (re.compile(r"TransactionContext Error: .*[Cc]onflict"), "serialization"),
    (re.compile(r"Driver Error: Serialization failure"), "deadlock"),
    (re.compile(r"Driver Error: .*DDBC Error: .*Lock request time out"), "lock_timeout"),
    (re.compile(r"Driver Error: Timeout expired"), "statement_timeout"),
    (re.compile(r"Driver Error: Operation canceled"), "cancelled"),
    (re.compile(r"Driver Error: (Communication link failure|Disconnect error)"), "disconnect"),
    (re.compile(r"Driver Error: Invalid authorization specification"), "permission"),
)
# fmt: on


def error_reason(error: BaseException, phase: Phase, *, disconnected: bool) -> DatabaseError:
    """Return why something failed, by the driver's own exception, or by those that caused it."""
    if not isinstance(error, Exception):
        return "cancelled"
    if phase == "connect":
        return connect_error_reason(error)
    causes = list(find_causes(error))
    exact = _reason_by_codes(causes)
    if disconnected and exact in {None, "other"}:
        return "disconnect"
    if exact is not None:
        return exact
    names = [parent.__name__ for cause in causes for parent in type(cause).__mro__]
    return next((BY_CLASS[name] for name in names if name in BY_CLASS), "other")


def connect_error_reason(error: BaseException) -> DatabaseError:
    """Return why no connection was opened: what was never open can be neither lost nor slow to answer a statement."""
    exact = _reason_by_codes(find_causes(error))
    return "connect" if exact in {None, "other", "disconnect", "statement_timeout"} else exact


def find_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what SQLAlchemy or a driver wrapped in it, and what it groups: a few at most, each once."""
    found: dict[int, BaseException] = {}
    pending: list[Any] = [error]
    while pending and len(found) < _MOST_CAUSES:
        each = pending.pop(0)
        if isinstance(each, BaseException) and id(each) not in found:
            found[id(each)] = each
            yield each
            pending += (getattr(each, "orig", None), each.__cause__, *getattr(each, "exceptions", ()))


def _reason_by_codes(causes: Iterable[BaseException]) -> DatabaseError | None:
    return next((reason for cause in causes if (reason := _reason_by_code(cause))), None)


def _reason_by_code(error: BaseException) -> DatabaseError | None:
    """Return the reason by the number or SQLSTATE that a driver's exception has, wherever that is."""
    if isinstance(error, PoolTimeoutError):
        return "connect"
    if isinstance(error, TimeoutError):  # the driver's own limit, such as command_timeout of asyncpg
        return "statement_timeout"
    if isinstance(error, ConnectionError):
        return "disconnect"
    first = error.args[0] if error.args else None
    if isinstance(first, tuple) and first:  # pymssql
        first = first[0]
    return _reason_by_number(error, first) or _reason_by_sqlstate(error, first) or _reason_by_text(error)


def _reason_by_number(error: BaseException, first: Any) -> DatabaseError | None:
    """Return the reason by the error number of SQLite, Oracle, SQL Server, or MySQL and MariaDB."""
    sqlite_code = getattr(error, "sqlite_errorcode", None)
    if isinstance(sqlite_code, int):
        return BY_SQLITE_CODE.get(str(sqlite_code & 0xFF))
    if type(getattr(first, "code", None)) is int:  # an object of python-oracledb's or of cx_Oracle's
        prefix, _, number = str(getattr(first, "full_code", "")).partition("-")
        by_driver = BY_ORACLE_DRIVER_NUMBER.get(number.lstrip("0")) if prefix == "DPY" else None
        return by_driver or BY_ORACLE_NUMBER.get(str(first.code))
    if type(first) is int:
        return (BY_SQL_SERVER_NUMBER if _is_of("pymssql", error) else BY_MYSQL_NUMBER).get(str(first))
    if _is_of("mariadb", error):  # its SQLSTATE of a deadlock is that of a serialization failure
        return BY_MYSQL_NUMBER.get(str(getattr(error, "errno", None)))
    return None


def _is_of(driver: str, error: BaseException) -> bool:
    """Return whether the class of an error, or one that it derives from, is a driver's."""
    return any(parent.__module__.partition(".")[0] == driver for parent in type(error).__mro__)


def _reason_by_sqlstate(error: BaseException, first: Any) -> DatabaseError | None:
    """Return the reason by SQLSTATE, which psycopg and asyncpg have by name, pg8000 and ODBC in the arguments."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not isinstance(state, str):
        state = first.get("C") if isinstance(first, dict) else first
        if not isinstance(state, str) or not _SQLSTATE.fullmatch(state):
            return None
        if state is first and (reason := _reason_by_odbc_number(state, str(error.args[-1]))):
            return reason
    if state == _QUERY_CANCELLED:
        # One code for both. A server that speaks another language says neither, and most are time limits.
        return "cancelled" if "user request" in str(error) else "statement_timeout"
    # Of a state without a reason the exception's class says nothing: it is whatever the driver has for all others.
    unknown: DatabaseError | None = None if state[:2] in _WITHOUT_MEANING else "other"
    return BY_SQLSTATE.get(state) or BY_SQLSTATE.get(state[:2], unknown)


def _reason_by_odbc_number(state: str, message: str) -> DatabaseError | None:
    """Return the reason by the server's own error number, which pyodbc writes behind its text.

    It is more exact than SQLSTATE: that of a deadlock on SQL Server means a serialization failure elsewhere, and 42000
    means anything there.
    """
    by_number = BY_MYSQL_NUMBER if _ODBC_OF_MYSQL.search(message) else BY_SQL_SERVER_NUMBER
    numbers = _ODBC_NUMBER.findall(message)
    reason = next((by_number[number] for number in numbers if number in by_number), None)
    return "other" if reason is None and state == "42000" and "[SQL Server]" in message and numbers else reason


def _reason_by_text(error: BaseException) -> DatabaseError | None:
    text = str(error)
    return next((reason for pattern, reason in _REASON_BY_TEXT if pattern.search(text)), None)


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
        # psycopg2 describes the rows of a named cursor when the first are fetched; it has the query before.
        return cursor.description is not None or cursor.rowcount >= 0 or getattr(cursor, "query", None) is not None
    except Exception:
        return False
