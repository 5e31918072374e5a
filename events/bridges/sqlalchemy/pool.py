"""The wait for a connection, and checkouts that fail: SQLAlchemy has no event for when either begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Literal

from sqlalchemy import Pool
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...bus.failures import report_failure
from ...database import connection_acquired, database_failed
from .connection_state import BRIDGE, swallow_errors
from .error_reasons import connect_error_reason
from .internals.pools import STATIC_OPENING, PoolMethods, pool_methods, timed_static_opening
from .peak import Peak

SHORTEST_WAIT = 0.001
"""Seconds from which a caller has waited: one that finds a connection is through the queue long before."""


class CheckoutAttempt:
    """One call that asks a pool for a connection."""

    __slots__ = ("began", "place", "pool", "waited_seconds", "waiting_since")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.waiting_since: float | None = None
        self.place = 0  # in the queue, as it began to wait
        self.waited_seconds = 0.0
        self.began = perf_counter()


pool_operation: ContextVar[CheckoutAttempt | Literal["dispose"] | None] = ContextVar("events.pool", default=None)
"""What this task or thread does with a pool now; SQLAlchemy's greenlets share the context of their task."""


class PoolTracker:
    """Times the checkouts of one engine; each ``dispose`` creates a new pool of the same, instrumented class."""

    def __init__(self, name: str, *, statements: bool, own: bool, on_recreate: Callable[[], None]) -> None:
        self._name = name
        self.on_recreate = on_recreate  # is called as a pool is replaced by a new one
        self._statements = statements
        self._own = own
        self.waiting: dict[int, CheckoutAttempt] = {}  # by the attempt's id
        self.peak_pending = Peak()
        self._classes: tuple[type[Pool], type[Pool]] | None = None  # the pool's own, and the instrumented one

    @property
    def pending(self) -> int:
        """How many wait in the queue now."""
        return len(self.waiting)

    def reset(self) -> None:
        """Clear the queue: in a process that was forked off, nobody waits."""
        self.waiting.clear()
        self.peak_pending = Peak()

    def wrap(self, pool: Pool) -> None:
        """Replace the class of a pool by one that times checkouts; report it if that class cannot be replaced."""
        plain = type(pool)
        try:
            instrumented = instrumented_pool_class(plain, self)
            pool.__class__ = instrumented
        except TypeError as error:
            report_failure(connection_acquired.name, BRIDGE, error)
        else:
            self._classes = plain, instrumented

    def unwrap(self, pool: Pool) -> None:
        """Restore the class of a pool."""
        if self._classes is not None and type(pool) is self._classes[1]:
            pool.__class__ = self._classes[0]

    def listeners(self) -> Iterator[tuple[str, Any, dict[str, bool]]]:
        """Return event names, listeners and options: what ends a wait where a pool's private methods cannot."""
        if pool_methods() is None:
            for hook in ("do_connect", "checkout"):
                yield hook, swallow_errors(connection_acquired.name, self.end_wait), {"insert": True}

    def end_wait(self, *_: Any) -> None:
        """End the wait of what asks for a connection now: from here on it is the database that is waited for."""
        attempt = pool_operation.get()
        if isinstance(attempt, CheckoutAttempt):
            self.stop_waiting(attempt)

    def start_waiting(self, attempt: CheckoutAttempt) -> None:
        """Add an attempt to the queue."""
        self.waiting[id(attempt)] = attempt
        attempt.place = len(self.waiting)
        attempt.waiting_since = perf_counter()

    def stop_waiting(self, attempt: CheckoutAttempt) -> None:
        """Take an attempt out of the queue; does nothing if it is out already."""
        if self.waiting.pop(id(attempt), None) is not None and attempt.waiting_since is not None:
            attempt.waited_seconds += perf_counter() - attempt.waiting_since
            self.note_wait(attempt)

    def note_wait(self, attempt: CheckoutAttempt) -> None:
        """Note how long the queue was when an attempt began to wait, if it had to: each passes through the queue."""
        if attempt.waited_seconds >= SHORTEST_WAIT and attempt.place > self.peak_pending.highest:
            self.peak_pending.highest = attempt.place

    def emit_acquired(self, attempt: CheckoutAttempt, error: BaseException | None) -> None:
        """Emit `connection_acquired`, with the outcome of an attempt."""
        duration = perf_counter() - attempt.began
        outcome = "ok" if error is None else failed_outcome(error)
        wait = attempt.waited_seconds
        connection_acquired.emit(pool=self._name, outcome=outcome, duration=duration, wait=wait, own=self._own)
        # SQLAlchemy's event has the driver's errors alone; asyncpg lets those of the operating system through.
        if error is not None and outcome == "error" and self._statements and not is_of_driver(error):
            database_failed.emit(
                pool=self._name,
                phase="connect",
                error=connect_error_reason(error),
                exception=type(error).__name__,
                own=self._own,
            )


