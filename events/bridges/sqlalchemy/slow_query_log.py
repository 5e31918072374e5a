"""The log line of a slow statement: its SQL, and the endpoint, agent and run that sent it, which are no labels."""

from __future__ import annotations

import logging

from ...bus.scope import Scope
from ...database import Operation
from .log_context import describe_scope
from .sql.literals import without_literals

log = logging.getLogger("events.sql")

_LONGEST_READ = 10_000  # characters; literals are blanked before the text is cut, which might cut one in half
_LONGEST_LOGGED = 500


def log_slow_statement(
    engine: str, operation: Operation, table: str, duration: float, statement: str, *, scope: Scope | None
) -> None:
    """Log a statement as a warning, with ``?`` in place of its literals; ``duration`` in seconds."""
    log.warning(
        "slow statement: %.3f s, %s %s on %s, %s: %s",
        duration,
        operation,
        table,
        engine,
        describe_scope(scope),
        without_literals(statement[:_LONGEST_READ])[:_LONGEST_LOGGED],
    )
