"""`make soak` fails where something grows, and says by how much; and a short one finds everything in order."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.support.processes import ProcessUsage, tree_usage
from tools.soak.__main__ import parse
from tools.soak.load import Request
from tools.soak.reading import Reading, Window, comparisons
from tools.soak.verdict import ALLOWANCES, Comparison, percentiles


def window(*, memory: int = 100_000_000, descriptors: int = 10, threads: int = 4, series: int = 1000, ms: float = 10.0,
           machine_ms: float = 1.0, pids: tuple[int, ...] = (1, 2)) -> Window:  # fmt: skip
    """Return a window in which all readings and all requests are the same."""
    processes = [
        ProcessUsage(
            pid, "app" if pid == 1 else "-m app.server.worker", memory, descriptors, threads, cpu=1.0, cpu_of_ended=0.0
        )
        for pid in pids
    ]
    requests = [Request(1.0, kind, took / 1000) for kind, took in (("list", ms), ("nothing", machine_ms))]
    return Window([Reading(1.0, processes, series)] * 3, requests * 20)


@pytest.mark.parametrize(
    ("end", "grown"),
    [
        (window(), set()),
        (window(memory=120_000_000), {"memory of the launcher", "memory of worker 1", "memory of all"}),
        (window(memory=104_000_000), set()),
        (window(descriptors=17), {"descriptors of the launcher", "descriptors of worker 1"}),
        (window(threads=8), {"threads of the launcher", "threads of worker 1"}),
        (window(series=1011), {"series"}),
        (window(ms=26.0), {"latency of list, p50", "latency of list, p95"}),
        (window(memory=50_000_000, descriptors=1, threads=1, series=1, ms=0.1), set()),
    ],
)
def test_what_is_more_at_the_end_than_it_may_be_has_grown(end: Window, grown: set[str]) -> None:
    assert {figure.name for figure in comparisons(window(), end) if not figure.is_flat} == grown


def test_a_machine_that_is_slower_at_the_end_is_no_fault_of_the_studio() -> None:
    figures = comparisons(window(ms=10.0, machine_ms=30.0), window(ms=35.0, machine_ms=90.0))
    assert all(figure.is_flat for figure in figures if "list" in figure.name)


def test_a_figure_that_grew_says_by_how_much() -> None:
    line = str(Comparison("memory of worker 1", 100.0, 150.0))
    assert "100.0" in line
    assert "150.0" in line
    assert "GREW by 50.0 MB" in line
    assert str(Comparison("series", 100.0, 100.0)).endswith("flat")


def test_a_process_that_was_replaced_is_told() -> None:
    with pytest.raises(ValueError, match=r"replaced: \[2, 3\]"):
        comparisons(window(), window(pids=(1, 3)))


def test_a_window_in_which_nothing_was_read_has_the_nearest_two_readings() -> None:
    readings = [Reading(at, [], series=1) for at in (0.0, 1.0, 2.5, 4.0, 9.0)]
    assert [each.at for each in Window.between(3.0, 3.5, readings, []).readings] == [2.5, 4.0]
    assert [each.at for each in Window.between(0.5, 5.0, readings, []).readings] == [1.0, 2.5, 4.0]


def test_percentiles() -> None:
    assert percentiles([float(number) for number in range(1, 101)]) == (50.5, 96.0)
    assert percentiles([7.0]) == (7.0, 7.0)


def test_the_usage_of_this_process_and_its_child() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = {usage.pid: usage for usage in tree_usage(os.getpid())}
    assert {os.getpid(), child.pid} <= set(found)
    own = found[os.getpid()]
    assert own.memory > 10_000_000
    assert own.descriptors >= 3
    assert own.threads >= 1
    assert 0 < own.cpu <= time.process_time() + 1


def test_options() -> None:
    assert (parse([]).minutes, parse([]).workers, parse([]).database) == (10.0, 2, "postgresql")
    assert parse(["--database", "sqlite"]).workers == 1
    for wrong in (["--database", "sqlite", "--workers", "2"], ["--minutes", "0"], ["--workers", "0"]):
        with pytest.raises(SystemExit) as ended:
            parse(wrong)
        assert ended.value.code == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_short_soak_of_two_workers_finds_everything_in_order() -> None:
    """In so short a time nothing is flat yet; what is held is that each answer is as expected, and all adds up."""
    ignored = [f"--ignore={what}" for what in ALLOWANCES]
    command = [sys.executable, "-m", "tools.soak", "--minutes", "0.1", *ignored]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "memory of worker 2" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "flat"
