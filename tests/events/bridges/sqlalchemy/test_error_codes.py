"""Codes are found where each driver has them, in errors as the drivers' documents show them, and in what wraps those."""

from __future__ import annotations

from asyncio import CancelledError
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg import OperationalError, errors
from sqlalchemy.orm.exc import StaleDataError

from events.bridges.sqlalchemy.error_codes import CODES, Codes, expand
from events.bridges.sqlalchemy.error_reasons import error_reason


def made(module: str, name: str, *arguments: Any) -> Exception:
    """Return an error as a driver's module makes it, of a class that is named and placed as the driver's is."""
    base = type("Error", (Exception,), {"__module__": module})
    made: Exception = type(name, (base,), {"__module__": module})(*arguments)
    return made


def oracle(number: int, message: str, full_code: str) -> Exception:
    """Return an error of python-oracledb: https://python-oracledb.readthedocs.io/en/latest/user_guide/exception_handling.html."""
    return made("oracledb", "DatabaseError", SimpleNamespace(code=number, full_code=full_code, message=message))


ODBC = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"
MARIADB = "[ma-3.1.15][10.11.19-MariaDB]"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        # pg8000 has the fields of the server's message: https://github.com/tlocke/pg8000, "Error Codes".
        (made("pg8000.exceptions", "DatabaseError", {"S": "ERROR", "C": "40P01", "M": "deadlock detected"}), "deadlock"),
        (made("pg8000.exceptions", "ProgrammingError", {"S": "ERROR", "C": "53100", "M": "disk full"}),      "other"),
        (made("pg8000.exceptions", "DatabaseError", {"C": "57014", "M": "due to user request"}),             "cancelled"),
        # pyodbc: https://github.com/mkleehammer/pyodbc/wiki/Exceptions; numbers: sys.messages of SQL Server.
        (made("pyodbc", "Error", "40001", f"[40001] {ODBC}Transaction was deadlocked. (1205) (SQLExecDirectW)"), "deadlock"),
        (made("pyodbc", "Error", "HY000", f"[HY000] {ODBC}Snapshot isolation transaction aborted. (3960) (SQLExecDirectW)"),
                                                                                                             "serialization"),
        (made("pyodbc", "ProgrammingError", "42000", f"[42000] {ODBC}Lock request time out. (1222) (SQLExecDirectW)"),
                                                                                                             "lock_timeout"),
        (made("pyodbc", "ProgrammingError", "42000", f"[42000] {ODBC}Permission was denied. (229) (SQLExecDirectW)"),
                                                                                                             "permission"),
        (made("pyodbc", "ProgrammingError", "42000", f"[42000] {ODBC}Filegroup is full. (1105) (SQLExecDirectW)"), "other"),
        (made("pyodbc", "ProgrammingError", "42000", f"[42000] {ODBC}Incorrect syntax. (102) (SQLExecDirectW)"), "syntax"),
        (made("pyodbc", "ProgrammingError", "42S02", f"[42S02] {ODBC}Invalid object name. (208) (SQLExecDirectW)"), "syntax"),
        (made("pyodbc", "IntegrityError", "23000",
              f"[23000] {ODBC}Duplicate key (1205, 1222). (2627) (SQLExecDirectW); [23000] {ODBC}Terminated. (3621)"),
                                                                                                             "integrity"),
        (made("pyodbc", "DataError", "22003", f"[22003] {ODBC}Arithmetic overflow. (8115) (SQLExecDirectW)"),    "data"),
        (made("pyodbc", "OperationalError", "HYT00", "[HYT00] [Microsoft]Query timeout expired (0) (SQLExecDirectW)"),
                                                                                                             "statement_timeout"),
        (made("pyodbc", "Error", "HY008", "[HY008] [Microsoft]Operation canceled (0) (SQLExecDirectW)"),     "cancelled"),
        (made("pyodbc", "OperationalError", "08S01", "[08S01] [Microsoft]Communication link failure (0) (SQLExecDirectW)"),
                                                                                                             "disconnect"),
        (made("pyodbc", "Error", "HY000", f"[HY000] {MARIADB}Lock wait timeout exceeded (1205) (SQLExecDirectW)"),
                                                                                                             "lock_timeout"),
        (made("pyodbc", "Error", "40001", f"[40001] {MARIADB}Deadlock found (1213) (SQLExecDirectW)"),       "deadlock"),
        (made("pyodbc", "Error", "HELLO", "no state"),                                                       "other"),
        # pymssql has the server's number: https://pymssql.readthedocs.io/en/stable/ref/pymssql.html
        (made("pymssql.exceptions", "OperationalError", 1205, b"Transaction was deadlocked."),               "deadlock"),
        (made("pymssql.exceptions", "OperationalError", (1222, b"Lock request time out.")),                  "lock_timeout"),
        # mssql-python: https://github.com/microsoft/mssql-python/blob/main/mssql_python/exceptions.py
        (made("mssql_python", "OperationalError", "Driver Error: Serialization failure; DDBC Error: [Microsoft]Deadlock."), "deadlock"),
        (made("mssql_python", "ProgrammingError",
              "Driver Error: Syntax error or access violation; DDBC Error: [Microsoft]Lock request time out."), "lock_timeout"),
        (made("mssql_python", "OperationalError", "Driver Error: Timeout expired; DDBC Error: [Microsoft]Query timeout."), "statement_timeout"),
        (made("mssql_python", "IntegrityError", "Driver Error: Integrity constraint violation; DDBC Error: [Microsoft]Key."), "integrity"),
        (made("mssql_python", "OperationalError", "Driver Error: Communication link failure"), "disconnect"),
        # mysqlclient, as every driver of MySQL, has number and text; PyMySQL itself is tested with a server.
        (made("MySQLdb", "OperationalError", 1205, "Lock wait timeout exceeded"),                            "lock_timeout"),
        (made("MySQLdb", "OperationalError", 1054, "Unknown column"),                                        "syntax"),
        (made("MySQLdb", "OperationalError", 1290, "running with the --read-only option"),                   "permission"),
        (made("MySQLdb", "OperationalError", 3819, "Check constraint is violated"),                          "integrity"),
        (made("MySQLdb", "OperationalError", 1021, "Disk full"),                                             "other"),
        (oracle(60, "ORA-00060: deadlock detected while waiting for resource", "ORA-00060"),                 "deadlock"),
        (oracle(8177, "ORA-08177: can't serialize access for this transaction", "ORA-08177"),                "serialization"),
        (oracle(54, "ORA-00054: resource busy and acquire with NOWAIT specified", "ORA-00054"),              "lock_timeout"),
        (oracle(1, "ORA-00001: unique constraint violated", "ORA-00001"),                                    "integrity"),
        (oracle(942, "ORA-00942: table or view does not exist", "ORA-00942"),                                "syntax"),
        (oracle(1031, "ORA-01031: insufficient privileges", "ORA-01031"),                                    "permission"),
        (oracle(12899, "ORA-12899: value too large for column", "ORA-12899"),                                "data"),
        (oracle(1013, "ORA-01013: user requested cancel of current operation", "ORA-01013"),                 "cancelled"),
        (oracle(1653, "ORA-01653: unable to extend table", "ORA-01653"),                                     "other"),
        (oracle(0, "DPY-4024: call timeout of 50 ms exceeded", "DPY-4024"),                                  "statement_timeout"),
        (oracle(3113, "DPY-4011: the database or network closed the connection", "DPY-4011"),                "disconnect"),
        (oracle(1756, "DPY-2041: missing ending quote", "DPY-2041"),                                         "syntax"),
    ],
)  # fmt: skip
def test_a_code_is_found_where_each_driver_has_it(error: Exception, reason: str) -> None:
    assert error_reason(error, "execute", disconnected=False) == reason


