"""Exemplars of several processes: the newest of each sample is shown by every worker, after kills and torn records."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from string import ascii_letters
from tempfile import TemporaryDirectory

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar

from events import WorkerFileFaulty, worker_file_faulty
from metrics import Endpoint, render
from metrics.multiprocess.exemplars import exemplar_time
from metrics.multiprocess.file_layout import (
    ARCHIVE,
    RECORD_MARK,
    RECORD_SIZE,
    lines_and_records,
    read_file_header,
    text_offset,
)
from metrics.text_format.formats import OPENMETRICS
from tests.support.asgi_server import running_server
from tests.support.counter_worker import WorkerProcess
from tests.support.exemplar_worker import FIRST, QUICK, SAMPLES, SECOND, ExemplarWorker


@pytest.fixture
def here(tmp_path: Path) -> Iterator[ExemplarWorker]:
    """This process, one of the workers."""
    with ExemplarWorker(tmp_path) as worker:
        yield worker


def start_process(folder: Path, scenario: str, *arguments: object) -> WorkerProcess:
    return WorkerProcess(folder, scenario, *arguments, module="tests.support.exemplar_worker")


def record_offsets(path: Path) -> list[int]:
    """Return the offsets of the records in a file."""
    with path.open("rb") as file:
        start = text_offset(read_file_header(file.fileno())[1])
        file.seek(start)
        return [start + offset for offset, piece in lines_and_records(file.read()) if piece.startswith(RECORD_MARK)]


WORKERS = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("stores"), WORKERS, st.sampled_from(SAMPLES), st.integers(1, 10**6)),
    st.tuples(st.sampled_from(["closes", "scrapes"]), WORKERS, st.just(FIRST), st.just(0)),
)


@pytest.mark.slow
@given(st.lists(STEPS, max_size=30))
@settings(max_examples=40, deadline=None)
def test_every_worker_shows_the_newest_exemplar_that_any_worker_ever_stored(
    steps: list[tuple[str, int, tuple[str, str], int]],
) -> None:
    """Three workers store exemplars, in any order of times, close and are replaced, and others archive them."""
    newest: dict[tuple[str, str], Exemplar] = {}
    with TemporaryDirectory() as folder:
        workers = [ExemplarWorker(Path(folder)) for _ in range(3)]
        for action, number, sample, time in [*steps, *(("scrapes", number, FIRST, 0) for number in range(3))]:
            if action == "stores":
                exemplar = Exemplar({"trace_id": str(time)}, 1.0, time / 7)
                workers[number].value(sample).set_exemplar(exemplar)
                newest[sample] = max(exemplar, newest.get(sample, exemplar), key=exemplar_time)
            elif action == "closes":
                workers[number].workers.close()
                workers[number] = ExemplarWorker(Path(folder))
            else:
                assert workers[number].exemplars() == newest
        for worker in workers:
            worker.workers.close()


@pytest.mark.slow
def test_exemplars_of_killed_workers_stay(tmp_path: Path, here: ExemplarWorker, faults: list[str]) -> None:
    """Killed with SIGKILL at any moment: what was stored before is shown, before archiving and after it."""
    rng = random.Random(11)
    for _ in range(3):
        workers = [start_process(tmp_path, "observe_forever") for _ in range(3)]
        lines_read = [[worker.read_line() for _ in range(rng.randrange(1, 200))] for worker in workers]
        newest = max(float([*lines, *worker.kill()][-1]) for worker, lines in zip(workers, lines_read, strict=True))
        shown = here.exemplars()[FIRST]
        assert exemplar_time(shown) >= newest
        assert shown.labels["trace_id"].split()[0] in {str(worker.process.pid) for worker in workers}
        with ExemplarWorker(tmp_path) as third:
            assert third.exemplars() == here.exemplars() == {FIRST: shown}
        assert [path.name for path in tmp_path.glob("*.worker")].count(ARCHIVE) == 1
        assert len(record_offsets(tmp_path / ARCHIVE)) == 1
    assert faults == []


@pytest.mark.slow
def test_an_exemplar_read_while_it_is_overwritten_is_intact(
    tmp_path: Path, here: ExemplarWorker, faults: list[str]
) -> None:
    """A process stores as fast as it can: what is shown is what it stored, and never older than before."""
    worker = start_process(tmp_path, "observe_forever")
    last = -1
    for _ in range(300):
        worker.read_line()
        pid, number = here.trace_ids()[FIRST].split()
        assert pid == str(worker.process.pid)
        assert int(number) >= last
        last = int(number)
    worker.kill()
    assert faults == []


@pytest.mark.slow
async def test_a_scrape_over_http_shows_the_exemplars_of_all_workers(tmp_path: Path, here: ExemplarWorker) -> None:
    """Of a killed one, of a live one and of the one that is scraped; in OpenMetrics and in no other format."""
    assert start_process(tmp_path, "observe_once", "killed").wait() == ["done"]
    with ExemplarWorker(tmp_path) as live:
        live.observe("live", SECOND)
        here.observe("here", QUICK)
        async with running_server(Endpoint(here.registry, path="/metrics")) as url, httpx.AsyncClient() as client:
            plain = await client.get(f"{url}/metrics")
            openmetrics = await client.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
    assert "trace_id" not in plain.text
    exemplars = {
        (sample.name, *sample.labels.values()): (sample.exemplar.labels, sample.exemplar.value)
        for family in text_string_to_metric_families(openmetrics.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar
    }
    traces = dict(zip(SAMPLES, ("killed", "live", "here", "killed"), strict=True))
    values = dict(zip(SAMPLES, (1.0, 1.0, 0.5, 2.0), strict=True))
    assert exemplars == {sample: ({"trace_id": traces[sample]}, values[sample]) for sample in SAMPLES}


def test_a_file_grows_with_the_samples_and_not_with_the_exemplars(tmp_path: Path, here: ExemplarWorker) -> None:
    for sample in SAMPLES:
        here.observe("first", sample)
    sizes = []
    for _ in range(4):
        with ExemplarWorker(tmp_path) as worker:
            for number in range(200):
                here.observe(f"here {number}", QUICK)
                worker.observe(f"there {number}", FIRST)
        here.exemplars()
        sizes.append((here.file.stat().st_size, (tmp_path / ARCHIVE).stat().st_size))
    assert all(offset % RECORD_SIZE == 0 for offset in record_offsets(here.file))  # within a page: no kill tears one
    assert {size for size, _ in sizes} == {sizes[0][0]}
    assert {size for _, size in sizes[1:]} <= {sizes[1][1]}


def test_a_worker_without_exemplars_has_no_record(tmp_path: Path, here: ExemplarWorker) -> None:
    """Nor has the archive, and an update does not change the size of the file."""
    here.calls.labels("a").inc()
    size = here.file.stat().st_size
    for _ in range(100):
        here.calls.labels("a").inc()
        here.took.observe(0.3)
    with ExemplarWorker(tmp_path) as worker:
        worker.calls.labels("a").inc()
    assert here.exemplars() == {}
    assert here.file.stat().st_size == size
    assert record_offsets(here.file) == record_offsets(tmp_path / ARCHIVE) == []


@pytest.mark.slow
def test_a_forked_process_starts_without_exemplars(tmp_path: Path, here: ExemplarWorker) -> None:
    """Its parent's are shown as another worker's; those that it stores are in its own file."""
    lines = start_process(tmp_path, "fork").wait()
    assert lines == [str([None] * len(SAMPLES)), str(["child's", "parent's"])]
    assert here.trace_ids() == {FIRST: "parent's", SECOND: "child's"}


@pytest.mark.slow
def test_on_a_full_disk_an_exemplar_is_not_shown_and_nothing_else_fails(
    tmp_path: Path, here: ExemplarWorker, faults: list[str]
) -> None:
    lines = start_process(tmp_path, "fill_the_disk").wait()
    assert lines == ["{}", "room again"]
    assert here.trace_ids() == {SECOND: "room again"}
    assert here.registry.get_sample_value("calls_total", {"who": "a"}) == 2.0
    assert here.registry.get_sample_value("took_count") == 1.0
    assert faults == []


OFFSETS = st.integers(1, RECORD_SIZE - 1)


@pytest.mark.slow
@given(st.sampled_from(range(len(SAMPLES))), OFFSETS, st.one_of(st.none(), st.binary(min_size=1, max_size=40)))
@settings(max_examples=60, deadline=None)
def test_a_torn_exemplar_is_left_out_and_counted(which: int, offset: int, noise: bytes | None) -> None:
    """Truncated, or overwritten with anything: the dead worker's other exemplars are shown, and all its counts."""
    emitted: list[str] = []

    def record(event: WorkerFileFaulty) -> None:
        emitted.append(event.fault)

    with TemporaryDirectory() as folder, ExemplarWorker(Path(folder)) as here, worker_file_faulty.connected_to(record):
        with ExemplarWorker(Path(folder)) as dead:
            for sample in SAMPLES:
                dead.observe("dead", sample)
            intact = dead.file.read_bytes()
            start = record_offsets(dead.file)[which]
            end = start + RECORD_SIZE
            if noise is None:
                torn = intact[: start + offset] if which == len(SAMPLES) - 1 else intact
            else:
                torn = (intact[: start + offset] + noise)[:end] + intact[min(start + offset + len(noise), end) :]
            dead.file.write_bytes(torn)
        expected = dict.fromkeys(SAMPLES, "dead")
        if torn != intact:
            del expected[SAMPLES[which]]
        assert here.trace_ids() == here.trace_ids() == expected
        assert emitted == ["torn"] * (torn != intact and len(torn) == len(intact))
        for label in ("a", "b"):
            assert here.registry.get_sample_value("calls_total", {"who": label}) == 1.0
        assert here.registry.get_sample_value("took_count") == 2.0


