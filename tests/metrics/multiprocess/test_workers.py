"""Several processes, one truth: real ones that count, that are killed, whose files are torn."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

from events import agent_run, workflow_started
from metrics import render
from metrics.multiprocess import Workers, register_process_collector
from metrics.multiprocess.file_layout import ARCHIVE, process_identity
from tests.support.counter_worker import LocalWorker, WorkerProcess, count


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as place:
        yield Path(place) / "workers"


@pytest.fixture
def here(folder: Path) -> Iterator[LocalWorker]:
    """This process, one of the workers."""
    with LocalWorker(folder) as member:
        yield member


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".worker")


def lines(registry: CollectorRegistry) -> list[str]:
    """Render, but for the times at which a process made its instruments."""
    return sorted(line for line in render(registry).decode().splitlines() if "_created" not in line)


def calls(member: LocalWorker, model: str = "m") -> tuple[float, ...]:
    """Give what three instruments say of the same calls."""
    return (
        (member.read("llm_tokens_total", model=model, token_type="prompt") or 0) / 2,
        member.read("llm_tokens_total", model=model, token_type="completion") or 0,
        member.read("llm_request_duration_seconds_count", model=model) or 0,
        (member.read("llm_request_duration_seconds_sum", model=model) or 0) / 0.25,
    )


def test_every_worker_shows_the_sum_of_all(folder: Path, here: LocalWorker) -> None:
    """This process and another, each asked for all."""
    count()
    other = WorkerProcess(folder, "working")
    assert other.line() == "working"
    assert set(calls(here)) == {2.0}
    with LocalWorker(folder) as third:  # told nothing itself
        here.workers.read_own_values()
        assert set(calls(third)) == {2.0}
        assert lines(third.registry) == lines(here.registry)
        assert render(here.registry) == generate_latest(here.registry)
    other.kill()


def test_what_killed_workers_counted_stays_once(folder: Path, here: LocalWorker) -> None:
    """Four at a time, killed with -9 at any moment: only the call that was under way may be missing or half told."""
    dice = random.Random(7)
    said = 0
    generations = 3
    for _ in range(generations):
        workers = [WorkerProcess(folder, "for_ever") for _ in range(4)]
        last = [[worker.line() for _ in range(dice.randrange(1, 60))] for worker in workers]
        for worker, lines in zip(workers, last, strict=True):
            said += int([*lines, *worker.kill()][-1])
        before = calls(here)
        assert all(said <= amount <= said + 4 * generations for amount in before), (said, before)
        assert calls(here) == before  # now from the archive
        assert files(folder) == sorted([ARCHIVE, here.workers._file.path.name])
        said = int(min(before))  # the rest belongs to this generation


def test_new_series_of_a_killed_worker_are_whole_or_not_there(folder: Path, here: LocalWorker) -> None:
    worker = WorkerProcess(folder, "many_names")
    for _ in range(3):
        last = worker.line()
    lines = worker.kill()
    said = int(lines[-1] if lines else last)
    here.workers.collect()
    shown = [
        sample.value
        for family in here.registry.collect()
        for sample in family.samples
        if sample.name == "sparklio_workflows_started_total"
    ]
    assert said <= sum(shown) <= said + 1


def test_gauges_of_the_dead_vanish_and_their_last_times_stay(folder: Path, here: LocalWorker) -> None:
    """In flight is what the living have open; when a signal was last told is the latest of all there ever were."""
    workers = [WorkerProcess(folder, "working") for _ in range(2)]
    for worker in workers:
        assert worker.line() == "working"
    with agent_run(agent_name="copywriter", task="t"):
        assert here.read("active_agent_executions", agent_name="copywriter") == 3
        told = here.read("last_event_timestamp_seconds", signal="llm_called")
        workers[0].kill()
        assert here.read("active_agent_executions", agent_name="copywriter") == 2
        workers[1].kill()
        assert here.read("active_agent_executions", agent_name="copywriter") == 1
    assert here.read("active_agent_executions", agent_name="copywriter") == 0
    assert here.read("last_event_timestamp_seconds", signal="llm_called") == told
    assert set(calls(here)) == {2.0}


def test_a_gauge_that_only_a_dead_worker_had_is_gone(folder: Path) -> None:
    """Not shown at its last value, not shown at zero; it comes back with a worker that has it."""

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


def test_a_gauge_is_what_was_set_last_and_vanishes_where_it_is_unknown_again(folder: Path) -> None:
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


@pytest.mark.parametrize("steps", range(4))
def test_a_crash_while_the_dead_are_archived_neither_loses_nor_doubles(
    steps: int, folder: Path, here: LocalWorker
) -> None:
    for _ in range(2):
        assert WorkerProcess(folder, "once").wait() == ["done"]
    survived = WorkerProcess(folder, "fold_and_die", steps).wait() == ["survived"]
    assert survived is (steps == 3)  # a new archive is opened, it takes the old one's name, a file is removed
    assert set(calls(here)) == {2.0}
    assert WorkerProcess(folder, "once").wait() == ["done"]
    assert set(calls(here)) == {3.0}
    assert files(folder) == sorted([ARCHIVE, here.workers._file.path.name])


def test_a_process_id_that_comes_again_is_another_worker(folder: Path, here: LocalWorker) -> None:
    """The dead worker's id is this living process's: the lock and the moment of its start tell them apart."""
    assert WorkerProcess(folder, "once").wait() == ["done"]
    [dead] = set(files(folder)) - {here.workers._file.path.name}
    (folder / dead).rename(folder / f"{os.getpid()}-1-0.worker")
    assert process_identity().startswith(f"{os.getpid()}-")
    assert set(calls(here)) == {1.0}
    assert files(folder) == sorted([ARCHIVE, here.workers._file.path.name])


def test_a_process_that_leaves_and_comes_again_counts_on(folder: Path, here: LocalWorker) -> None:
    """Its files are archived and removed while it goes on: none of them is taken for another."""
    counted = 0
    for times in range(1, 5):
        with LocalWorker(folder):
            for _ in range(times):
                count()  # in both
            counted += 2 * times
            assert set(calls(here)) == {float(counted)}
        with LocalWorker(folder):
            pass  # it takes the other into the archive, and nobody looks


def test_who_has_left_writes_nowhere(folder: Path, tmp_path: Path) -> None:
    """A series that is new then: its file's number is that of what the process opens next."""
    left = Workers(folder)
    counter, _ = left.create_instruments(Counter, "calls", "c", ["who"], "total")
    left.close()
    with (tmp_path / "another").open("wb"):
        counter.labels("a").inc()
    assert (tmp_path / "another").read_bytes() == b""


