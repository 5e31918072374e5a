"""The state of a connection while it is open, and how the errors of listeners are kept from the program."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal
from weakref import ref

from ...bus.failures import report_failure
from ...bus.scope import Scope
from ...database import Caller

if TYPE_CHECKING:
    from .fetch import FetchTimer

INFO_KEY = "events.connection_state"
"""Key in the ``info`` of a pool's connection record, which lasts as long as the connection itself."""

BRIDGE = "sqlalchemy"
"""The receiver that `receiver_failed` names when the bridge itself fails."""


class ConnectionState:
    """The state of one connection: one object for all of it, since every query looks it up."""

    __slots__ = ("agent_name", "autocommit_checked", "begins_again", "busy_seconds", "caller", "checked_out",
                 "checked_out_at", "close_reason", "connecting_since", "failed_phase", "fetches", "has_failed",
                 "hold_logged", "is_ending", "is_open", "opened_at", "proxy", "rollback_loses_work", "run_id",
                 "scope", "statements", "transaction_began", "was_begun")  # fmt: skip

    def __init__(self) -> None:
        self.connecting_since = perf_counter()
        self.opened_at: float | None = None
        self.is_open = False
        self.close_reason: Literal["", "ping_failed", "cancelled", "invalidated"] = ""
        # While it is checked out of its pool:
        self.checked_out = False
        self.checked_out_at = 0.0
        self.busy_seconds = 0.0
        self.statements = 0
        self.hold_logged = False
        self.proxy: ref[Any] | None = None  # dead at check-in: the garbage collector returned it, not the program
        self.scope: Scope | None = None  # that it was checked out in, to be named in the log
        self.caller: Caller = "none"
        self.agent_name = "unknown"
        self.run_id = ""
        self.fetches: dict[int, FetchTimer] = {}  # results that took or may take long and are not at their end, by id
        # While a transaction is open: when it began, whether autocommit was ruled out yet, whether the program sent a
        # BEGIN, and whether something was written or failed in it, so that rolling it back loses something; whether
        # the next statement begins another one, since the program ended one itself; whether it is being ended; and
        # whether the last statement of it failed.
        self.transaction_began: float | None = None
        self.autocommit_checked = False
        self.was_begun = False
        self.rollback_loses_work = False
        self.begins_again = False
        self.is_ending = False
        self.has_failed = False
        # SQLAlchemy reports an error after the fact, without saying what it was doing.
        self.failed_phase: Literal["commit", "rollback"] | None = None


def find_state(connection: Any) -> ConnectionState | None:
    """Return what is stored of a pool's connection, or None if nothing is."""
    # While it is checked out the proxy has it too: going through the record takes three times as long.
    state: ConnectionState | None = getattr(connection, "events_state", None)
    if state is None and is_pooled(connection):
        state = connection.info.get(INFO_KEY)
    return state


def is_pooled(connection: Any) -> bool:
    """Return whether a connection comes from a pool; SQLAlchemy queries a new server before its connection does."""
    try:
        return isinstance(connection.info, dict)
    except Exception:
        return False


def swallow_errors(signal: str, listener: Callable[..., None]) -> Callable[..., None]:
    """Return a listener that reports its errors as `receiver_failed` of a signal instead of raising them.

    Listeners that every query calls catch their errors themselves, which is one call less.
    """

    @wraps(listener)
    def safe_listener(*args: Any) -> None:
        try:
            listener(*args)
        except Exception as error:
            report_failure(signal, BRIDGE, error)

    return safe_listener
