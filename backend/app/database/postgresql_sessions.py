"""The sessions of PostgreSQL, and how each is set, whatever the database or its user has as default.

A transaction that idles is ended: a process that is suspended in one holds up whoever wants its rows. What it was about
to do is rolled back, and done again when it goes on: the error that it gets is a passing one.

The isolation level is READ COMMITTED, which the studio's statements and the workflow engine's are written for: by a
higher one, requests at once with the same idempotency key would fail, as each sees that another has changed the rows.
Times are written by ISO 8601, which is all that the driver reads. A lock is waited for, as PostgreSQL does by default:
requests at once with the same idempotency key wait for each other, and none is to fail for that.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

IDLE_TIMEOUT = 1.5
"""Seconds between two statements of a transaction; then PostgreSQL ends the session. No work is done in between."""

NO_TIMEOUT = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""A statement after which the transaction may take its time."""

READ_COMMITTED = "SET default_transaction_isolation = 'read committed'"
"""A statement after which each transaction of a session is of that level, and each statement outside of one."""

_TIMEOUTS = {"idle_in_transaction_session_timeout": int(IDLE_TIMEOUT * 1000), "lock_timeout": 0}
"""In milliseconds; 0 is none."""


def prepare_sessions(engine: Engine) -> None:
    """Have each session of an engine have its isolation level, and its timeouts unless the URL gives them."""
    given = str(engine.url.query.get("options"))
    timeouts = [f"SET {name} = {value}" for name, value in _TIMEOUTS.items() if name not in given]
    together = "; ".join([*timeouts, READ_COMMITTED, "SET datestyle = 'ISO'"])

    def prepare(connection: Any, _record: Any) -> None:
        connection.autocommit = True  # in a transaction of its own, which the pool's rollback does not undo
        with connection.cursor() as cursor:
            cursor.execute(together)
        connection.autocommit = False

    # Before SQLAlchemy looks which level a connection has, which it gives back to one that was in AUTOCOMMIT.
    event.listen(engine, "connect", prepare, insert=True)
