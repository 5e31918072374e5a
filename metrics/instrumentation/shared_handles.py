"""Engines and clients that several applications of one process have in common: the last one that ends undoes them."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from weakref import ref

from events.bus.after_fork import free_after_fork

Undo = Callable[[], object]

_lock = free_after_fork(RLock())
_shared: dict[int, SharedHandle] = {}
"""By the ids of the objects: some of them cannot be hashed."""


class SharedHandle:
    """The instrumentation of one object: how it is undone, and how many have asked for it."""

    def __init__(self, target: object, undo: Undo) -> None:
        self.undo = undo
        self.users = 0
        place = id(target)
        self._target = ref(target, lambda _: _shared.pop(place, None))  # another object may get its id


def acquire(target: object, instrument: Callable[[], Undo], is_instrumented: Callable[[], bool]) -> Undo:
    """Instrument an object unless it is, and return how to undo that; it is undone when all have done so.

    One that was instrumented by somebody else stays so.
    """
    with _lock:
        handle = _shared.get(id(target))
        if handle is None:
            if is_instrumented():
                return lambda: None
            handle = _shared[id(target)] = SharedHandle(target, instrument())
        handle.users += 1

    def release() -> None:
        with _lock:
            handle.users -= 1
            if handle.users == 0 and _shared.get(id(target)) is handle:
                del _shared[id(target)]
                handle.undo()

    return release
