"""A lock that a thread holds as its process is forked is free in the new one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from events.bus.after_fork import free_after_fork
from metrics.fastpath.lock import LOCK
from metrics.subscription.combined_gauge import CombinedGauge
from metrics.subscription.expiry import Expiry
from metrics.subscription.label_limits import LabelLimiter
from metrics.subscription.overflows import Overflows
from tests.support.forks import in_child

LOCKS: dict[str, Callable[[], Any]] = {
    "lock": lambda: free_after_fork(threading.Lock()),
    "reentrant": lambda: free_after_fork(threading.RLock()),
    "of all values": lambda: LOCK,
    "of expiries": lambda: Expiry()._lock,
    "of gauges past a limit": lambda: CombinedGauge("livesum")._lock,
    "of labels": lambda: LabelLimiter({})._lock,
    "of overflows": lambda: Overflows([])._emitting,
}


@pytest.mark.parametrize("name", LOCKS)
def test_it_is_free_in_the_new_process_and_held_in_the_one_before(name: str) -> None:
    lock = LOCKS[name]()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        assert in_child(lambda: lock.acquire(timeout=1.0)) == "True"
        assert not lock.acquire(blocking=False)
    finally:
        done.set()
        holder.join()
