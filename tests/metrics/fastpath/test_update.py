"""The short way into instruments does what prometheus_client's own methods do."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.values import MutexValue

from metrics.fastpath import update
from metrics.fastpath.lock import LOCK
from metrics.fastpath.update import Moved, Mover, Take, mover, public
from metrics.multiprocess import Workers


class Array:
    """What compares, but not to true or false."""

    def __ge__(self, _: object) -> Array:
        return self

    def __lt__(self, _: object) -> Array:
        return self

    def __bool__(self) -> bool:
        raise ValueError

    def __repr__(self) -> str:
        return "array"


LEAST, LIMIT = 0, 2.0**63
AMOUNTS = st.floats(0, 2.0**62) | st.integers(0, 2**62) | st.sampled_from([0, 0.5, 1, 2.5])
ODD = st.sampled_from([-1, float("nan"), float("inf"), 2.0**63, "soon", 1j, Decimal(1), Decimal("nan"), Array()])
LADDERS = st.lists(st.floats(0, 1e9), min_size=1, unique=True).map(sorted)


class Event(NamedTuple):
    """What three instruments take."""

    a: Any = None
    b: Any = None
    c: Any = None


class Bench:
    """A registry with a counter of events, the time of the last one, and what takes amounts, moved in some way."""

    def __init__(self, way: Callable[[Moved], Mover], ladder: list[float], workers: Workers | None = None) -> None:
        self.registry = CollectorRegistry()
        self.workers = workers
        if workers is not None:
            workers.attach(self.registry)
        self.refused: list[tuple[object, ...]] = []
        self.failed: list[str] = []
        shape = {"buckets": ladder}
        self.told, self.last = self.make(Counter, "told"), self.make(Gauge, "last")
        self.labelled = self.make(Histogram, "labelled", ["label"], **shape)
        self.children = [
            self.make(Histogram, "bare", **shape),
            self.labelled.labels("a"),
            self.make(Counter, "sum", ["label"]).labels("b"),
        ]
        takes = [Take(child, field, LEAST, LIMIT, field) for child, field in zip(self.children, "abc", strict=True)]
        self.move = way(Moved([(self.told, "told")], [(self.last, "last")], takes, self.refuse, self.fail))

    def make(self, kind: Any, name: str, labels: Any = (), **more: Any) -> Any:
        if self.workers is None:
            return kind(name, "h", labels, registry=self.registry, **more)
        moved, shown = self.workers.create_instruments(
            kind, name, "h", labels, "livemostrecent" if kind is Gauge else "total", **more
        )
        self.registry.register(shown)
        return moved

    def refuse(self, *refused: object) -> None:
        self.refused.append(tuple(map(repr, refused)))

    def fail(self, name: str, _: Exception) -> None:
        self.failed.append(name)

    def text(self) -> list[bytes]:
        """Give what is shown, but for times."""
        lines = generate_latest(self.registry).splitlines()
        return [line for line in lines if b"_created" not in line and not line.startswith(b"last ")]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[[], Workers]]:
    made: list[Workers] = []

    def make() -> Workers:
        made.append(Workers(tmp_path / str(len(made))))
        return made[-1]

    yield make
    for each in made:
        each.close()


def by_values(way: Callable[..., Mover]) -> Callable[[Moved], Mover]:
    """Take the fields of an event one by one, in another order than they are asked for."""

    def make(moved: Moved) -> Mover:
        move = way(moved, ("c", "unused", "a", "b"))
        return lambda event: move((event.c, "unused", event.a, event.b))

    return make


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(events=st.lists(st.builds(Event, *[st.none() | AMOUNTS | ODD] * 3), max_size=20), ladder=LADDERS)
def test_every_way_writes_the_same_text(
    workers: Callable[[], Workers], events: list[Event], ladder: list[float]
) -> None:
    """Whatever is taken or refused, in one process or with others, by events or values, bounds themselves among it."""
    assert update.fast_update_works()
    own, theirs, shared = Bench(mover, ladder), Bench(public, ladder), Bench(mover, ladder, workers())
    benches = [own, theirs, shared]
    benches += [Bench(by_values(mover), ladder), Bench(by_values(public), ladder)]
    benches += [Bench(by_values(mover), ladder, workers())]
    for event in (*events, *(Event(bound, bound, bound) for bound in ladder)):
        for bench in benches:
            bench.move(event)
    for bench in benches:
        assert bench.text() == own.text()
        assert bench.refused == own.refused
    assert own.last._value.get() == pytest.approx(theirs.last._value.get(), abs=60)


def test_a_version_with_other_parts_is_moved_the_public_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One whose methods do otherwise costs time, and a warning, but no number."""
    update.fast_update_works.cache_clear()
    try:
        with monkeypatch.context() as changed, caplog.at_level(logging.WARNING, "metrics"):
            changed.setattr(Counter, "inc", lambda self, amount=1: self._value.inc(2 * amount))
            bench = Bench(mover, [1.0])
            bench.move(Event(c=3))
            assert bench.told._value.get() == 2
            assert bench.children[2]._value.get() == 6
        assert "the slow way" in caplog.text
    finally:
        update.fast_update_works.cache_clear()


