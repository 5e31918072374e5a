"""Exemplars of several processes: each number's newest, whichever answers, whoever was killed, whatever is torn."""

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
from tests.support.exemplar_worker import FIRST, NUMBERS, QUICK, SECOND, ExemplarWorker


@pytest.fixture
def here(tmp_path: Path) -> Iterator[ExemplarWorker]:
    """This process, one of the workers."""
    with ExemplarWorker(tmp_path) as giver:
        yield giver


def other(folder: Path, what: str, *more: object) -> WorkerProcess:
    return WorkerProcess(folder, what, *more, module="tests.support.exemplar_worker")


def records(path: Path) -> list[int]:
    """Find where the records in a file begin."""
    with path.open("rb") as file:
        start = text_offset(read_file_header(file.fileno())[1])
        file.seek(start)
        return [start + at for at, piece in lines_and_records(file.read()) if piece.startswith(RECORD_MARK)]


WHO = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("gives"), WHO, st.sampled_from(NUMBERS), st.integers(1, 10**6)),
    st.tuples(st.sampled_from(["leaves", "answers"]), WHO, st.just(FIRST), st.just(0)),
)


@given(st.lists(STEPS, max_size=30))
@settings(max_examples=40, deadline=None)
def test_whoever_answers_shows_the_newest_that_any_worker_ever_gave(
    steps: list[tuple[str, int, tuple[str, str], int]],
) -> None:
    """Three that give, in any order of times, that leave and are replaced, and are archived by who comes or answers."""
    newest: dict[tuple[str, str], Exemplar] = {}
    with TemporaryDirectory() as folder:
        workers = [ExemplarWorker(Path(folder)) for _ in range(3)]
        for what, who, number, time in [*steps, *(("answers", who, FIRST, 0) for who in range(3))]:
            if what == "gives":
                exemplar = Exemplar({"trace_id": str(time)}, 1.0, time / 7)
                workers[who].number(number).set_exemplar(exemplar)
                newest[number] = max(exemplar, newest.get(number, exemplar), key=exemplar_time)
            elif what == "leaves":
                workers[who].workers.close()
                workers[who] = ExemplarWorker(Path(folder))
            else:
                assert workers[who].shown() == newest
        for giver in workers:
            giver.workers.close()


def test_those_of_killed_workers_stay(tmp_path: Path, here: ExemplarWorker, faults: list[str]) -> None:
    """Killed with -9 at any moment: what was given before is there, before the dead are archived and after it."""
    dice = random.Random(11)
    for _ in range(3):
        workers = [other(tmp_path, "for_ever") for _ in range(3)]
        last = [[worker.line() for _ in range(dice.randrange(1, 200))] for worker in workers]
        told = max(float([*lines, *worker.kill()][-1]) for worker, lines in zip(workers, last, strict=True))
        shown = here.shown()[FIRST]
        assert exemplar_time(shown) >= told
        assert shown.labels["trace_id"].split()[0] in {str(worker.process.pid) for worker in workers}
        with ExemplarWorker(tmp_path) as third:
            assert third.shown() == here.shown() == {FIRST: shown}
        assert [path.name for path in tmp_path.glob("*.worker")].count(ARCHIVE) == 1
        assert len(records(tmp_path / ARCHIVE)) == 1
    assert faults == []


def test_one_that_is_read_while_it_is_overwritten_is_whole(
    tmp_path: Path, here: ExemplarWorker, faults: list[str]
) -> None:
    """A process that gives as fast as it can: what is shown is what it gave, and never older than before."""
    worker = other(tmp_path, "for_ever")
    last = -1
    for _ in range(300):
        worker.line()
        pid, each = here.traces()[FIRST].split()
        assert pid == str(worker.process.pid)
        assert int(each) >= last
        last = int(each)
    worker.kill()
    assert faults == []


