"""Why a database failed, by what the drivers themselves call their errors."""

from __future__ import annotations

import sqlite3
from asyncio import CancelledError
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import errors

from events.bridges.sqlalchemy.connection_state import ConnectionState
from events.bridges.sqlalchemy.error_reasons import error_reason, phase_of_failure


# psycopg has a class for each SQLSTATE, under PostgreSQL's name for it.
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.DeadlockDetected,              "deadlock"),
        (errors.SerializationFailure,          "serialization"),
        (errors.LockNotAvailable,              "lock_timeout"),
        (errors.InsufficientPrivilege,         "permission"),
        (errors.ReadOnlySqlTransaction,        "permission"),
        (errors.InvalidPassword,               "permission"),
        (errors.TooManyConnections,            "connect"),
        (errors.CannotConnectNow,              "connect"),
        (errors.InvalidCatalogName,            "connect"),
        (errors.IdleInTransactionSessionTimeout, "disconnect"),
        (errors.AdminShutdown,                 "disconnect"),
        (errors.CrashShutdown,                 "disconnect"),
        (errors.IdleSessionTimeout,            "disconnect"),
        (errors.ConnectionFailure,             "disconnect"),
        (errors.NumericValueOutOfRange,        "data"),
        (errors.UniqueViolation,               "integrity"),
        (errors.ForeignKeyViolation,           "integrity"),
        (errors.UndefinedTable,                "syntax"),
        (errors.SyntaxError,                   "syntax"),
        (errors.QueryCanceled,                 "statement_timeout"),
        (errors.DiskFull,                      "other"),
    ],
)  # fmt: skip
def test_an_error_of_postgresql_has_the_reason_of_its_sqlstate(error: Any, reason: str) -> None:
    assert error_reason(error("no"), "execute", disconnected=False) == reason


def test_a_query_that_was_cancelled_says_who_asked_for_it() -> None:
    """One SQLSTATE for both; the text tells, in English."""
    asked = errors.QueryCanceled("canceling statement due to user request")
    limited = errors.QueryCanceled("canceling statement due to statement timeout")
    reasons = [error_reason(each, "execute", disconnected=False) for each in (asked, limited)]
    assert reasons == ["cancelled", "statement_timeout"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (sqlite3.SQLITE_ERROR,              "syntax"),
        (sqlite3.SQLITE_PERM,               "permission"),
        (sqlite3.SQLITE_BUSY,               "lock_timeout"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT,      "lock_timeout"),
        (sqlite3.SQLITE_LOCKED,             "lock_timeout"),
        (sqlite3.SQLITE_READONLY,           "permission"),
        (sqlite3.SQLITE_INTERRUPT,          "cancelled"),
        (sqlite3.SQLITE_CANTOPEN,           "connect"),
        (sqlite3.SQLITE_TOOBIG,             "data"),
        (sqlite3.SQLITE_CONSTRAINT,         "integrity"),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE,  "integrity"),
        (sqlite3.SQLITE_MISMATCH,           "data"),
        (sqlite3.SQLITE_AUTH,               "permission"),
        (sqlite3.SQLITE_RANGE,              "data"),
        (sqlite3.SQLITE_FULL,               "other"),
    ],
)  # fmt: skip
def test_an_error_of_sqlite_has_the_reason_of_its_primary_code(code: int, reason: str) -> None:
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = code
    assert error_reason(error, "execute", disconnected=False) == reason


# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (1044, "permission"),         # ER_DBACCESS_DENIED_ERROR
        (1045, "permission"),         # ER_ACCESS_DENIED_ERROR
        (1142, "permission"),         # ER_TABLEACCESS_DENIED_ERROR
        (1205, "lock_timeout"),       # ER_LOCK_WAIT_TIMEOUT
        (1213, "deadlock"),           # ER_LOCK_DEADLOCK
        (1317, "cancelled"),          # ER_QUERY_INTERRUPTED
        (1969, "statement_timeout"),  # MariaDB's ER_STATEMENT_TIMEOUT
        (2006, "disconnect"),         # CR_SERVER_GONE_ERROR
        (2013, "disconnect"),         # CR_SERVER_LOST
        (3024, "statement_timeout"),  # ER_QUERY_TIMEOUT
        (9999, "other"),
        ("1213", "other"),
        (True, "other"),
    ],
)  # fmt: skip
def test_an_error_of_mysql_has_the_reason_of_its_number(number: Any, reason: str) -> None:
    assert error_reason(Exception(number, "no"), "execute", disconnected=False) == reason


