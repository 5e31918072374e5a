"""What it takes to get a connection from a pool: SQLAlchemy has no event for its start, nor for not getting one."""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Pool
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...bus.failures import report_failure
from ...database import connection_acquired
from .connection_state import OURS


class Acquiring:
    """One call for a connection."""

    __slots__ = ("began", "since", "waited")

    def __init__(self) -> None:
        self.since: float | None = None
        self.waited = 0.0
        self.began = perf_counter()


doing: ContextVar[Acquiring | Literal["dispose"] | None] = ContextVar("events.pool", default=None)
"""What is being done with a pool in this task or thread; SQLAlchemy's greenlets share their task's context."""


class Pools:
    """Watches the pools of one engine: it gets a new one at each `dispose`, of the same class, which is ours."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: dict[int, Acquiring] = {}
        self._classes: tuple[type[Pool], type[Pool]] | None = None

    @property
    def pending(self) -> int:
        """How many stand in the queue now."""
        return len(self._waiting)

    def forget(self) -> None:
        """Let go of all that wait."""
        self._waiting.clear()

    def wrap(self, pool: Pool) -> None:
        """Give a pool a class that tells; one that cannot be changed goes on untold."""
        plain = type(pool)
        try:
            telling = telling_class(plain, self, self._waiting)
            pool.__class__ = telling
        except TypeError as error:
            report_failure(connection_acquired.name, OURS, error)
        else:
            self._classes = plain, telling

    def unwrap(self, pool: Pool) -> None:
        """Give the pool its own class back."""
        if self._classes is not None and type(pool) is self._classes[1]:
            pool.__class__ = self._classes[0]

    def leave(self, acquiring: Acquiring) -> None:
        """Wait no more; again is nothing."""
        if self._waiting.pop(id(acquiring), None) is not None and acquiring.since is not None:
            acquiring.waited += perf_counter() - acquiring.since

    def tell(self, acquiring: Acquiring, error: BaseException | None) -> None:
        """Tell how a call for a connection ended."""
        duration = perf_counter() - acquiring.began
        outcome = "ok" if error is None else outcome_of(error)
        connection_acquired.emit(pool=self._name, outcome=outcome, duration=duration, wait=acquiring.waited)


def outcome_of(error: BaseException) -> Literal["ok", "timeout", "cancelled", "error"]:
    """Name how a call for a connection ended that gave none."""
    if isinstance(error, PoolTimeout):
        return "timeout"
    return "error" if isinstance(error, Exception) else "cancelled"


def telling_class(plain: type[Pool], watch: Pools, waiting: dict[int, Acquiring]) -> type[Pool]:
    """Make a class like a pool's own whose pools tell: a subclass, since only `connect` is there for all of it."""
    connect, do_get, create = plain.connect, plain._do_get, plain._create_connection  # noqa: SLF001 - to be overridden
    leave, tell = watch.leave, watch.tell

    class Telling(plain):  # type: ignore[misc, valid-type]  # made while the program runs
        def connect(self) -> Any:
            before = doing.get()
            acquiring = Acquiring()
            doing.set(acquiring)
            failure: BaseException | None = None
            try:
                return connect(self)
            except BaseException as error:
                failure = error
                raise
            finally:
                doing.set(before)
                tell(acquiring, failure)
                failure = None  # its traceback leads back here: a cycle that would keep what the failed call held

        def _do_get(self) -> Any:
            acquiring = doing.get()
            if type(acquiring) is not Acquiring or acquiring.since is not None:
                return do_get(self)  # which calls itself where another was quicker
            key = id(acquiring)
            waiting[key] = acquiring
            acquiring.since = since = perf_counter()
            try:
                return do_get(self)
            finally:
                if key in waiting:  # as `leave` would, without a call
                    acquiring.waited = perf_counter() - since
                    del waiting[key]

        def _create_connection(self) -> Any:
            acquiring = doing.get()
            if isinstance(acquiring, Acquiring):
                leave(acquiring)  # out of the queue: from here on it is the database that is waited for
            return create(self)

        def dispose(self) -> None:
            before = doing.get()
            doing.set("dispose")
            try:
                super().dispose()
            finally:
                doing.set(before)

    # Under the class's own name: SQLAlchemy names the pool's logger by it.
    Telling.__name__, Telling.__qualname__, Telling.__module__ = plain.__name__, plain.__qualname__, plain.__module__
    return Telling
