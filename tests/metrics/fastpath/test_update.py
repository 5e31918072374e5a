"""Fast updates do what prometheus_client's own methods do."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.values import MutexValue

from metrics.fastpath import update
from metrics.fastpath.children import values_of
from metrics.fastpath.lock import LOCK
from metrics.fastpath.plan import AmountUpdate, ChildUpdate, UpdatePlan
from metrics.fastpath.public_update import Expected, SetArguments, UpdateFn, public_update
from metrics.fastpath.set_fields import SetFields
from metrics.fastpath.update import update_function
from metrics.multiprocess import Workers


class Array:
    """An object whose comparisons are neither true nor false."""

    def __ge__(self, _: object) -> Array:
        return self

    def __lt__(self, _: object) -> Array:
        return self

    def __bool__(self) -> bool:
        raise ValueError

    def __repr__(self) -> str:
        return "array"


MINIMUM, LIMIT = 0, 2.0**63
AMOUNTS = (
    st.floats(0, 2.0**62) | st.integers(0, 2**62) | st.sampled_from([0, 0.5, 1, 2.5, True, Fraction(1, 2), Decimal(1)])
)
NO_NUMBERS = ["soon", 1j, Decimal("nan"), Array()]
INVALID = st.sampled_from([-1, float("nan"), float("inf"), 2.0**63, *NO_NUMBERS])
BUCKETS = st.lists(st.floats(0, 1e9), min_size=1, unique=True).map(sorted)
FIELDS_OF_EACH = st.none() | AMOUNTS | INVALID

Make = Callable[[UpdatePlan], UpdateFn]


class Event(NamedTuple):
    """An event with an amount for each of three metrics."""

    a: Any = None
    b: Any = None
    c: Any = None


class Bench:
    """A registry with a counter of events, the time of the last one, and three metrics of amounts."""

    def __init__(self, make_update: Make, buckets: list[float], workers: Workers | None = None) -> None:
        self.registry = CollectorRegistry()
        self.workers = workers
        if workers is not None:
            workers.attach(self.registry)
        self.dropped: list[tuple[str, str]] = []
        self.failed: list[str] = []
        self.events, self.last = self.metric(Counter, "events"), self.metric(Gauge, "last")
        self.labelled = self.metric(Histogram, "labelled", ["label"], buckets=buckets)
        self.children = [
            self.metric(Histogram, "bare", buckets=buckets),
            self.labelled.labels("a"),
            self.metric(Counter, "sum", ["label"]).labels("b"),
        ]
        self.update = make_update(
            UpdatePlan(
                counters=(ChildUpdate("events", self.events),),
                timestamps=(ChildUpdate("last", self.last),),
                amounts=tuple(
                    AmountUpdate(field, child, field, MINIMUM, LIMIT)
                    for child, field in zip(self.children, "abc", strict=True)
                ),
                on_dropped=lambda update, amount: self.dropped.append((update.metric, repr(amount))),
                on_failure=lambda metric, _: self.failed.append(metric),
            )
        )

    def metric(self, kind: Any, name: str, labels: Any = (), **options: Any) -> Any:
        if self.workers is None:
            return kind(name, "h", labels, registry=self.registry, **options)
        mode: Any = "livemostrecent" if kind is Gauge else "total"
        own, exported = self.workers.create_instruments(kind, name, "h", labels, mode, **options)
        self.registry.register(exported)
        return own

    def text(self) -> list[bytes]:
        """Return the exposition's lines, without times."""
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


def by_values(make_update: Callable[..., UpdateFn], *expected: Expected) -> Make:
    """Pass the values of fields instead of events, in another order than the plan names them."""

    def make(plan: UpdatePlan) -> UpdateFn:
        update = make_update(plan, ("c", "unused", "a", "b"), None, *expected)
        return lambda event: update((event.c, "unused", event.a, event.b))

    return make


@dataclass(frozen=True, kw_only=True)
class Set:
    """An event whose fields are set by name."""

    a: Any = None
    b: Any = None
    c: Any = None


