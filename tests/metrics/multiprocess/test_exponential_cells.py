"""Exponential buckets of several workers add up, whatever their resolutions, and whoever of them is gone."""

from __future__ import annotations

import math
from collections import Counter as Tally
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from metrics import Workers, render
from metrics.fastpath.exponential import bucket_index, lowest_index
from metrics.fastpath.native_buckets import NativeFamily, native_family
from metrics.fastpath.plan import AmountUpdate, UpdatePlan
from metrics.fastpath.update import update_function
from metrics.multiprocess import archive
from metrics.multiprocess.fault_reports import report_file_fault
from metrics.text_format.formats import PROTOBUF
from tests.support.counter_worker import LocalWorker, WorkerProcess, count_call
from tests.support.protobuf_scrapes import classic_counts, exponential_counts, read_scrape

NAME = "took_seconds"


class Observer:
    """One of several workers, whose histogram has exponential buckets."""

    def __init__(
        self,
        folder: Path,
        schema: int | None,
        max_buckets: int,
        *,
        bounds: tuple[float, ...] = (0.1, 1, 10),
        **options: Any,
    ) -> None:
        self.workers = Workers(folder, **options)
        self.registry = CollectorRegistry()
        self.workers.attach(self.registry)
        native = None if schema is None else NativeFamily(schema, max_buckets)
        self.local, total = self.workers.create_instruments(
            Histogram, NAME, "h", ["k"], "total", buckets=bounds, native=native
        )
        self.registry.register(total)
        update = AmountUpdate(NAME, self.local.labels("a"), "amount", 0.0, 1e9, native_family(self.local))
        self._update = update_function(UpdatePlan(amounts=(update,), on_dropped=ignore, on_failure=ignore))

    def observe(self, amounts: list[float]) -> None:
        for amount in amounts:
            self._update(SimpleNamespace(amount=amount))

    def scraped(self) -> Any:
        """Return the message of the histogram, as a scrape of this worker has it."""
        [family] = read_scrape(render(self.registry, PROTOBUF)).families
        [metric] = family.metric
        return metric.histogram


def ignore(*_: object) -> None: ...


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0, 1e8) | st.floats(1e-3, 10), max_size=30), st.integers(-2, 5), st.integers(1, 20)
        ),
        min_size=2,
        max_size=4,
    ),
    st.integers(0, 4),
)
def test_the_counts_of_all_workers_add_up_at_one_resolution(
    workers: list[tuple[list[float], int, int]], leaving: int
) -> None:
    """Of those that are gone too, and in whichever order they count, and scrape, and leave."""
    amounts = [amount for each, _, _ in workers for amount in each]
    with TemporaryDirectory() as folder:
        observers = [Observer(Path(folder), schema, limit) for _, schema, limit in workers]
        for observer, (own, _, _) in zip(observers, workers, strict=True):
            observer.observe(own[:10])
            observers[0].scraped()
            observer.observe(own[10:])
        staying = observers[: max(1, len(observers) - leaving)]
        for observer in observers[len(staying) :]:
            observer.workers.close()
        for observer, (_, schema, limit) in zip(staying, workers, strict=False):
            message = observer.scraped()
            expected = Tally(bucket_index(amount, message.schema) for amount in amounts)
            assert message.zero_count == expected.pop(lowest_index(message.schema), 0)
            assert exponential_counts(message) == expected
            assert message.sample_count == len(amounts) == classic_counts(message)[-1][1]
            assert message.schema <= schema
            assert message.schema == -4 or len(expected) <= limit
        for observer in staying:
            observer.workers.close()


def test_a_process_that_counts_alone_shows_its_own(tmp_path: Path) -> None:
    """A file has no folder in it."""
    (tmp_path / "file").touch()
    observer = Observer(tmp_path / "file" / "workers", 3, 160)
    observer.observe([0.3, 0.3, 5])
    assert observer.workers.counts_alone
    assert exponential_counts(observer.scraped()) == {bucket_index(0.3, 3): 2, bucket_index(5, 3): 1}