def failed_outcome(error: BaseException) -> Literal["ok", "timeout", "cancelled", "error"]:
    """Return the outcome of an attempt that raised."""
    if isinstance(error, PoolTimeout):
        return "timeout"
    return "error" if isinstance(error, Exception) else "cancelled"


def is_of_driver(error: BaseException) -> bool:
    """Return whether an exception is one of a driver's: PEP 249 names their base class."""
    return any(parent.__name__ == "Error" for parent in type(error).__mro__)


def instrumented_pool_class(plain: type[Pool], tracker: PoolTracker) -> type[Pool]:
    """Return a subclass of a pool's class that times checkouts.

    A subclass is needed because `PoolEvents` has no hook for a checkout that waits, or that fails.
    """
    connect = plain.connect
    methods = pool_methods()
    stop_waiting, emit_acquired = tracker.stop_waiting, tracker.emit_acquired

    class InstrumentedPool(plain):  # type: ignore[misc, valid-type]  # made while the program runs
        def connect(self) -> Any:
            before = pool_operation.get()
            attempt = CheckoutAttempt(self)
            pool_operation.set(attempt)
            if methods is None:
                tracker.start_waiting(attempt)
            failure: BaseException | None = None
            try:
                return connect(self)
            except BaseException as error:
                failure = error
                raise
            finally:
                pool_operation.set(before)
                if methods is None:
                    stop_waiting(attempt)
                emit_acquired(attempt, failure)
                failure = (
                    None  # its traceback refers to this frame: the cycle would hold on to what the failed call held
                )

        def dispose(self) -> None:
            before = pool_operation.get()
            pool_operation.set("dispose")
            try:
                super().dispose()
            finally:
                pool_operation.set(before)

        def recreate(self) -> Pool:
            tracker.on_recreate()
            made: Pool = super().recreate()
            return made

    if methods is not None:
        for name, method in timed_queue_methods(plain, methods, tracker).items():
            setattr(InstrumentedPool, name, method)
    opening = timed_static_opening(plain, tracker.end_wait)
    if opening is not None:
        setattr(InstrumentedPool, STATIC_OPENING, opening)
    # Under the class's own name: SQLAlchemy names the pool's logger by it.
    InstrumentedPool.__name__, InstrumentedPool.__qualname__ = plain.__name__, plain.__qualname__
    InstrumentedPool.__module__ = plain.__module__
    return InstrumentedPool


def timed_queue_methods(plain: type[Pool], methods: PoolMethods, tracker: PoolTracker) -> dict[str, Callable[..., Any]]:
    """Return overrides of the methods that a pool's ``connect`` calls, by name: they separate waiting from opening."""
    take, open_connection = getattr(plain, methods.take), getattr(plain, methods.open)
    waiting, stop_waiting = tracker.waiting, tracker.stop_waiting

    def timed_take(self: Pool) -> Any:
        attempt = pool_operation.get()
        if type(attempt) is not CheckoutAttempt or attempt.waiting_since is not None:
            return take(self)  # it calls itself again where another thread was quicker
        key = id(attempt)
        waiting[key] = attempt
        attempt.place = len(waiting)
        attempt.waiting_since = since = perf_counter()
        try:
            return take(self)
        finally:
            if key in waiting:  # as `stop_waiting`, without the call
                attempt.waited_seconds = waited = perf_counter() - since
                del waiting[key]
                if waited >= SHORTEST_WAIT:
                    tracker.note_wait(attempt)

    def timed_open(self: Pool) -> Any:
        attempt = pool_operation.get()
        if isinstance(attempt, CheckoutAttempt):
            stop_waiting(attempt)  # out of the queue: from here on it is the database that is waited for
        return open_connection(self)

    return {methods.take: timed_take, methods.open: timed_open}