async def test_a_scrape_over_http_shows_those_of_others(tmp_path: Path, here: ExemplarWorker) -> None:
    """One that was killed, one that lives, and the one that answers; in OpenMetrics, and in no other format."""
    assert other(tmp_path, "once", "killed").wait() == ["done"]
    with ExemplarWorker(tmp_path) as alive:
        alive.give("alive", SECOND)
        here.give("here", QUICK)
        async with running_server(Endpoint(here.registry, path="/metrics")) as url, httpx.AsyncClient() as client:
            plain = await client.get(f"{url}/metrics")
            answer = await client.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
    assert "trace_id" not in plain.text
    exemplars = {
        (sample.name, *sample.labels.values()): (sample.exemplar.labels, sample.exemplar.value)
        for family in text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar
    }
    traces = dict(zip(NUMBERS, ("killed", "alive", "here", "killed"), strict=True))
    values = dict(zip(NUMBERS, (1.0, 1.0, 0.5, 2.0), strict=True))
    assert exemplars == {number: ({"trace_id": traces[number]}, values[number]) for number in NUMBERS}


def test_a_file_grows_with_the_numbers_and_not_with_the_exemplars(tmp_path: Path, here: ExemplarWorker) -> None:
    for number in NUMBERS:
        here.give("first", number)
    sizes = []
    for _ in range(4):
        with ExemplarWorker(tmp_path) as giver:
            for each in range(200):
                here.give(f"here {each}", QUICK)
                giver.give(f"there {each}", FIRST)
        here.shown()
        sizes.append((here.file.stat().st_size, (tmp_path / ARCHIVE).stat().st_size))
    assert all(place % RECORD_SIZE == 0 for place in records(here.file))  # in one page: killing tears none
    assert {size for size, _ in sizes} == {sizes[0][0]}
    assert {size for _, size in sizes[1:]} <= {sizes[1][1]}


def test_who_gives_none_has_no_record(tmp_path: Path, here: ExemplarWorker) -> None:
    """Nor has the archive, and an update leaves the file as long as it was."""
    here.calls.labels("a").inc()
    size = here.file.stat().st_size
    for _ in range(100):
        here.calls.labels("a").inc()
        here.took.observe(0.3)
    with ExemplarWorker(tmp_path) as giver:
        giver.calls.labels("a").inc()
    assert here.shown() == {}
    assert here.file.stat().st_size == size
    assert records(here.file) == records(tmp_path / ARCHIVE) == []


def test_a_forked_process_begins_without_any(tmp_path: Path, here: ExemplarWorker) -> None:
    """Its parent's are shown as another worker's; what it gives stands in its own file."""
    said = other(tmp_path, "forking").wait()
    assert said == [str([None] * len(NUMBERS)), str(["child's", "parent's"])]
    assert here.traces() == {FIRST: "parent's", SECOND: "child's"}


def test_on_a_full_disk_it_is_only_not_shown(tmp_path: Path, here: ExemplarWorker, faults: list[str]) -> None:
    said = other(tmp_path, "on_a_full_disk").wait()
    assert said == ["{}", "room again"]
    assert here.traces() == {SECOND: "room again"}
    assert here.registry.get_sample_value("calls_total", {"who": "a"}) == 2.0
    assert here.registry.get_sample_value("took_count") == 1.0
    assert faults == []


PLACES = st.integers(1, RECORD_SIZE - 1)


@given(st.sampled_from(range(len(NUMBERS))), PLACES, st.one_of(st.none(), st.binary(min_size=1, max_size=40)))
@settings(max_examples=60, deadline=None)
def test_a_torn_one_is_left_out_and_counted(which: int, place: int, noise: bytes | None) -> None:
    """Cut off, or written over with anything: the other exemplars of the dead worker are shown, and all its counts."""
    told: list[str] = []

    def note(event: WorkerFileFaulty) -> None:
        told.append(event.fault)

    with TemporaryDirectory() as folder, ExemplarWorker(Path(folder)) as here, worker_file_faulty.connected_to(note):
        with ExemplarWorker(Path(folder)) as dead:
            for number in NUMBERS:
                dead.give("dead", number)
            whole = dead.file.read_bytes()
            begin = records(dead.file)[which]
            end = begin + RECORD_SIZE
            if noise is None:
                torn = whole[: begin + place] if which == len(NUMBERS) - 1 else whole
            else:
                torn = (whole[: begin + place] + noise)[:end] + whole[min(begin + place + len(noise), end) :]
            dead.file.write_bytes(torn)
        kept = dict.fromkeys(NUMBERS, "dead")
        if torn != whole:
            del kept[NUMBERS[which]]
        assert here.traces() == here.traces() == kept
        assert told == ["torn"] * (torn != whole and len(torn) == len(whole))
        for who in ("a", "b"):
            assert here.registry.get_sample_value("calls_total", {"who": who}) == 1.0
        assert here.registry.get_sample_value("took_count") == 2.0