def test_a_forked_process_counts_in_a_file_of_its_own(folder: Path, here: LocalWorker) -> None:
    assert WorkerProcess(folder, "forking").wait() == ["done"]
    assert set(calls(here)) == {3.0}


def test_an_empty_file_is_left_out_counted_once_and_removed(folder: Path, here: LocalWorker, faults: list[str]) -> None:
    (folder / "4711-1-0.worker").touch()
    count()
    with LocalWorker(folder) as other:
        assert set(calls(here)) == set(calls(other)) == {1.0}
        assert faults == ["empty"]
        assert other.read("worker_file_faults_total", fault="empty") == 1.0
        assert "4711-1-0.worker" not in files(folder)


def test_no_file_however_torn_fails_a_scrape(folder: Path, here: LocalWorker) -> None:
    """Cut off anywhere, or with anything written anywhere: what the others counted is shown, exact_sum."""
    assert WorkerProcess(folder, "once").wait() == ["done"]
    [dead] = set(files(folder)) - {here.workers._file.path.name}
    whole = (folder / dead).read_bytes()
    (folder / dead).unlink()
    text = len(whole.rstrip(b"\0")) - 4000  # most of the file is an array of zeros
    places = st.one_of(st.integers(0, 200), st.integers(4096, 4400), st.integers(text, len(whole)))
    tears = st.one_of(st.tuples(places, st.none()), st.tuples(places, st.binary(min_size=1, max_size=40)))
    workflow_started.emit(run_id="r", workflow_type="kept")
    kept = 1.0

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(tears)
    def scrape_beside(tear: tuple[int, bytes | None]) -> None:
        place, noise = tear
        torn = whole[:place] if noise is None else whole[:place] + noise + whole[place + len(noise) :]
        (folder / "4711-1-0.worker").write_bytes(torn)
        assert render(here.registry) == generate_latest(here.registry)
        assert here.read("workflows_started_total", workflow_type="kept") == kept
        assert files(folder)[-1:] != ["4711-1-0.worker"] or ARCHIVE in files(folder)
        (folder / ARCHIVE).unlink(missing_ok=True)

    scrape_beside()


def test_a_torn_archive_is_left_out_and_counted(folder: Path, here: LocalWorker, faults: list[str]) -> None:
    assert WorkerProcess(folder, "once").wait() == ["done"]
    assert set(calls(here)) == {1.0}
    (folder / ARCHIVE).write_bytes((folder / ARCHIVE).read_bytes()[:5000])
    count()
    assert set(calls(here)) == {1.0}
    assert faults == ["torn"]