def test_a_number_of_another_class_is_moved_the_public_way() -> None:
    """It may do more than hold a value: those of prometheus_client's own files of several processes do."""
    moved: list[float] = []

    class Recorded(MutexValue):
        def inc(self, amount: float) -> None:
            moved.append(amount)

    def way(what: Moved) -> Mover:
        what.takes[2].child._value = Recorded("counter", "n", "n", (), (), "h")  # type: ignore[no-untyped-call]
        return mover(what)

    bench = Bench(way, [1.0])
    bench.move(Event(a=0.5, c=2.0))
    assert moved == [2.0]
    assert bench.told._value.get() == 1


def test_one_that_fails_does_not_starve_the_others() -> None:
    class Broken:
        def inc(self, _: float) -> None:
            raise ZeroDivisionError

        def get(self) -> float:
            return 0.0

    def way(what: Moved) -> Mover:
        what.takes[0].child._sum = Broken()
        return mover(what)

    bench = Bench(way, [1.0])
    bench.move(Event(1, 2, 3))
    assert bench.failed == ["a"]
    assert bench.children[2]._value.get() == 3


def test_an_event_in_the_middle_of_another_does_not_wait_for_itself() -> None:
    """As when the garbage collector gives back a connection while a number is moved."""
    bench = Bench(mover, [1.0])
    with LOCK:
        bench.move(Event(c=5))
    assert bench.children[2]._value.get() == 5


class Interrupted(Exception):
    """What a signal's handler raises."""


@pytest.fixture
def interrupted() -> Iterator[signal.Signals]:
    """Give a signal whose handler raises; not the one that ends tests that take too long."""

    def handle(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGVTALRM, handle)
    yield signal.SIGVTALRM
    signal.signal(signal.SIGVTALRM, before)


def is_free() -> bool:
    """Tell whether a thread that has nothing to do with it can take the lock."""
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(LOCK.acquire, timeout=1).result()
        if taken:
            thread.submit(LOCK.release).result()
    return taken


@pytest.mark.usefixtures("interrupted")
def test_what_a_signals_handler_raises_leaves_the_lock_free() -> None:
    """At whatever moment it comes; whoever told the event sees it."""
    bench = Bench(mover, [1.0])

    def move_until_interrupted(after: float) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, after)  # it counts this process's CPU time, in steps of milliseconds
        while True:
            bench.move(Event(c=1))

    for number in range(300):
        with pytest.raises(Interrupted):
            move_until_interrupted(0.0002 + number * 1e-6)
    assert is_free()


def test_what_a_signals_handler_raises_is_seen_by_who_waits_for_the_lock(interrupted: signal.Signals) -> None:
    bench = Bench(mover, [1.0])
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with LOCK:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold, daemon=True)
    interruption = threading.Timer(0.05, signal.pthread_kill, (threading.get_ident(), interrupted))
    holder.start()
    assert held.wait(10)
    interruption.start()
    try:
        with pytest.raises(Interrupted):
            bench.move(Event(c=1))
        assert not is_free()
    finally:
        done.set()
        holder.join()
        interruption.join()
    assert is_free()


FORKING = """
import os, warnings
from threading import Event, Thread
from prometheus_client import CollectorRegistry
from events import tool_called
from metrics import CATALOGUE, subscribe
from metrics.fastpath.lock import LOCK

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads at every fork
subscribe(CATALOGUE, CollectorRegistry(), namespace="acme")
held, forked = Event(), Event()

def hold():
    with LOCK:
        held.set()
        forked.wait()

Thread(target=hold).start()
held.wait()
child = os.fork()
if child == 0:
    tool_called.emit(tool_name="search", status="success", duration=0.1)
    os._exit(0)
forked.set()
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    """Whoever held the lock there is not in the child, which would wait for ever."""
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=60)