def corrupt_first_record(path: Path) -> None:
    """Overwrite the first record of a file with rubbish."""
    with path.open("r+b") as file:
        file.seek(record_offsets(path)[0] + 20)
        file.write(b"\n\0rubbish")


def test_a_torn_exemplar_of_a_live_worker_shows_the_one_before_until_the_next(
    tmp_path: Path, here: ExemplarWorker, faults: list[str]
) -> None:
    with ExemplarWorker(tmp_path) as live:
        live.observe("one")
        assert here.trace_ids() == {FIRST: "one"}
        corrupt_first_record(live.file)
        assert here.trace_ids() == here.trace_ids() == {FIRST: "one"}
        with ExemplarWorker(tmp_path) as late:
            assert late.trace_ids() == {}
        assert faults == ["torn", "torn"]  # by each worker that read it, once
        live.observe("two")
        assert here.trace_ids() == {FIRST: "two"}


@pytest.mark.slow
def test_a_torn_exemplar_in_the_archive_is_left_out_and_counted(tmp_path: Path, faults: list[str]) -> None:
    assert start_process(tmp_path, "observe_once", "dead").wait() == ["done"]
    with ExemplarWorker(tmp_path) as first:
        assert set(first.trace_ids()) == set(SAMPLES)
    corrupt_first_record(tmp_path / ARCHIVE)
    with ExemplarWorker(tmp_path) as late:
        assert set(late.trace_ids()) == set(SAMPLES[1:])
        assert late.registry.get_sample_value("calls_total", {"who": "a"}) == 1.0
    assert faults == ["torn"]


