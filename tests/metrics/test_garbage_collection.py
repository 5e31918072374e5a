"""The garbage collector at the worst of moments: it ends a span, which emits an event in the middle of an update."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import get_ident
from time import monotonic

import pytest
from prometheus_client import Counter, Gauge

from metrics.multiprocess.file_layout import FamilySchema
from metrics.subscription.in_flight import InFlightTable
from metrics.subscription.label_limits import LabelLimiter
from tests.support.exemplar_worker import FIRST, QUICK, ExemplarWorker

SOON = range(1, 120)
"""After how many allocations the collector runs."""

pytestmark = pytest.mark.timeout(60)


class AbandonedSpan:
    """In a reference cycle, as a span may be that was never closed; it ends in the thread that left it.

    The collector may run in any thread that allocates, such as that by which a test run hears of the next test: there
    it would end beside the test, and not in the middle of it. Then another one is left in its place.
    """

    def __init__(self, end: Callable[[], object], thread: int) -> None:
        self.itself = self
        self._end = end
        self._thread = thread

    def __del__(self) -> None:
        if get_ident() == self._thread:
            self._end()
        else:
            AbandonedSpan(self._end, self._thread)


@contextmanager
def collected(after: int, *ends: Callable[[], object]) -> Iterator[None]:
    """Let the collector find objects that do these when they are freed, after so many allocations or at the end."""
    thresholds = gc.get_threshold()
    gc.freeze()  # what exists already is not searched each time, then or later
    left = [*ends]

    def do(end: Callable[[], object]) -> None:
        left.remove(end)
        end()

    for end in ends:
        AbandonedSpan(partial(do, end), get_ident())
    gc.set_threshold(after)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        deadline = monotonic() + 30
        while left and monotonic() < deadline:
            gc.collect()  # which does nothing while another thread does it
    assert not left


@pytest.mark.slow
def test_exemplars_and_series_may_appear_while_another_series_is_created(tmp_path: Path) -> None:
    """Each has its own place in the file, the other workers read all of them, and nothing deadlocks."""
    with ExemplarWorker(tmp_path) as here, ExemplarWorker(tmp_path) as other:
        made, _ = here.workers.create_instruments(Counter, "made", "m", ["who"], "total")
        _, shown = other.workers.create_instruments(Counter, "made", "m", ["who"], "total")
        other.registry.register(shown)
        for after in SOON:
            with collected(
                after,
                lambda: here.observe("first", FIRST),
                lambda: here.observe("quick", QUICK),
                lambda after=after: here.calls.labels(str(after)).inc(1, {"trace_id": "new"}),  # type: ignore[misc]
            ):
                made.labels(str(after)).inc(after)
        trace_ids = other.trace_ids()
        assert (trace_ids.pop(FIRST), trace_ids.pop(QUICK)) == ("first", "quick")
        assert trace_ids == {("calls_total", str(after)): "new" for after in SOON}
        for after in SOON:
            assert other.registry.get_sample_value("made_total", {"who": str(after)}) == after
            assert other.registry.get_sample_value("calls_total", {"who": str(after)}) == 1.0
        assert other.registry.get_sample_value("calls_total", {"who": "a"}) == len(SOON)
        assert other.registry.get_sample_value("took_count") == len(SOON)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["counter", "gauge"])
def test_a_series_that_is_created_within_its_own_creation_is_one(tmp_path: Path, kind: str) -> None:
    """Both creators update the same values, and of a gauge the others see no second one at zero."""
    with ExemplarWorker(tmp_path) as here, ExemplarWorker(tmp_path) as other:
        class_, mode = (Counter, "total") if kind == "counter" else (Gauge, "livemax")
        _, shown = other.workers.create_instruments(class_, "made", "m", ["who"], mode)  # type: ignore[arg-type]  # one of the words
        other.registry.register(shown)
        file, schema = here.workers._file, FamilySchema("made", kind, mode, ("who",))  # type: ignore[arg-type]  # the same
        for after in SOON:
            nested: list[object] = []
            with collected(after, lambda after=after, to=nested: to.append(file.add_series(schema, (str(after),)))):  # type: ignore[misc]
                [number] = added = file.add_series(schema, (str(after),))
            assert nested == [added]
            assert nested[0] is added
            number.set(-1.0)
        name = "made_total" if kind == "counter" else "made"
        list(other.registry.collect())
        assert [other.registry.get_sample_value(name, {"who": str(after)}) for after in SOON] == [-1.0] * len(SOON)


class CollectingGauge:
    """A gauge before whose update the collector runs."""

    value = 0.0

    def set(self, value: float) -> None:
        gc.collect()
        self.value = value


@pytest.mark.slow
def test_a_span_may_be_closed_while_another_is_opened() -> None:
    """In the end the gauge shows how many are open."""
    table, gauge = InFlightTable(), CollectingGauge()
    table.open("left", gauge)
    with collected(10**6, lambda: table.close("left")):
        table.open("kept", gauge)
        assert gauge.value == 1
    table.close("kept")
    assert gauge.value == 0


def test_label_values_may_be_admitted_while_others_are() -> None:
    limiter = LabelLimiter({"model": 2 * len(SOON)})
    for after in SOON:
        with collected(after, lambda after=after: limiter.admit("model", f"left {after}")):  # type: ignore[misc]
            limiter.admit("model", f"kept {after}")
    assert limiter.admit("model", "one more") == "other"
