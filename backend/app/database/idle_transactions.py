"""The end of transactions that idle on PostgreSQL: a process that is suspended in one holds up whoever wants its rows.

What it was about to do is rolled back, and done again when it goes on: the error that it gets is a passing one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

IDLE_TIMEOUT = 1.5
"""Seconds between two statements of a transaction; then PostgreSQL ends the session. No work is done in between."""

NO_TIMEOUT = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""A statement after which the transaction may take its time."""

_PARAMETER = "idle_in_transaction_session_timeout"


def end_idle_transactions(engine: Engine) -> None:
    """Have PostgreSQL end the transactions of an engine that idle, unless its URL gives a time of its own."""
    if _PARAMETER not in str(engine.url.query.get("options")):
        event.listen(engine, "connect", _prepare)


def _prepare(connection: Any, _record: Any) -> None:
    connection.autocommit = True  # in a transaction of its own, which the pool's rollback does not undo
    with connection.cursor() as cursor:
        cursor.execute(f"SET {_PARAMETER} = {int(IDLE_TIMEOUT * 1000)}")
    connection.autocommit = False
