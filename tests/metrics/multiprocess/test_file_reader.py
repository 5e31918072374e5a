"""A file that is empty or torn costs at most what its worker counted."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from events import worker_file_faulty, workflow_started
from metrics import render
from metrics.multiprocess.file_layout import archive_name, is_application, read_application
from tests.support.counter_worker import LocalWorker, WorkerProcess, count_call, file_names


def test_an_empty_file_is_left_out_counted_once_and_removed(folder: Path, here: LocalWorker, faults: list[str]) -> None:
    (folder / "4711-1-0.worker").touch()
    count_call()
    with LocalWorker(folder) as other:
        assert set(here.calls()) == set(other.calls()) == {1.0}
        assert faults == ["empty"]
        assert other.read("worker_file_faults_total", fault="empty") == 1.0
        assert "4711-1-0.worker" not in file_names(folder)


@pytest.mark.slow
def test_no_torn_file_fails_a_scrape(folder: Path, here: LocalWorker) -> None:
    """Truncated anywhere, or overwritten anywhere with anything: the counts of the others are shown, exactly."""
    assert WorkerProcess(folder, "count_once").wait() == ["done"]
    [dead] = set(file_names(folder)) - {here.file_name}
    intact = (folder / dead).read_bytes()
    (folder / dead).unlink()
    text = len(intact.rstrip(b"\0")) - 4000  # most of the file is an array of zeros
    offsets = st.one_of(st.integers(0, 200), st.integers(4096, 4400), st.integers(text, len(intact)))
    tears = st.one_of(st.tuples(offsets, st.none()), st.tuples(offsets, st.binary(min_size=1, max_size=40)))
    workflow_started.emit(run_id="r", workflow_type="expected")
    expected = 1.0
    numbers = count(1)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(tears)
    def scrape_beside(tear: tuple[int, bytes | None]) -> None:
        offset, noise = tear
        torn = intact[:offset] if noise is None else intact[:offset] + noise + intact[offset + len(noise) :]
        name = f"4711-1-{next(numbers)}.worker"  # another each time: of a file a fault is told once
        (folder / name).write_bytes(torn)
        descriptor = os.open(folder / name, os.O_RDONLY)
        application = read_application(descriptor)
        os.close(descriptor)
        if application != "sparklio" and is_application(application):
            (folder / name).unlink()
            assume(False)  # it says that it is another application's, and may be
        with worker_file_faulty.captured() as faults:
            assert render(here.registry) == generate_latest(here.registry)
        assert here.read("workflows_started_total", workflow_type="expected") == expected
        assert faults or name not in file_names(folder), "what stays is told"
        (folder / name).unlink(missing_ok=True)
        (folder / archive_name("sparklio")).unlink(missing_ok=True)

    scrape_beside()
