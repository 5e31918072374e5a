"""A worker's own file: new series, a fork, the end of the file, and after it is closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, generate_latest

from events import workflow_started
from metrics import render
from metrics.multiprocess import Workers
from metrics.multiprocess.file_layout import AggregationMode
from tests.support.counter_worker import LocalWorker, WorkerProcess
from tests.support.forks import in_child


@pytest.mark.slow
def test_a_new_series_of_a_killed_worker_is_complete_or_absent(folder: Path, here: LocalWorker) -> None:
    worker = WorkerProcess(folder, "create_series")
    for _ in range(3):
        last = worker.read_line()
    lines = worker.kill()
    printed = int(lines[-1] if lines else last)
    here.workers.collect()
    values = [
        sample.value
        for family in here.registry.collect()
        for sample in family.samples
        if sample.name == "sparklio_workflows_started_total"
    ]
    assert printed <= sum(values) <= printed + 1


def test_closed_workers_write_nowhere(folder: Path, tmp_path: Path) -> None:
    """Not for a new series either: the number of its descriptor is reused for the next file that is opened."""
    closed = Workers(folder)
    counter, _ = closed.create_instruments(Counter, "calls", "c", ["who"], "total")
    closed.close()
    with (tmp_path / "another").open("wb"):
        counter.labels("a").inc()
    assert (tmp_path / "another").read_bytes() == b""


@pytest.mark.slow
def test_a_forked_process_counts_in_a_file_of_its_own(folder: Path, here: LocalWorker) -> None:
    assert WorkerProcess(folder, "fork").wait() == ["done"]
    assert set(here.calls()) == {3.0}


def test_a_worker_whose_file_is_full_counts_for_itself(folder: Path, faults: list[str]) -> None:
    """Nothing fails, the values in the file stay right, and the fault is emitted once."""
    with LocalWorker(folder, capacity=40) as small:
        for number in range(40):
            workflow_started.emit(run_id=str(number), workflow_type=f"kind {number % 8}")
        assert render(small.registry) == generate_latest(small.registry)
        assert faults == ["full"]


def test_a_gauge_that_is_removed_and_created_again_begins_at_zero(folder: Path) -> None:
    workers = Workers(folder)
    gauge, total = workers.create_instruments(Gauge, "depth", "d", ["queue"], "livesum")
    gauge.labels("a").set(5)
    gauge.remove("a")
    gauge.labels("a")

    def shown() -> list[float]:
        workers.collect()
        return [sample.value for family in total.collect() for sample in family.samples]

    assert shown() == [0]
    gauge.labels("a").inc(2)
    assert shown() == [2]
    workers.close()


@pytest.mark.parametrize("mode", ["livesum", "livemax", "livemin", "livemostrecent", "max", "min"])
def test_a_forked_process_has_no_gauge_until_it_sets_one(folder: Path, mode: AggregationMode) -> None:
    """Else each would be at 0 as soon as a pool of processes starts: a quota that is used up, a queue that is empty."""
    workers = Workers(folder)
    gauge, total = workers.create_instruments(Gauge, "left", "l", ["of"], mode)
    gauge.labels("a").set(-7)

    def shown() -> list[float]:
        workers.collect()
        return [sample.value for family in total.collect() for sample in family.samples]

    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.read(read, 1)
        os._exit(0)
    assert shown() == [-7]
    os.write(write, b".")
    os.waitpid(child, 0)
    assert shown() == [-7]  # its file is archived
    assert shown() == [-7]
    workers.close()
    for descriptor in (read, write):
        os.close(descriptor)


def test_a_gauge_of_a_forked_process_is_added_to_nothing(folder: Path) -> None:
    workers = Workers(folder)
    gauge, _ = workers.create_instruments(Gauge, "left", "l", ["of"], "livesum")
    gauge.labels("a").set(5)

    def inside() -> float:
        gauge.labels("a").inc(2)
        return float(gauge.labels("a")._value.get())

    assert in_child(inside) == "2.0"
    workers.close()


def test_closing_again_closes_no_file_of_somebody_elses(folder: Path, tmp_path: Path) -> None:
    closed = Workers(folder)
    closed.close()
    with (tmp_path / "another").open("wb") as another:  # it may have got the descriptor
        closed.close()
        another.write(b"written")
    assert (tmp_path / "another").read_bytes() == b"written"