class IntegrityError(Exception):
    pass


class DataError(Exception):
    pass


class ProgrammingError(Exception):
    pass


class DuplicateKey(IntegrityError):
    pass


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (IntegrityError(), "integrity"),
        (DuplicateKey(), "integrity"),
        (DataError(), "data"),
        (ProgrammingError(), "syntax"),
        (LookupError(), "other"),
    ],
)
def test_an_error_without_a_code_has_the_reason_of_its_class(error: Exception, reason: str) -> None:
    assert error_reason(error, "execute", disconnected=False) == reason


def test_what_is_exact_wins_over_the_phase_and_the_phase_over_the_lost_connection() -> None:
    exact = errors.InvalidPassword("no")
    assert error_reason(exact, "connect", disconnected=True) == "permission"
    assert error_reason(IntegrityError(), "connect", disconnected=True) == "connect"
    assert error_reason(IntegrityError(), "execute", disconnected=True) == "disconnect"
    assert error_reason(CancelledError(), "connect", disconnected=True) == "cancelled"


@pytest.mark.parametrize(("depth", "reason"), [(0, "deadlock"), (9, "deadlock"), (10, "other")])
def test_ten_errors_of_a_chain_are_looked_at(depth: int, reason: str) -> None:
    error: Exception = errors.DeadlockDetected("no")
    for _ in range(depth):
        outer = LookupError()
        outer.__cause__, error = error, outer
    assert error_reason(error, "execute", disconnected=False) == reason


@pytest.mark.parametrize("attribute", ["sqlstate", "pgcode"])
@pytest.mark.parametrize(("state", "reason"), [("40P01", "deadlock"), ("23999", "integrity"), (None, "other")])
def test_a_sqlstate_is_found_under_the_names_of_each_driver(attribute: str, state: Any, reason: str) -> None:
    error = Exception("no")
    setattr(error, attribute, state)
    assert error_reason(error, "execute", disconnected=False) == reason


class Unreadable:
    @property
    def description(self) -> Any:
        raise sqlite3.ProgrammingError("closed")


OPEN, LOST = SimpleNamespace(invalidated=False), SimpleNamespace(invalidated=True)
ROWS, COUNT = SimpleNamespace(description=["id"], rowcount=-1), SimpleNamespace(description=None, rowcount=0)
NEITHER = SimpleNamespace(description=None, rowcount=-1, query=None)
NAMED = SimpleNamespace(description=None, rowcount=-1, query=b"declare ...")  # psycopg2's


def failure(**facts: Any) -> Any:
    return SimpleNamespace(
        **{"is_pre_ping": False, "execution_context": None, "connection": OPEN, "statement": None, **facts}
    )


def context(cursor: Any) -> Any:
    return SimpleNamespace(cursor=cursor)


@pytest.mark.parametrize(
    ("facts", "answered", "phase"),
    [
        ({"is_pre_ping": True, "connection": None}, True, "ping"),
        ({"connection": None}, True, "connect"),
        ({"connection": LOST}, True, "connect"),
        ({"connection": LOST, "execution_context": context(ROWS)}, False, "execute"),
        ({"execution_context": context(ROWS)}, False, "execute"),
        ({"execution_context": context(ROWS)}, True, "fetch"),
        ({"execution_context": context(COUNT)}, True, "fetch"),
        ({"execution_context": context(NEITHER)}, True, "compile"),
        ({"execution_context": context(NAMED)}, True, "fetch"),
        ({"execution_context": context(Unreadable())}, True, "compile"),
        ({"statement": "select"}, True, "compile"),
        ({}, True, "execute"),
    ],
)
def test_the_phase_of_a_failure_is_what_was_being_done(facts: dict[str, Any], answered: bool, phase: str) -> None:
    state = ConnectionState()
    assert phase_of_failure(failure(**facts), state, answered=answered) == phase
    assert phase_of_failure(failure(**facts), None, answered=answered) == phase


def test_a_commit_that_failed_is_the_phase_once() -> None:
    state = ConnectionState()
    state.failed_phase = "commit"
    phases = [phase_of_failure(failure(), state, answered=True) for _ in range(2)]
    assert phases == ["commit", "execute"]
