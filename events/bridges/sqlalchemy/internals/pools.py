"""How a pool takes a connection from its queue and opens one, and how many it may open."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Pool, QueuePool, StaticPool

from .self_tests import self_test


@dataclass(frozen=True, slots=True)
class PoolMethods:
    """The methods that a pool calls to take a connection from its queue, and to open one."""

    take: str
    open: str


METHODS = PoolMethods(take="_do_get", open="_create_connection")
STATIC_OPENING = "connection"
"""The attribute of a `StaticPool` that opens its connection, the first time that it is read."""

MAX_OVERFLOW = "_max_overflow"
INVALIDATED_AT = "_invalidate_time"


def pool_methods() -> PoolMethods | None:
    """Return the methods of a pool to override, None where that would change nothing.

    The public alternative is `Pool.connect` with the events ``do_connect`` and ``checkout``: pings are part of the
    wait then, and, for an engine with a ``creator``, the opening of connections.
    """
    return METHODS if pool_methods_are_called() else None


@self_test("the wait for a connection includes the ping")
def pool_methods_are_called() -> bool:
    """Return whether a pool calls both methods, in this order, for a connection that has to be opened."""
    calls: list[str] = []

    class Opening(Exception):
        """Ends the attempt before there is a connection, of which pool events would be emitted."""

    def creator() -> Any:
        calls.append("creator")
        raise Opening

    def spy_on(name: str) -> Callable[[Any], Any]:
        method = getattr(QueuePool, name)

        def call(pool: Any) -> Any:
            calls.append(name)
            return method(pool)

        return call

    names = (METHODS.take, METHODS.open)
    spied: Any = type("QueuePool", (QueuePool,), {name: spy_on(name) for name in names})
    with suppress(Opening):
        spied(creator).connect()
    return calls == [*names, "creator"]


def timed_static_opening(plain: type[Pool], before: Callable[[], None]) -> Any:
    """Return, for a class of static pools, its attribute that opens the connection, with a call ``before``; else None.

    There is no public alternative: opening is part of the wait then.
    """
    if not issubclass(plain, StaticPool) or not static_opening_is_known():
        return None
    return with_call_before(getattr(plain, STATIC_OPENING), before)


def with_call_before(attribute: Any, before: Callable[[], None]) -> Any:
    """Return an attribute that is computed once, of SQLAlchemy's own kind, with a call before it is."""
    compute = attribute.fget

    def compute_after_call(pool: Any) -> Any:
        before()
        return compute(pool)

    compute_after_call.__name__ = compute.__name__  # under which its value is stored
    return type(attribute)(compute_after_call)


@self_test("the wait for the connection of a StaticPool includes opening it")
def static_opening_is_known() -> bool:
    """Return whether a static pool opens its connection by the attribute that was put in place of its own, once."""
    calls: list[str] = []

    def creator() -> Any:
        calls.append("creator")
        return SimpleNamespace(close=lambda: None)

    attribute = with_call_before(getattr(StaticPool, STATIC_OPENING), lambda: calls.append("opening"))
    pool = type("StaticPool", (StaticPool,), {STATIC_OPENING: attribute})(creator, reset_on_return=None)
    for _ in range(2):
        pool.connect().close()
    pool.dispose()
    return calls == ["opening", "creator"]


def max_overflow(pool: Pool) -> int | None:
    """Return how many connections a pool may open past its size: -1 without limit, None where that is not known.

    There is no public way to ask.
    """
    if not max_overflow_is_known():
        return None
    overflow: int = getattr(pool, MAX_OVERFLOW, -1)
    return overflow


@self_test("the capacity of pools is not known")
def max_overflow_is_known() -> bool:
    """Return whether the limit is found that a pool was made with."""
    pool: Any = QueuePool
    return getattr(pool(None, max_overflow=7), MAX_OVERFLOW, None) == 7


def pool_invalidated_at(pool: Pool) -> float:
    """Return the Unix time at which a pool gave up all connections that it had then, 0 if it never did.

    There is no public way to ask: such a connection counts as recycled then.
    """
    return float(getattr(pool, INVALIDATED_AT, 0.0)) if invalidation_is_known() else 0.0


@self_test("connections that are closed because another one was lost count as recycled")
def invalidation_is_known() -> bool:
    """Return whether a pool says when it was invalidated."""
    pool: Any = QueuePool(None)  # type: ignore[arg-type]  # it opens none
    before = getattr(pool, INVALIDATED_AT, None)
    pool._invalidate(object(), _checkin=False)  # noqa: SLF001  # the package's very purpose
    return before == 0 and getattr(pool, INVALIDATED_AT) > 0
