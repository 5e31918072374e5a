"""The log line of a connection that is out of its pool for long: who took it, which is no label."""

from __future__ import annotations

import logging

from .connection_state import ConnectionState
from .log_context import describe_scope

log = logging.getLogger("events.sql")


def log_long_hold(pool: str, held: float, state: ConnectionState, *, so_far: bool = False) -> None:
    """Log a hold of ``held`` seconds as a warning: one that ended, or has lasted ``so_far``."""
    log.warning(
        "long hold: a connection of pool %s %s %.1f s, %.1f s of it busy; scope %s, %s",
        pool,
        "has been out for" if so_far else "was out for",
        held,
        state.busy_seconds,
        state.caller,
        describe_scope(state.scope),
    )
