"""The garbage collector at the worst of moments: what it finds unended tells of its end amid whatever is under way."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge

from metrics.multiprocess.file_layout import FamilySchema
from metrics.subscription.in_flight import InFlightTable
from metrics.subscription.label_limits import LabelLimiter
from tests.support.exemplar_worker import FIRST, QUICK, ExemplarWorker

SOON = range(1, 120)
"""After how many allocations the collector comes."""

pytestmark = pytest.mark.timeout(60)


class Left:
    """In a cycle, as a span is that nobody ended."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.itself = self
        self._end = end

    def __del__(self) -> None:
        self._end()


@contextmanager
def collected(after: int, *ends: Callable[[], object]) -> Iterator[None]:
    """Let the collector find what does these, after so many allocations or at the end."""
    thresholds = gc.get_threshold()
    gc.freeze()  # what is there already is not looked through each time
    for end in ends:
        Left(end)
    gc.set_threshold(after)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()
        gc.unfreeze()


def test_exemplars_and_series_may_come_while_another_series_is_made(tmp_path: Path) -> None:
    """Each has a place of its own in the file, the other workers read all of them, and nothing hangs."""
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


@pytest.mark.parametrize("kind", ["counter", "gauge"])
def test_a_series_that_is_made_within_its_own_making_is_one(tmp_path: Path, kind: str) -> None:
    """Whoever made it moves the same numbers, and of a gauge the others see no second one at zero."""
    with ExemplarWorker(tmp_path) as here, ExemplarWorker(tmp_path) as other:
        way, across = (Counter, "total") if kind == "counter" else (Gauge, "livemax")
        _, shown = other.workers.create_instruments(way, "made", "m", ["who"], across)  # type: ignore[arg-type]  # one of the words
        other.registry.register(shown)
        page, shape = here.workers._file, FamilySchema("made", kind, across, ("who",))  # type: ignore[arg-type]  # the same
        for after in SOON:
            within: list[object] = []
            with collected(after, lambda after=after, to=within: to.append(page.add_series(shape, (str(after),)))):  # type: ignore[misc]
                [number] = taken = page.add_series(shape, (str(after),))
            assert within == [taken]
            assert within[0] is taken
            number.set(-1.0)
        name = "made_total" if kind == "counter" else "made"
        list(other.registry.collect())
        assert [other.registry.get_sample_value(name, {"who": str(after)}) for after in SOON] == [-1.0] * len(SOON)


class Late:
    """A gauge that the collector comes before."""

    shown = 0.0

    def set(self, value: float) -> None:
        gc.collect()
        self.shown = value


def test_what_is_open_may_be_closed_while_something_is_opened() -> None:
    """The gauge shows how much is open at last."""
    table, gauge = InFlightTable(), Late()
    table.open("left", gauge)
    with collected(10**6, lambda: table.close("left")):
        table.open("kept", gauge)
        assert gauge.shown == 1
    table.close("kept")
    assert gauge.shown == 0


def test_labels_may_be_admitted_while_others_are() -> None:
    labels = LabelLimiter({"model": 2 * len(SOON)})
    for after in SOON:
        with collected(after, lambda after=after: labels.admit("model", f"left {after}")):  # type: ignore[misc]
            labels.admit("model", f"kept {after}")
    assert labels.admit("model", "one more") == "other"
