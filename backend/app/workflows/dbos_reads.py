"""The reads that DBOS sends again and again, without a transaction around each.

DBOS begins one for whatever it sends, and ends it: two statements more for each that reads. On PostgreSQL, whose
transactions see what others commit meanwhile, nothing but that is lost without it. All of it is DBOS's own business:
what a version does not have stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

from dbos import DBOS
from sqlalchemy import Connection, Engine

READS = (
    "get_queue", "list_queues", "get_workflow_statuses", "list_workflows", "check_operation_execution",
)  # fmt: skip
"""Methods of DBOS's database that read, and need no transaction to read the same twice."""


class ReadingEngine:
    """DBOS's engine, whose transactions are left out in the threads that are in one of the reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._current = threading.local()

    def begin(self) -> AbstractContextManager[Connection]:
        """Return a transaction, or in a read a connection whose statements are one each."""
        is_reading = getattr(self._current, "is_reading", False)
        return (self._autocommit if is_reading else self._engine).begin()

    def reading(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method that reads, without transactions."""

        @wraps(read)
        def reading(*args: Any, **options: Any) -> Any:
            self._current.is_reading = True
            try:
                return read(*args, **options)
            finally:
                self._current.is_reading = False

        return reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def commit_nothing(dbos: DBOS) -> None:
    """Leave out the transactions of a launched DBOS's reads, on PostgreSQL; SQLite's driver begins none for a read."""
    database: Any = getattr(dbos, "_sys_db_field", None)
    engine = getattr(database, "engine", None)
    if isinstance(engine, Engine) and engine.dialect.name == "postgresql":
        database.engine = reading_engine = ReadingEngine(engine)
        for name in READS:
            if (read := getattr(database, name, None)) is not None:
                setattr(database, name, reading_engine.reading(read))