def test_a_family_that_this_version_does_not_have_is_left_out_and_kept(
    folder: Path, here: LocalWorker, faults: list[str]
) -> None:
    """An older worker's, after an update without a stop: the archive keeps it, this one does not show it."""
    older = Workers(folder)
    moved, _ = older.create_instruments(Counter, "sparklio_llm_tokens", "h", ["model"], "total")
    moved.labels("m").inc(5)
    older.close()
    count()
    assert set(calls(here)) == {1.0}
    assert set(faults) == {"unknown"}
    newer = Workers(folder)
    _, shown = newer.create_instruments(Counter, "sparklio_llm_tokens", "h", ["model"], "total")
    newer.collect()
    assert next(iter(shown.collect())).samples[0].value == 5
    newer.close()


def test_past_the_end_of_its_file_a_worker_counts_alone(folder: Path, faults: list[str]) -> None:
    """Nothing fails, what stood in the file stays right, and it is told."""
    with LocalWorker(folder, cells=40) as small:
        for number in range(40):
            workflow_started.emit(run_id=str(number), workflow_type=f"kind {number % 8}")
        assert render(small.registry) == generate_latest(small.registry)
        assert faults == ["full"]


def test_what_a_process_tells_of_itself_is_added_up(folder: Path) -> None:
    """CPU time keeps that of the dead, memory is that of the living, the start is the first one's."""
    registry, elsewhere = CollectorRegistry(), CollectorRegistry()
    mine, other = Workers(folder), Workers(folder)
    collector = ProcessCollector(registry=elsewhere)
    mine.attach(registry)
    register_process_collector(mine, registry, collector)
    register_process_collector(other, CollectorRegistry(), collector)

    def value(name: str) -> float:
        mine.collect()
        found = registry.get_sample_value(name)
        assert found is not None
        return found

    alone = {sample.name: sample.value for family in elsewhere.collect() for sample in family.samples}
    assert value("process_open_fds") == pytest.approx(2 * alone["process_open_fds"], abs=8)
    assert value("process_start_time_seconds") == alone["process_start_time_seconds"]
    used = value("process_cpu_seconds_total")
    assert used >= 2 * alone["process_cpu_seconds_total"] * 0.9
    other.close()
    assert value("process_cpu_seconds_total") >= used
    assert value("process_open_fds") == pytest.approx(alone["process_open_fds"], abs=8)
    mine.close()


def test_the_folder_does_not_grow_with_the_workers_that_were(folder: Path, here: LocalWorker) -> None:
    """Ten come and go, and nobody scrapes: those that come take the earlier ones into the archive."""
    sizes = []
    for _ in range(10):
        with LocalWorker(folder):
            count()
        sizes.append((len(files(folder)), sum(path.stat().st_size for path in folder.iterdir())))
    assert max(number for number, _ in sizes) <= 3
    assert sizes[-1][1] == sizes[2][1]


def test_scrapes_while_workers_die_never_go_back(folder: Path, here: LocalWorker) -> None:
    """Two that read at once while the dead are archived under them see every number grow or stay."""
    seen: list[list[float]] = [[], []]
    with LocalWorker(folder) as other:
        ended = False

        def watch(member: LocalWorker, into: list[float]) -> None:
            while not ended:
                into.append(member.read("llm_request_duration_seconds_sum", model="m") or 0)

        threads = [Thread(target=watch, args=pair) for pair in zip((here, other), seen, strict=True)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            worker = WorkerProcess(folder, "for_ever")
            for _ in range(20):
                worker.line()
            worker.kill()
        ended = True
        for thread in threads:
            thread.join()
        assert seen[0] == sorted(seen[0])
        assert seen[1] == sorted(seen[1])
        assert calls(here) == calls(other)


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=5), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_archiving_a_worker_changes_no_bit_of_a_sum(lives: list[list[float]]) -> None:
    """Added in another order, a sum of seconds may be smaller by its last bit: Prometheus would take it for a reset."""
    with TemporaryDirectory() as place:
        here = Workers(Path(place))
        _, shown = here.create_instruments(Counter, "seconds", "s", [], "total")
        workers = [Workers(Path(place)) for _ in lives]
        for worker, amounts in zip(workers, lives, strict=True):
            counter, _ = worker.create_instruments(Counter, "seconds", "s", [], "total")
            for amount in amounts:
                counter.inc(amount)

        def total() -> float:
            here.collect()
            value: float = next(iter(shown.collect())).samples[0].value
            return value

        before = total()
        for worker in workers:
            worker.close()
            assert total() == before
        here.close()


def test_a_folder_that_is_taken_away_costs_only_the_others_numbers(folder: Path, here: LocalWorker) -> None:
    """A cleaner of old files came by: this process goes on counting and showing."""
    count()
    shutil.rmtree(folder)
    count()
    assert set(calls(here)) == {2.0}
