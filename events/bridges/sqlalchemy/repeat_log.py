"""The log line of a statement that repeats: which one it is, without literals, and who sends it again and again."""

from __future__ import annotations

import logging

from ...bus.log_throttle import LogThrottle
from ...bus.scope import Scope
from .log_context import describe_scope, endpoint_of

log = logging.getLogger("events.sql")

_LONGEST_LOGGED = 500
_throttle = LogThrottle()


def log_repeated_statement(table: str, times: int, text: str, scope: Scope) -> None:
    """Log a statement that a scope has sent ``times`` times, for whoever logs at DEBUG.

    It is called once a scope and statement, and logs the same of one endpoint, workflow and agent once a minute.
    ``text`` has neither literals nor parameters.
    """
    if not log.isEnabledFor(logging.DEBUG):
        return
    fields = scope.fields
    if _throttle.is_due((text, endpoint_of(scope), fields.get("workflow_type"), fields.get("agent_name"))):
        log.debug(
            "repeated statement: sent %d times to %s by one %s, %s: %s",
            times, table, scope.kind, describe_scope(scope), text[:_LONGEST_LOGGED],
        )  # fmt: skip
