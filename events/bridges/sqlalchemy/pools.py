"""What it takes to get a connection from a pool: SQLAlchemy has no event for its start, nor for not getting one."""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Pool
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...database import connection_acquired
from ...signal import tell_failure
from .kept import OURS


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

    def wrap(self, pool: Pool) -> None:
        """Give a pool a class that tells; one that cannot be changed goes on untold."""
        plain = type(pool)
        try:
            telling = telling_class(plain, self)
            pool.__class__ = telling
        except TypeError as error:
            tell_failure(connection_acquired.name, OURS, error)
        else:
            self._classes = plain, telling

    def unwrap(self, pool: Pool) -> None:
        """Give the pool its own class back."""
        if self._classes is not None and type(pool) is self._classes[1]:
            pool.__class__ = self._classes[0]

    def queue(self, acquiring: Acquiring) -> None:
        """Begin to wait."""
        acquiring.since = perf_counter()
        self._waiting[id(acquiring)] = acquiring

    def leave(self, acquiring: Acquiring) -> None:
        """Wait no more; again is nothing."""
        if self._waiting.pop(id(acquiring), None) is not None and acquiring.since is not None:
            acquiring.waited += perf_counter() - acquiring.since

    def tell(self, acquiring: Acquiring, error: BaseException | None) -> None:
        """Tell how a call for a connection ended."""
        duration = perf_counter() - acquiring.began
        connection_acquired.emit(
            pool=self._name, outcome=outcome_of(error), duration=duration, wait=min(acquiring.waited, duration)
        )


def outcome_of(error: BaseException | None) -> Literal["ok", "timeout", "cancelled", "error"]:
    """Name how a call for a connection ended."""
    if error is None:
        return "ok"
    if isinstance(error, PoolTimeout):
        return "timeout"
    return "error" if isinstance(error, Exception) else "cancelled"


def telling_class(plain: type[Pool], watch: Pools) -> type[Pool]:
    """Make a class like a pool's own whose pools tell: a subclass, since only `connect` is there for all of it."""

    class Telling(plain):  # type: ignore[misc, valid-type]  # made while the program runs
        def connect(self) -> Any:
            acquiring, before = Acquiring(), doing.get()
            doing.set(acquiring)
            failure: BaseException | None = None
            try:
                return super().connect()
            except BaseException as error:
                failure = error
                raise
            finally:
                watch.leave(acquiring)
                doing.set(before)
                watch.tell(acquiring, failure)
                del failure  # its traceback leads back here: a cycle that would keep what the failed call held

        def _do_get(self) -> Any:
            acquiring = doing.get()
            if not isinstance(acquiring, Acquiring) or acquiring.since is not None:
                return super()._do_get()  # which calls itself where another was quicker
            watch.queue(acquiring)
            try:
                return super()._do_get()
            finally:
                watch.leave(acquiring)

        def _create_connection(self) -> Any:
            acquiring = doing.get()
            if isinstance(acquiring, Acquiring):
                watch.leave(acquiring)  # out of the queue: from here on it is the database that is waited for
            return super()._create_connection()

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
