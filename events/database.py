"""What databases are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .fields import Label, Seconds, inherited
from .signal import Signal

Operation = Literal["select", "insert", "update", "delete", "merge", "call", "copy", "ddl", "savepoint", "set", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExecuted:
    """A statement was sent to a database and answered, or failed.

    ``table`` is the bare name of the table written to, or of the first one read; ``none`` without one, ``system`` for
    the database's own, ``other`` for one that is not in the metadata. ``duration`` covers the execution, not the
    fetching. ``error`` is the name of the exception's class, never its message: that quotes what was sent.
    """

    engine: Label = "main"
    operation: Operation
    table: Label
    duration: Seconds
    error: str = ""
    agent_name: Label = inherited()
    run_id: str = inherited("")


query_executed = Signal(QueryExecuted)