LABELS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.text(max_size=40), min_size=1)


@pytest.mark.slow
@given(LABELS.filter(lambda labels: sum(len(name) + len(text) for name, text in labels.items()) <= 128))
@example({"a": "\0" * 127})
@example({"a": "\U0001f600" * 127})
@example(dict.fromkeys(ascii_letters, "") | {"and": "\0" * 73})
@example({"half": "\ud800"})
@settings(max_examples=40, deadline=None)
def test_all_labels_that_prometheus_client_accepts_are_shown(labels: dict[str, str]) -> None:
    """As long as allowed, of any characters; a lone surrogate, which no response can hold, is a question mark."""
    stock = Counter("calls", "c", registry=None)
    stock.inc(1, labels)
    with TemporaryDirectory() as folder, ExemplarWorker(Path(folder)) as here:
        with ExemplarWorker(Path(folder)) as dead:
            dead.calls.labels("a").inc(1, labels)
        encodable = {name: text.encode(errors="replace").decode() for name, text in labels.items()}
        assert [sample.exemplar.labels for sample in next(iter(stock.collect())).samples if sample.exemplar] == [labels]
        assert here.exemplars()[FIRST].labels == encodable
        assert render(here.registry, OPENMETRICS).decode().count("# {") == 1


def test_a_value_past_the_end_of_the_file_has_no_exemplar(tmp_path: Path, faults: list[str]) -> None:
    """Nobody else reads the value, and its cell in private memory is not mistaken for one in the file."""
    with ExemplarWorker(tmp_path, capacity=1) as small:
        small.observe("in the file", FIRST)
        small.observe("past its end", SECOND)
        assert small.trace_ids() == {FIRST: "in the file"}
        assert small.value(SECOND).get_exemplar() is None
    assert faults == ["full"]


def test_closed_workers_write_nowhere(tmp_path: Path) -> None:
    """The number of its descriptor is reused for the next file that is opened."""
    with ExemplarWorker(tmp_path / "workers") as closed:
        closed.observe("early")
    with (tmp_path / "another").open("wb"):
        closed.observe("late")
        closed.observe("late", SECOND)  # a new series
    assert (tmp_path / "another").read_bytes() == b""
    with ExemplarWorker(tmp_path / "workers") as late:
        assert late.trace_ids() == {FIRST: "early"}
