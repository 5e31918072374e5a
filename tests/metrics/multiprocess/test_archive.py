"""The archive holds what dead workers counted, once, whatever happens while it is written."""

from __future__ import annotations

import fcntl
import gc
import os
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Counter

from metrics.multiprocess import Workers, archive
from metrics.multiprocess.fault_reports import report_file_fault
from metrics.multiprocess.file_layout import archive_name, process_identity
from metrics.multiprocess.merge import Merged
from tests.support.counter_worker import LocalWorker, WorkerProcess, count_call, file_names


@pytest.mark.slow
def test_what_killed_workers_counted_is_counted_once(folder: Path, here: LocalWorker) -> None:
    """Four at a time, killed with SIGKILL at any moment: only the call in flight may be missing, wholly or in part."""
    rng = random.Random(7)
    printed = 0
    generations = 3
    for _ in range(generations):
        workers = [WorkerProcess(folder, "count_forever") for _ in range(4)]
        lines_read = [[worker.read_line() for _ in range(rng.randrange(1, 60))] for worker in workers]
        for worker, lines in zip(workers, lines_read, strict=True):
            printed += int([*lines, *worker.kill()][-1])
        before = here.calls()
        assert all(printed <= calls <= printed + 4 * generations for calls in before), (printed, before)
        assert here.calls() == before  # read from the archive now
        assert file_names(folder) == sorted([archive_name("sparklio"), here.file_name])
        printed = int(min(before))  # the rest was counted by this generation


@pytest.mark.parametrize("steps", range(4))
@pytest.mark.slow
def test_a_crash_during_archiving_neither_loses_nor_doubles_anything(
    steps: int, folder: Path, here: LocalWorker
) -> None:
    for _ in range(2):
        assert WorkerProcess(folder, "count_once").wait() == ["done"]
    survived = WorkerProcess(folder, "die_while_archiving", steps).wait() == ["survived"]
    assert survived is (steps == 3)  # it opens a new archive, replaces the old one, removes a file
    assert set(here.calls()) == {2.0}
    assert WorkerProcess(folder, "count_once").wait() == ["done"]
    assert set(here.calls()) == {3.0}
    assert file_names(folder) == sorted([archive_name("sparklio"), here.file_name])


@pytest.mark.slow
def test_a_reused_process_id_is_another_worker(folder: Path, here: LocalWorker) -> None:
    """The dead worker's id is that of this live process: the lock and the time of its start tell them apart."""
    assert WorkerProcess(folder, "count_once").wait() == ["done"]
    [dead] = set(file_names(folder)) - {here.file_name}
    (folder / dead).rename(folder / f"{os.getpid()}-1-0.worker")
    assert process_identity().startswith(f"{os.getpid()}-")
    assert set(here.calls()) == {1.0}
    assert file_names(folder) == sorted([archive_name("sparklio"), here.file_name])


def open_files(folder: Path) -> set[str]:
    """Return the names of the files of a folder that this process has open, of those that are removed too."""
    targets = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return {Path(target).name for target in targets if target.startswith(str(folder))}


@pytest.mark.slow
def test_a_process_that_closes_its_workers_and_creates_new_ones_counts_on(folder: Path, here: LocalWorker) -> None:
    """Its files are archived and removed while it runs: none of them is mistaken for another."""
    counted = 0
    for calls in range(1, 5):
        with LocalWorker(folder):
            for _ in range(calls):
                count_call()  # in both
            counted += 2 * calls
            assert set(here.calls()) == {float(counted)}
        with LocalWorker(folder):
            pass  # it archives the other, and nobody scrapes
        here.calls()  # it archives that one
        here.calls()
        gc.collect()  # what was closed
        assert open_files(folder) == {here.file_name, archive_name("sparklio")}


@pytest.mark.slow
def test_a_torn_archive_is_left_out_and_counted(folder: Path, here: LocalWorker, faults: list[str]) -> None:
    assert WorkerProcess(folder, "count_once").wait() == ["done"]
    assert set(here.calls()) == {1.0}
    (folder / archive_name("sparklio")).write_bytes((folder / archive_name("sparklio")).read_bytes()[:5000])
    count_call()
    assert set(here.calls()) == {1.0}
    assert faults == ["torn"]


@pytest.mark.slow
@given(st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=5), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_archiving_a_worker_changes_no_bit_of_a_sum(amounts_by_worker: list[list[float]]) -> None:
    """Added in another order, a sum of seconds may decrease by its last bit: Prometheus would see a counter reset."""
    with TemporaryDirectory() as folder:
        here = Workers(Path(folder))
        _, instrument = here.create_instruments(Counter, "seconds", "s", [], "total")
        workers = [Workers(Path(folder)) for _ in amounts_by_worker]
        for worker, amounts in zip(workers, amounts_by_worker, strict=True):
            counter, _ = worker.create_instruments(Counter, "seconds", "s", [], "total")
            for amount in amounts:
                counter.inc(amount)

        def total() -> float:
            here.collect()
            value: float = next(iter(instrument.collect())).samples[0].value
            return value

        before = total()
        for worker in workers:
            worker.close()
            assert total() == before
        here.close()


def test_an_archive_that_is_full_takes_no_further_series_and_says_so_once(
    folder: Path, faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Label limits hold for each worker: those of many dead ones may have more series than a file has room for."""
    monkeypatch.setattr(archive, "MAX_CELLS", 4)  # the first is not shown
    for names in ("ab", "bc", "cde"):
        worker = Workers(folder)
        counter, _ = worker.create_instruments(Counter, "calls", "c", ["who"], "total")
        for name in names:
            counter.labels(name).inc()
        worker.close()
        if names != "cde":
            archive.archive_dead(folder, report_file_fault)
            assert faults == []
    here = Workers(folder)
    _, total = here.create_instruments(Counter, "calls", "c", ["who"], "total")
    here.collect()
    [family] = total.collect()
    shown = {sample.labels["who"]: sample.value for sample in family.samples if sample.name == "calls_total"}
    assert (shown, faults) == ({"a": 1, "b": 2, "c": 2}, ["full"])
    here.close()


@pytest.mark.parametrize(
    ("name", "fault", "removed"),
    [("47-1-0", "torn", True), ("47-1-0", "empty", True), ("47-1-0", "unreadable", False), ("notes", "torn", False)],
)
def test_only_a_file_that_a_process_of_ours_left_is_removed(
    name: str, fault: Any, removed: bool, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.worker"
    path.write_bytes(b"torn")
    assert archive.may_remove(path, fault) is removed
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # its process lives
        assert not archive.may_remove(path, fault)


def test_what_rounding_lost_is_in_the_layers_below() -> None:
    merged = Merged([0.0, 1e16, 3.0], {2}, {1: [1e16, 0.5, 2.0**-60]})
    first, second, third = archive.correction_layers(merged)
    assert (first, second, third) == ([0.0, 1e16, 3.0], [0.0, 0.5, 0.0], [0.0, 2.0**-60, 0.0])