@pytest.mark.drivers("oracledb")
@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("ORA-00060: deadlock detected while waiting for resource", 60, "deadlock"),
        ("ORA-02291: integrity constraint violated - parent key not found", 2291, "integrity"),
        ("ORA-01017: invalid credential or not authorized; logon denied", 1017, "permission"),
        ("ORA-03113: end-of-file on communication channel", 3113, "disconnect"),
        ("DPY-4024: call timeout of 50 ms exceeded", 0, "statement_timeout"),
    ],
)
def test_errors_of_oracle_are_those_that_its_driver_makes(message: str, code: int, reason: str) -> None:
    from oracledb.errors import _Error  # in the environment of drivers

    made_by_driver = _Error(message, code=code)
    assert error_reason(made_by_driver.exc_type(made_by_driver), "execute", disconnected=False) == reason


def test_the_number_of_mariadbs_own_driver_is_more_exact_than_its_sqlstate() -> None:
    """Of a deadlock that is 40001: https://mariadb.com/docs/connectors/mariadb-connector-python/api/exceptions."""
    error: Any = made("mariadb", "OperationalError", "Deadlock found when trying to get lock")
    error.errno, error.sqlstate = 1213, "40001"
    assert error_reason(error, "execute", disconnected=False) == "deadlock"
    error.errno = 9999
    assert error_reason(error, "execute", disconnected=False) == "serialization"