def scribble(path: Path) -> None:
    """Write rubbish over the first record of a file."""
    with path.open("r+b") as file:
        file.seek(records(path)[0] + 20)
        file.write(b"\n\0rubbish")


def test_a_torn_one_of_a_live_worker_is_what_it_was_until_the_next(
    tmp_path: Path, here: ExemplarWorker, faults: list[str]
) -> None:
    with ExemplarWorker(tmp_path) as alive:
        alive.give("one")
        assert here.traces() == {FIRST: "one"}
        scribble(alive.file)
        assert here.traces() == here.traces() == {FIRST: "one"}
        with ExemplarWorker(tmp_path) as late:
            assert late.traces() == {}
        assert faults == ["torn", "torn"]  # by each who saw it, once
        alive.give("two")
        assert here.traces() == {FIRST: "two"}


def test_a_torn_one_in_the_archive_is_left_out_and_counted(tmp_path: Path, faults: list[str]) -> None:
    assert other(tmp_path, "once", "dead").wait() == ["done"]
    with ExemplarWorker(tmp_path) as first:
        assert set(first.traces()) == set(NUMBERS)
    scribble(tmp_path / ARCHIVE)
    with ExemplarWorker(tmp_path) as late:
        assert set(late.traces()) == set(NUMBERS[1:])
        assert late.registry.get_sample_value("calls_total", {"who": "a"}) == 1.0
    assert faults == ["torn"]


WORDS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.text(max_size=40), min_size=1)


@given(WORDS.filter(lambda labels: sum(len(name) + len(text) for name, text in labels.items()) <= 128))
@example({"a": "\0" * 127})
@example({"a": "\U0001f600" * 127})
@example(dict.fromkeys(ascii_letters, "") | {"and": "\0" * 73})
@example({"half": "\ud800"})
@settings(max_examples=40, deadline=None)
def test_whatever_prometheus_client_takes_for_labels_is_kept(labels: dict[str, str]) -> None:
    """As long as they may be, of any characters; half a character, which no scrape could hold, is a question mark."""
    stock = Counter("calls", "c", registry=None)
    stock.inc(1, labels)
    with TemporaryDirectory() as folder, ExemplarWorker(Path(folder)) as here:
        with ExemplarWorker(Path(folder)) as dead:
            dead.calls.labels("a").inc(1, labels)
        given = {name: text.encode(errors="replace").decode() for name, text in labels.items()}
        assert [sample.exemplar.labels for sample in next(iter(stock.collect())).samples if sample.exemplar] == [labels]
        assert here.shown()[FIRST].labels == given
        assert render(here.registry, OPENMETRICS).decode().count("# {") == 1


def test_a_number_past_the_end_of_the_file_has_none(tmp_path: Path, faults: list[str]) -> None:
    """Nobody else reads it, and its own place in memory is not taken for another's in the file."""
    with ExemplarWorker(tmp_path, cells=1) as small:
        small.give("in the file", FIRST)
        small.give("past its end", SECOND)
        assert small.traces() == {FIRST: "in the file"}
        assert small.number(SECOND).get_exemplar() is None
    assert faults == ["full"]


def test_who_has_left_writes_nowhere(tmp_path: Path) -> None:
    """Its file's number is the next file's that the process opens."""
    with ExemplarWorker(tmp_path / "workers") as left:
        left.give("early")
    with (tmp_path / "another").open("wb"):
        left.give("late")
        left.give("late", SECOND)  # a new series
    assert (tmp_path / "another").read_bytes() == b""
    with ExemplarWorker(tmp_path / "workers") as late:
        assert late.traces() == {FIRST: "early"}