def test_no_room_is_reported_by_the_next_scrape_and_the_classic_buckets_are_exact(
    folder: Path, faults: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The update that finds no room holds the lock, which a log handler may wait for."""
    observer = Observer(folder, 3, 160, capacity=8)
    observer.observe([0.3, 5])
    assert (faults, caplog.messages) == ([], [])
    assert [count for _, count in classic_counts(observer.scraped())] == [0, 1, 2, 2]
    assert faults == ["full"]
    assert "no room in" in caplog.text


def totals_of(counter: Any) -> dict[str, float]:
    """Return the value of each child of a counter without other labels than ``k``."""
    [family] = counter.collect()
    return {sample.labels["k"]: sample.value for sample in family.samples if sample.name.endswith("_total")}


def test_exponential_buckets_leave_room_for_what_is_counted_later(folder: Path, faults: list[str]) -> None:
    """They are as many as the amounts differ; a counter that is in no total is a number that is wrong."""
    observer = Observer(folder, 3, 160, capacity=60)
    local, total = observer.workers.create_instruments(Counter, "calls", "c", ["k"], "total")
    observer.observe([2.0**exponent for exponent in range(-20, 20)])
    for name in "abcdef":
        local.labels(name).inc()
    message = observer.scraped()
    assert faults == ["full"]
    assert classic_counts(message)[-1][1] == 40
    assert totals_of(total) == dict.fromkeys("abcdef", 1.0)
    for number in range(40):
        local.labels(f"more {number}").inc()
    assert faults == ["full", "full"]  # of what else is counted


def test_the_archive_leaves_room_too(folder: Path, faults: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_CELLS", 60)
    for names in ("abc", "def"):
        gone = Observer(folder, 3, 160)
        local, _ = gone.workers.create_instruments(Counter, "calls", "c", ["k"], "total")
        gone.observe([2.0**exponent for exponent in range(-20, 20)])
        for name in names:
            local.labels(name).inc()
        gone.workers.close()
        archive.archive_dead(folder, report_file_fault)
    here = Observer(folder, 3, 160)
    _, total = here.workers.create_instruments(Counter, "calls", "c", ["k"], "total")
    assert classic_counts(here.scraped())[-1][1] == 80
    assert totals_of(total) == dict.fromkeys("abcdef", 1.0)
    assert set(faults) == {"full"}
    here.workers.close()


def test_count_and_sum_are_of_the_same_observations(folder: Path) -> None:
    """Some workers have begun before the setting was changed; some amounts are observed by prometheus_client."""
    observers = [Observer(folder, 3, 160), Observer(folder, None, 0), Observer(folder, 1, 2)]
    for observer, amounts in zip(observers, ([0.25, 3.0, 90.0], [1000.0, 1000.0], [0.5, 7.0]), strict=True):
        observer.observe(amounts)
    observers[0].local.labels("a").observe(2000.0)
    for leaving in range(3):  # and out of the archive
        message = observers[0].scraped()
        assert (message.sample_count, message.sample_sum) == (5, 0.25 + 3 + 90 + 0.5 + 7)
        assert sum(exponential_counts(message).values()) == 5
        assert classic_counts(message)[-1][1] == 8
        observers[-1 - leaving].workers.close()


@pytest.mark.parametrize("ended", [False, True])
def test_exponential_buckets_go_on_where_the_classic_bounds_are_others(
    folder: Path, faults: list[str], *, ended: bool
) -> None:
    """As after an update, or while it is rolled out."""
    older, newer = Observer(folder, 3, 160), Observer(folder, 3, 160, bounds=(0.25, 1, 5))
    older.observe([0.05, 0.25, 3.0, 90.0])
    newer.observe([0.25, 7.0])
    if ended:
        older.workers.close()
    message = newer.scraped()
    assert (message.sample_count, message.sample_sum) == (6, 0.05 + 0.25 + 3 + 90 + 0.25 + 7)
    assert exponential_counts(message) == Tally(bucket_index(each, 3) for each in (0.05, 0.25, 3.0, 90.0, 0.25, 7.0))
    assert classic_counts(message) == [(0.25, 2), (1, 3), (5, 3), (math.inf, 6)]
    assert faults == []
    older.workers.close()
    newer.workers.close()


@pytest.mark.slow
def test_workers_that_were_killed_or_forked_are_in_the_sum(folder: Path) -> None:
    with LocalWorker(folder, native_histograms=True) as here:
        count_call()
        forking = WorkerProcess(folder, "fork", "native")
        assert forking.read_line() == "done"
        forking.wait()
        killed = WorkerProcess(folder, "run_agent", "native")
        assert killed.read_line() == "working"
        killed.kill()
        for _ in range(2):  # as they die, and out of the archive
            families = {family.name: family for family in read_scrape(render(here.registry, PROTOBUF)).families}
            [metric] = families["sparklio_llm_request_duration_seconds"].metric
            assert exponential_counts(metric.histogram) == {bucket_index(0.25, 3): 5}


@pytest.mark.slow
def test_a_worker_without_them_adds_to_the_classic_buckets_alone(folder: Path, faults: list[str]) -> None:
    """As while the setting is being changed; the file of the one with them is none that the other cannot read."""
    with LocalWorker(folder, native_histograms=True) as here, LocalWorker(folder) as other:
        count_call()
        assert here.calls() == other.calls() == (2.0, 2.0, 2.0, 2.0)
        families = {family.name: family for family in read_scrape(render(here.registry, PROTOBUF)).families}
        [metric] = families["sparklio_llm_request_duration_seconds"].metric
        assert (metric.histogram.sample_count, metric.histogram.sample_sum) == (1, 0.25)
        assert classic_counts(metric.histogram)[-1][1] == 2
    assert not faults