def by_arguments(make_update: Callable[..., UpdateFn], *expected: Expected) -> Make:
    """Pass each value as an argument."""
    arguments = SetArguments(SetFields(Set, "cab"), ("c", "a", "b"))

    def make(plan: UpdatePlan) -> UpdateFn:
        update = make_update(plan, None, arguments, *expected)
        return lambda event: update(event.c, event.a, event.b)

    return make


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(events=st.lists(st.builds(Event, *[FIELDS_OF_EACH] * 3), max_size=20), buckets=BUCKETS)
def test_fast_and_public_updates_lead_to_the_same_text(
    workers: Callable[[], Workers], events: list[Event], buckets: list[float]
) -> None:
    """Valid amounts or not, of one process or several, by events, values or arguments, the buckets' bounds as well."""
    assert update.fast_update_works()
    fast, public = Bench(update_function, buckets), Bench(public_update, buckets)
    benches = [fast, public, Bench(update_function, buckets, workers())]
    benches += [Bench(by_values(update_function), buckets), Bench(by_values(public_update), buckets)]
    benches += [Bench(by_values(update_function), buckets, workers())]
    benches += [Bench(by_arguments(update_function), buckets), Bench(by_arguments(public_update), buckets)]
    together = Expected(lambda _: None)
    for by in (by_values, by_arguments):
        benches += [
            Bench(by(update_function, together), buckets),
            Bench(by(update_function, together), buckets, workers()),
        ]
    for event in (*events, *(Event(bound, bound, bound) for bound in buckets)):
        for bench in benches:
            bench.update(event)
    for bench in benches:
        assert bench.text() == fast.text()
        assert bench.dropped == fast.dropped
    assert fast.last._value.get() == pytest.approx(public.last._value.get(), abs=60)


def test_whole_bounds_of_integer_amounts_are_integers() -> None:
    """Where the amounts are checked together, so that each is known to be one."""
    child = Histogram("size", "Sizes.", buckets=[0.5, 1, 1024], registry=None)
    for minimum, together, whole in ((0, {"size"}, int), (0.0, {"size"}, float), (0, set(), float)):
        amounts = (AmountUpdate("size", child, "size", minimum, 10**15),)
        plan = UpdatePlan(amounts=amounts, on_dropped=lambda *_: None, on_failure=lambda *_: None)
        arguments = update.update_arguments(plan, amounts, together)
        assert arguments["bounds0"] == [0.5, 1, 1024, float("inf")]
        assert [type(bound) for bound in arguments["bounds0"]] == [float, whole, whole, float]


