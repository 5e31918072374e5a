"""Several worker processes show the same totals, whichever of them is scraped."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from events import agent_run
from events.bus.pollers import scrape_count
from metrics import render
from metrics.multiprocess import Workers, worker_group
from metrics.multiprocess.scrape_notice import ScrapeNotice
from tests.support.counter_worker import LocalWorker, WorkerProcess, count_call, file_names
from tests.support.wait import wait_until


def rendered_lines(registry: CollectorRegistry) -> list[str]:
    """Return the rendered lines, without the times at which a process created its instruments."""
    return sorted(line for line in render(registry).decode().splitlines() if "_created" not in line)


@pytest.mark.slow
def test_every_worker_shows_the_total_of_all(folder: Path, here: LocalWorker) -> None:
    """This process and two others, one of which has counted nothing itself."""
    count_call()
    other = WorkerProcess(folder, "run_agent")
    assert other.read_line() == "working"
    assert set(here.calls()) == {2.0}
    with LocalWorker(folder) as third:
        here.workers.read_own_values()
        assert set(third.calls()) == {2.0}
        assert rendered_lines(third.registry) == rendered_lines(here.registry)
        assert render(here.registry) == generate_latest(here.registry)
    other.kill()


@pytest.mark.slow
def test_gauges_of_dead_workers_vanish_but_the_times_of_last_events_stay(folder: Path, here: LocalWorker) -> None:
    """In flight counts live workers alone; the time of a signal's last event is the latest of all workers ever."""
    workers = [WorkerProcess(folder, "run_agent") for _ in range(2)]
    for worker in workers:
        assert worker.read_line() == "working"
    with agent_run(agent_name="copywriter", task="t"):
        assert here.read("active_agent_executions", agent_name="copywriter") == 3
        last_event = here.read("last_event_timestamp_seconds", signal="llm_called")
        workers[0].kill()
        assert here.read("active_agent_executions", agent_name="copywriter") == 2
        workers[1].kill()
        assert here.read("active_agent_executions", agent_name="copywriter") == 1
    assert here.read("active_agent_executions", agent_name="copywriter") == 0
    assert here.read("last_event_timestamp_seconds", signal="llm_called") == last_event
    assert set(here.calls()) == {2.0}


def test_a_gauge_that_only_a_dead_worker_had_vanishes(folder: Path) -> None:
    """It is shown neither at its last value nor at zero, and comes back with a worker that has it."""

    def shown() -> list[str]:
        return [line for line in render(registry).decode().splitlines() if line.startswith("depth{")]

    registry = CollectorRegistry()
    mine, theirs = Workers(folder), Workers(folder)
    instruments = [workers.create_instruments(Gauge, "depth", "d", ["queue"], "livemax") for workers in (mine, theirs)]
    mine.attach(registry)
    registry.register(instruments[0][1])
    instruments[1][0].labels("a").set(7)
    instruments[0][0].labels("b").set(-2)
    assert sorted(shown()) == ['depth{queue="a"} 7.0', 'depth{queue="b"} -2.0']
    theirs.close()
    assert shown() == ['depth{queue="b"} -2.0']
    instruments[0][0].labels("a").set(3)
    assert sorted(shown()) == ['depth{queue="a"} 3.0', 'depth{queue="b"} -2.0']
    mine.close()


def test_a_most_recent_gauge_shows_the_value_set_last_and_vanishes_once_all_have_removed_it(folder: Path) -> None:
    registry = CollectorRegistry()
    mine, theirs = Workers(folder), Workers(folder)
    (left, shown), (other, _) = (
        workers.create_instruments(Gauge, "left", "l", ["who"], "livemostrecent") for workers in (mine, theirs)
    )
    mine.attach(registry)
    registry.register(shown)
    for gauge, value in ((left, 9), (other, 5), (left, 7)):
        gauge.labels("p").set(value)
        assert f'left{{who="p"}} {value}.0\n'.encode() in render(registry)
    left.remove("p")
    assert b'left{who="p"} 5.0\n' in render(registry)
    other.remove("p")
    assert b"left{" not in render(registry)
    left.labels("p").set(8)
    assert b'left{who="p"} 8.0\n' in render(registry)
    mine.close()
    theirs.close()


