"""Samples that were counted as ``other``, reported without an event for each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from threading import Lock

from events import label_overflowed
from events.bus.after_fork import clear_after_fork, free_after_fork


class Overflows:
    """The (metric, label) pairs whose values are ``other`` in one combination of labels, and how often they were.

    The first time is emitted at once as `label_overflowed`, later ones together: at each render, since an event for
    each sample would cost more than the sample.
    """

    __slots__ = ("__weakref__", "_calls", "_emitted", "_emitting", "_pairs", "_reads")

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)
        self._emitting = free_after_fork(Lock())
        self.clear()
        clear_after_fork(self)

    def clear(self) -> None:
        """Begin at 0: what the process counted that this one was forked from is for that one to emit."""
        self._calls = count()  # `next` is atomic, so that neither threads nor the garbage collector lose any
        self._reads = 0  # each takes a number too
        self._emitted = 0

    def add(self) -> None:
        """Count one more sample of each pair."""
        if next(self._calls) == self._reads and not self._emitted:  # the first, whatever was rendered before it
            self.emit()

    def emit(self) -> None:
        """Emit `label_overflowed` for each pair, with how many samples there were since the last time, if any."""
        if not self._emitting.acquire(blocking=False):
            return  # by another thread, or around this call: the next time has the rest
        try:
            total = next(self._calls) - self._reads
            self._reads += 1
            new, self._emitted = total - self._emitted, total
        finally:
            self._emitting.release()
        if new:
            for metric, label in self._pairs:
                label_overflowed.emit(metric=metric, label=label, count=new)