def test_a_version_that_works_otherwise_is_updated_by_its_public_methods(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs time, and a warning, but no count."""
    update.fast_update_works.cache_clear()
    try:
        with monkeypatch.context() as changed, caplog.at_level(logging.WARNING, "metrics"):
            changed.setattr(Counter, "inc", lambda self, amount=1: self._value.inc(2 * amount))
            bench = Bench(update_function, [1.0])
            bench.update(Event(c=3))
            assert bench.events._value.get() == 2
            assert bench.children[2]._value.get() == 6
        assert "the slow way" in caplog.text
    finally:
        update.fast_update_works.cache_clear()


def test_a_value_of_another_class_is_updated_by_its_public_methods() -> None:
    """It may do more than hold a number: those of prometheus_client's own multiprocess files do."""
    incremented: list[float] = []

    class Recorded(MutexValue):
        def inc(self, amount: float) -> None:
            incremented.append(amount)

    def make_update(plan: UpdatePlan) -> UpdateFn:
        plan.amounts[2].child._value = Recorded("counter", "n", "n", (), (), "h")  # type: ignore[no-untyped-call]
        return update_function(plan)

    bench = Bench(make_update, [1.0])
    bench.update(Event(a=0.5, c=2.0))
    assert incremented == [2.0]
    assert bench.events._value.get() == 1


@pytest.mark.parametrize("values", ["own", "shared", "own and shared", "shared with times", "of another class", "none"])
def test_values_of_one_process_or_of_several_are_updated_by_generated_code(
    values: str, workers: Callable[[], Workers]
) -> None:
    """Others, and a mixture, by prometheus_client's methods: it is a matter of speed alone."""

    class Recorded(MutexValue):
        pass

    used: list[UpdateFn] = []

    def make_update(plan: UpdatePlan) -> UpdateFn:
        if values == "of another class":
            plan.amounts[2].child._value = Recorded("counter", "n", "n", (), (), "h")  # type: ignore[no-untyped-call]
        if values == "own and shared":
            plan.amounts[2].child._value = MutexValue("counter", "n", "n", (), (), "h")  # type: ignore[no-untyped-call]
        if values == "shared":
            plan = replace(plan, timestamps=())
        if values == "none":
            plan = replace(plan, counters=(), timestamps=(), amounts=())
        used.append(update_function(plan))
        return used[-1]

    Bench(make_update, [1.0], workers() if "shared" in values else None)
    [made] = used
    generated = made.__code__.co_filename.startswith("<metrics update")
    assert generated is (values in ("own", "shared", "none"))
    assert made.__code__.co_filename.endswith("in shared cells>") is (values == "shared")


def test_the_values_that_an_event_updates_share_the_one_lock(workers: Callable[[], Workers]) -> None:
    """So that prometheus_client's own methods, which may be called beside, lose no update."""
    for bench in (Bench(update_function, [1.0]), Bench(update_function, [1.0], workers())):
        values = [value for child in (bench.events, *bench.children) for value in values_of(child)]
        assert {id(value._lock) for value in values} == {id(LOCK)}


def test_a_metric_that_fails_does_not_starve_the_others() -> None:
    class Broken:
        def inc(self, _: float) -> None:
            raise ZeroDivisionError

        def get(self) -> float:
            return 0.0

    def make_update(plan: UpdatePlan) -> UpdateFn:
        plan.amounts[0].child._sum = Broken()
        return update_function(plan)

    bench = Bench(make_update, [1.0])
    bench.update(Event(1, 2, 3))
    assert bench.failed == ["a"]
    assert bench.children[2]._value.get() == 3


def test_an_event_in_the_middle_of_anothers_update_does_not_deadlock() -> None:
    """As when the garbage collector returns a connection to its pool while a value is updated."""
    bench = Bench(update_function, [1.0])
    with LOCK:
        bench.update(Event(c=5))
    assert bench.children[2]._value.get() == 5


class Interrupted(Exception):
    """Raised by a signal's handler."""


@pytest.fixture
def interrupted() -> Iterator[signal.Signals]:
    """Return a signal whose handler raises; not the one that ends tests that take too long."""

    def handle(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGVTALRM, handle)
    yield signal.SIGVTALRM
    signal.signal(signal.SIGVTALRM, before)


def is_free() -> bool:
    """Return whether another thread can acquire the lock."""
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(LOCK.acquire, timeout=1).result()
        if taken:
            thread.submit(LOCK.release).result()
    return taken


@pytest.mark.slow
@pytest.mark.usefixtures("interrupted")
def test_an_exception_of_a_signal_handler_leaves_the_lock_free() -> None:
    """At whatever moment it comes; whoever emitted the event sees it."""
    bench = Bench(update_function, [1.0])

    def update_until_interrupted(after: float) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, after)  # it counts this process's CPU time, in steps of milliseconds
        while True:
            bench.update(Event(c=1))

    for number in range(300):
        with pytest.raises(Interrupted):
            update_until_interrupted(0.0002 + number * 1e-6)
    assert is_free()


@pytest.mark.slow
def test_an_exception_of_a_signal_handler_reaches_the_code_that_waits_for_the_lock(interrupted: signal.Signals) -> None:
    bench = Bench(update_function, [1.0])
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
            bench.update(Event(c=1))
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


@pytest.mark.slow
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    """The thread that held the lock is not in the child, which would wait for ever."""
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=60)