def test_a_family_that_only_another_version_has_is_archived_but_not_shown(
    folder: Path, here: LocalWorker, faults: list[str]
) -> None:
    """As after a rolling update: the archive holds the older worker's family for a worker that has it."""
    older = Workers(folder, application="sparklio")
    local, _ = older.create_instruments(Counter, "sparklio_llm_tokens", "h", ["model"], "total")
    local.labels("m").inc(5)
    older.close()
    count_call()
    assert set(here.calls()) == {1.0}
    assert set(faults) == {"unknown"}
    newer = Workers(folder, application="sparklio")
    _, total = newer.create_instruments(Counter, "sparklio_llm_tokens", "h", ["model"], "total")
    newer.collect()
    assert next(iter(total.collect())).samples[0].value == 5
    newer.close()


@pytest.mark.slow
def test_the_folder_does_not_grow_with_the_number_of_dead_workers(folder: Path, here: LocalWorker) -> None:
    """Ten start and exit, and nobody scrapes: each one that starts archives those before it."""
    sizes = []
    for _ in range(10):
        with LocalWorker(folder):
            count_call()
        sizes.append((len(file_names(folder)), sum(path.stat().st_size for path in folder.iterdir())))
    assert max(number for number, _ in sizes) <= 3
    assert sizes[-1][1] == sizes[2][1]


@pytest.mark.slow
def test_no_value_decreases_while_workers_die(folder: Path, here: LocalWorker) -> None:
    """Two that scrape at once, while the files that they read are archived, see each value grow or stay."""
    values: list[list[float]] = [[], []]
    with LocalWorker(folder) as other:
        stopped = False

        def scrape(worker: LocalWorker, sums: list[float]) -> None:
            while not stopped:
                sums.append(worker.read("llm_request_duration_seconds_sum", model="m") or 0)

        threads = [Thread(target=scrape, args=arguments) for arguments in zip((here, other), values, strict=True)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            worker = WorkerProcess(folder, "count_forever")
            for _ in range(20):
                worker.read_line()
            worker.kill()
        stopped = True
        for thread in threads:
            thread.join()
        assert values[0] == sorted(values[0])
        assert values[1] == sorted(values[1])
        assert here.calls() == other.calls()


def test_a_deleted_folder_costs_only_the_values_of_the_others(folder: Path, here: LocalWorker) -> None:
    """As by a job that cleans up: this process goes on counting and shows its own values."""
    count_call()
    shutil.rmtree(folder)
    count_call()
    assert set(here.calls()) == {2.0}


def test_a_processs_own_figures_are_read_all_the_time_until_the_block_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And a reading that fails stops neither the others nor the next time."""
    monkeypatch.setattr(worker_group, "REFRESH_INTERVAL", 0.001)
    workers = Workers(folder)
    readings: list[str] = []

    def fail() -> None:
        raise OSError("a secret")

    workers.every_second(fail)
    stop = workers.every_second(lambda: readings.append("read"))
    with workers.refreshing():
        wait_until(lambda: len(readings) >= 3)
        assert "metrics of this worker" in {thread.name for thread in threading.enumerate()}
    assert "metrics of this worker" not in {thread.name for thread in threading.enumerate()}
    [message] = [record.getMessage() for record in caplog.records]  # not once a second
    assert message.startswith("a number of this worker cannot be read: OSError at ")
    assert "test_worker_group.py" in message
    before = len(readings)
    workers.collect()
    assert len(readings) == before + 1
    stop()
    workers.collect()
    assert len(readings) == before + 1
    workers.close()


def test_a_scrape_that_another_worker_answers_is_noted_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_group, "REFRESH_INTERVAL", 0.001)
    workers, other = Workers(folder), ScrapeNotice(folder)
    readings: list[str] = []

    def read_twice() -> None:
        until = len(readings) + 2
        wait_until(lambda: len(readings) >= until)

    workers.every_second(lambda: readings.append("read"))
    before = scrape_count()
    with workers.refreshing():
        read_twice()
        assert scrape_count() == before
        other.mark("")
        wait_until(lambda: scrape_count() > before)
        read_twice()
    assert scrape_count() == before + 1
    workers.close()


def test_workers_are_attached_to_one_registry_and_closed_once(folder: Path) -> None:
    registry = CollectorRegistry()
    workers = Workers(folder)
    workers.attach(registry)
    workers.attach(registry)
    with pytest.raises(ValueError, match="attached to another registry"):
        workers.attach(CollectorRegistry())
    assert list(registry.collect()) == []
    descriptors = [reader._descriptor for reader in workers._aggregator._readers.values()]
    workers.close()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    workers.close()
    assert descriptors
