"""What is remembered of a connection while it lives, and how a listener is kept from doing harm."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Literal
from weakref import ref

from ...database import Asker
from ...signal import tell_failure

KEY = "events.kept"
"""Where it stands in the ``info`` of a pool's record, which lasts as long as the connection itself."""

OURS = "sqlalchemy"
"""What stands for the bridge among the receivers that failed."""


class Hold:
    """One time that a connection is out of its pool."""

    __slots__ = ("__weakref__", "agent_name", "began", "busy", "proxy", "run_id", "scope", "times")

    def __init__(self, proxy: Any, scope: Asker, agent_name: str, run_id: str) -> None:
        self.proxy = ref(proxy)  # dead at the end: the garbage collector gave the connection back, not the program
        self.scope = scope
        self.agent_name = agent_name
        self.run_id = run_id
        self.busy = 0.0
        self.times = 1  # a StaticPool hands out the same connection several times
        self.began = perf_counter()


class Transaction:
    """One transaction under way."""

    __slots__ = ("began", "matters")

    def __init__(self) -> None:
        self.matters = False  # something was written in it, or failed: to roll it back means something
        self.began = perf_counter()


class Kept:
    """What is remembered of one connection."""

    __slots__ = ("failed_in", "hold", "opened", "opening", "transaction", "why")

    def __init__(self) -> None:
        self.opening = perf_counter()
        self.opened: float | None = None
        self.hold: Hold | None = None
        self.transaction: Transaction | None = None
        # SQLAlchemy tells of an error after the fact, and not what it was doing.
        self.failed_in: Literal["commit", "rollback"] | None = None
        self.why = ""

    def spend(self, seconds: float) -> None:
        """Count time in which the connection did something."""
        if self.hold is not None:
            self.hold.busy += seconds


def kept_of(connection: Any) -> Kept | None:
    """Find what is remembered of a connection, whether SQLAlchemy's or the pool's; None where nothing is."""
    # An invalid one would connect again if it were asked for its info; one that is being set up has none.
    if getattr(connection, "invalidated", False) or getattr(connection, "closed", False) is True:
        return None
    try:
        info = connection.info
    except Exception:
        return None
    return info.get(KEY) if isinstance(info, dict) else None


def guarded(signal: str, listener: Callable[..., None]) -> Callable[..., None]:
    """Stop what a listener raises: one at a connection's return would lose the pool a place for ever."""

    @wraps(listener)
    def listening(*args: Any) -> None:
        try:
            listener(*args)
        except Exception as error:
            tell_failure(signal, OURS, error)

    return listening
