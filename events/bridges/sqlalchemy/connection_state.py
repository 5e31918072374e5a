"""What is remembered of a connection while it lives, and how a listener is kept from doing harm."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Literal
from weakref import ref

from ...bus.failures import report_failure
from ...database import Caller

KEY = "events.kept"
"""Where it stands in the ``info`` of a pool's record, which lasts as long as the connection itself."""

OURS = "sqlalchemy"
"""What stands for the bridge among the receivers that failed."""


class Kept:
    """What is remembered of one connection: one object for all of it, since each query looks it up."""

    __slots__ = ("agent_name", "began", "busy", "checked", "failed_in", "held", "matters", "opened",
                 "opening", "present", "proxy", "run_id", "scope", "transaction", "why")  # fmt: skip

    def __init__(self) -> None:
        self.opening = perf_counter()
        self.opened: float | None = None
        self.present = False
        self.why = ""
        # The hold: one time that it is out of its pool.
        self.held = False
        self.began = 0.0
        self.busy = 0.0
        self.proxy: ref[Any] | None = None  # dead at the end: the garbage collector gave it back, not the program
        self.scope: Caller = "none"
        self.agent_name = "unknown"
        self.run_id = ""
        # The transaction: when it began, whether it was made sure that it is one at all, and whether something was
        # written in it or failed, so that it means something to roll it back.
        self.transaction: float | None = None
        self.checked = False
        self.matters = False
        # SQLAlchemy tells of an error after the fact, and not what it was doing.
        self.failed_in: Literal["commit", "rollback"] | None = None


def kept_of(connection: Any) -> Kept | None:
    """Find what is remembered of a pool's connection; None where nothing is."""
    # On what a pool lends it stands for as long as that lasts: by the record it takes thrice as long.
    kept: Kept | None = getattr(connection, "events_kept", None)
    if kept is None and is_lent(connection):
        kept = connection.info.get(KEY)
    return kept


def is_lent(connection: Any) -> bool:
    """Tell whether a connection comes from a pool; SQLAlchemy asks a new server this and that before it does."""
    try:
        return isinstance(connection.info, dict)
    except Exception:
        return False


def guarded(signal: str, listener: Callable[..., None]) -> Callable[..., None]:
    """Stop what a listener raises; those that each query calls do so themselves, which is one call less."""

    @wraps(listener)
    def listening(*args: Any) -> None:
        try:
            listener(*args)
        except Exception as error:
            report_failure(signal, OURS, error)

    return listening