def test_a_number_of_a_driver_that_is_not_known_means_nothing() -> None:
    """Snowflake's 2003 is an object that does not exist; MySQL's is a server that does not answer."""
    error: Any = made("snowflake.connector.errors", "ProgrammingError", "002003 (42S02): does not exist")
    error.errno, error.sqlstate = 2003, "42S02"
    assert error_reason(error, "execute", disconnected=False) == "syntax"


def test_every_code_has_one_reason() -> None:
    for column in fields(Codes):
        codes = [code for row in CODES.values() for code in expand(getattr(row, column.name))]
        assert len(codes) == len(set(codes)), column.name
        assert codes


def raised_from(cause: Exception) -> Exception:
    """Return an error that was raised from another, as SQLAlchemy raises those of asyncpg again."""
    error = made("sqlalchemy", "InterfaceError", "no")
    error.__cause__ = cause
    return error


DEADLOCK = errors.DeadlockDetected("deadlock detected")


class OfAnApplication(errors.SerializationFailure):
    pass


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OfAnApplication("no"), "serialization"),
        (sa.exc.OperationalError("select 1", {}, DEADLOCK), "deadlock"),
        (raised_from(DEADLOCK), "deadlock"),
        (raised_from(raised_from(DEADLOCK)), "deadlock"),
        (raised_from(made("asyncpg.exceptions", "DataError", "invalid input for query argument $1")), "data"),
        (ExceptionGroup("two", [LookupError(), DEADLOCK]), "deadlock"),
        (BaseExceptionGroup("two", [CancelledError(), DEADLOCK]), "cancelled"),
        (TimeoutError(), "statement_timeout"),  # command_timeout of asyncpg
        (ConnectionResetError(104, "reset by peer"), "disconnect"),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), "data"),
        (sa.exc.TimeoutError("QueuePool limit of size 1 overflow 0 reached"), "connect"),
        (sa.exc.ResourceClosedError("this result object is closed"), "other"),
        (sa.exc.PendingRollbackError("can't reconnect"), "other"),
        (StaleDataError("expected to update 1 row(s); 0 were matched"), "other"),
    ],
)
def test_what_is_wrapped_grouped_derived_or_no_drivers_has_a_reason(error: Any, reason: str) -> None:
    assert error_reason(error, "execute", disconnected=False) == reason


def test_errors_that_cause_each_other_end() -> None:
    first, second = made("driver", "Error", "a"), made("driver", "Error", "b")
    first.__cause__, second.__cause__ = second, first
    assert error_reason(first, "execute", disconnected=False) == "other"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('connection failed: FATAL:  password authentication failed for user "ada"', "permission"),
        ('connection failed: FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "permission"),
        ('connection failed: FATAL:  role "nobody" does not exist', "permission"),
        ("connection failed: fe_sendauth: no password supplied", "permission"),
        ('connection failed: FATAL:  database "none" does not exist', "connect"),
        ("connection failed: FATAL:  sorry, too many clients already", "connect"),
        ("connection failed: Connection refused", "connect"),
    ],
)
def test_libpq_has_no_code_of_a_connection_that_was_refused(text: str, reason: str) -> None:
    assert error_reason(OperationalError(text), "connect", disconnected=False) == reason


@pytest.mark.parametrize("error", [errors.AdminShutdown(), errors.DiskFull(), TimeoutError(), ConnectionRefusedError()])
def test_what_was_never_open_is_not_lost(error: Exception) -> None:
    assert error_reason(error, "connect", disconnected=True) == "connect"
