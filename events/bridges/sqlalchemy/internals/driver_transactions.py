"""The state of a transaction as a driver knows it: what a server, or SQLite, has done to it by itself."""

from __future__ import annotations

from typing import Any, Literal

_FAILED = 3
"""libpq's PQTRANS_INERROR, which psycopg and psycopg2 have as ``info.transaction_status``."""

DriverTransaction = Literal["none", "open", "failed"]


def driver_transaction(connection: Any) -> DriverTransaction | None:
    """Return the state of the transaction on a pool's connection; None where its driver does not say.

    After a failed statement PostgreSQL takes no other one, and rolls back at COMMIT. Before a first statement that it
    has to begin one for, and after DDL, ``VACUUM`` or ``PREPARE TRANSACTION``, a connection has none.
    """
    driver = getattr(connection, "driver_connection", None)
    try:
        status = getattr(getattr(driver, "info", None), "transaction_status", None)
        if status is not None:
            return "failed" if status == _FAILED else "open" if status else "none"
        is_open = getattr(driver, "in_transaction", None)  # sqlite3 and aiosqlite
        return None if not isinstance(is_open, bool) else "open" if is_open else "none"
    except Exception:  # of a connection that is lost
        return None
