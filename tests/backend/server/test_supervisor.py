"""Several workers behind one port, on PostgreSQL: one truth, whichever answers, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.server.metrics_dir import METRICS_DIR_PREFIX
from metrics.__main__ import main
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Series = dict[tuple[str, ...], float]


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(matching_reply) as server:
        yield server


@pytest.fixture
def new_studio(
    model: OpenAIServer, tmp_path: Path, free_port: Callable[[], int], new_postgres: Callable[[], str]
) -> Callable[..., StudioProcess]:
    def make(**settings: object) -> StudioProcess:
        given = {"llm": "openai:scripted", "llm_base_url": model.base_url, "database_url": new_postgres(), **settings}
        return StudioProcess(tmp_path, free_port(), **given)

    return make


def scraped(url: str) -> Series:
    """Scrape on a connection of its own, so that any worker may answer."""
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return {
        (sample.name.removeprefix("sparklio_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counts(series: Series) -> Series:
    """Keep what never goes down."""
    endings = ("_total", "_count", "_sum", "_bucket")
    return {key: value for key, value in series.items() if key[0].endswith(endings)}


def without_scrapes(series: Series) -> Series:
    """Leave out what a scrape, a look at the own process or an idle queue moves by itself."""
    own = ("process_", "python_", "metrics_", "db_", "http_", "events_", "last_event_", "workflow_oldest_")
    return {key: value for key, value in series.items() if not key[0].startswith(own)}


@contextmanager
def scraping(url: str) -> Iterator[list[Series]]:
    """Scrape over and over while the block runs; a connection to a worker that dies may break."""
    seen: list[Series] = []
    ended = Event()

    def run() -> None:
        while not ended.is_set():
            try:
                seen.append(counts(scraped(url)))
            except httpx.HTTPError:
                continue

    thread = Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def children_of(process: int, what: bytes) -> list[int]:
    """Give the ids of the processes with a word in their command line that any thread of a process started."""
    lists = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")]
    children = [int(child) for text in lists for child in text.split()]
    return [child for child in children if what in Path(f"/proc/{child}/cmdline").read_bytes()]


def workers_of(studio: StudioProcess) -> list[int]:
    """Give the ids of a launcher's workers."""
    return children_of(studio.process.pid, b"app.server.worker")


def state_of(process: int) -> str:
    """Give the letter that the kernel has for what a process does."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """Have these processes do nothing while the block runs."""
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        # Until they are stopped they may accept a connection.
        wait_until(lambda: all(state_of(process) == "T" for process in processes))
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@pytest.mark.timeout(480)  # half a minute on an idle machine; four minutes were seen on one with six busy loops
def test_every_worker_tells_what_is_stored_over_a_kill(
    new_studio: Callable[..., StudioProcess], model: OpenAIServer
) -> None:
    """Runs, tokens and calls are those stored and those the model server knows, before and after one dies by -9.

    Nothing here depends on how long a thing takes: what has to be under way is held, who must not act is stopped.
    """
    with new_studio(workers=4, concurrency=1) as studio:

        def active() -> float:
            return scraped(studio.url)["active_workflows", "brand_identity"]

        before = workers_of(studio)
        assert len(before) == 4
        runs = [studio.submit("product_content", brand=f"Brand {number}") for number in range(8)]
        ended = [studio.wait_for_end(run_id) for run_id in runs]
        wait_until(lambda: scraped(studio.url)["active_workflows", "product_content"] == 0)
        answers = [without_scrapes(scraped(studio.url)) for _ in range(32)]
        for worker in before:  # each answers once for sure
            with stopped(*(other for other in before if other != worker)):
                answers.append(without_scrapes(scraped(studio.url)))
        assert all(answer == answers[0] for answer in answers)
        assert answers[0]["workflows_total", "completed", "product_content"] == 8
        assert answers[0]["llm_tokens_total", "scripted", "prompt"] == model.tally.prompt_tokens
        assert answers[0]["workers",] == 4

        began = scraped(studio.url)["process_start_time_seconds",]
        held = Event()
        model.behaviour = lambda request: replace(matching_reply(request), wait_for=held)
        with scraping(studio.url) as seen:
            runs += [studio.submit("brand_identity", brand=f"Brand {number}") for number in range(4)]
            wait_until(lambda: active() == 4, within=60)  # one in each
            with stopped(studio.process.pid):  # so that no other takes its place yet
                os.kill(before[0], signal.SIGKILL)
                wait_until(lambda: active() == 3)
            wait_until(lambda: "another takes its place" in studio.output)
            wait_until(lambda: active() == 4, within=60)  # the other has taken up what it left behind
            held.set()
            ended = [studio.wait_for_end(run_id) for run_id in runs]
            wait_until(lambda: active() == 0)
        for earlier, later in pairwise(seen):
            assert {key for key, value in later.items() if value < earlier.get(key, 0)} == set()
            assert earlier.keys() <= later.keys()

        stored = Counter((run["status"], run["workflow_type"]) for run in ended)
        assert stored == {("completed", "product_content"): 8, ("completed", "brand_identity"): 4}
        for _ in range(8):
            last = scraped(studio.url)
            assert (
                Counter({key[1:]: value for key, value in last.items() if key[0] == "workflows_total" and value})
                == stored
            )
            assert last["workflows_started_total", "brand_identity"] == 4
            steps = sum(len(run["steps"]) for run in ended)
            assert sum(value for key, value in last.items() if key[0] == "workflow_steps_total") == steps
            assert last["llm_tokens_total", "scripted", "prompt"] == sum(run["tokens"]["prompt"] for run in ended)
            assert (last["workers",], last["workers_started_total",]) == (4, 5)
            assert last["process_start_time_seconds",] == began
            assert any(key[0] == "python_info" for key in last)
        assert main(["doctor", f"{studio.url}/metrics"]) == 0
        after = workers_of(studio)
        assert len(after) == 4
        assert len({*before, *after}) == 5
        assert studio.stop(within=30) == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in after)


def test_a_launcher_that_is_killed_takes_its_workers_along(
    new_studio: Callable[..., StudioProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Their folder stays behind, and the next launcher removes it."""
    place = tmp_path / "t"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    with new_studio(workers=2) as studio:
        [left] = place.glob(f"{METRICS_DIR_PREFIX}*")
        workers = workers_of(studio)
        studio.stop(signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    with new_studio(workers=2):
        [now] = place.glob(f"{METRICS_DIR_PREFIX}*")
        assert now != left
    assert list(place.glob(f"{METRICS_DIR_PREFIX}*")) == []


def test_workers_told_to_stop_while_they_start_stop(new_studio: Callable[..., StudioProcess]) -> None:
    studio = new_studio(workers=2)
    studio.process = subprocess.Popen(
        [sys.executable, "-m", "app"], cwd=studio.directory, env=studio.environment, stderr=subprocess.PIPE, text=True
    )
    with studio.process as process, studio.client:
        workers = wait_until(lambda: workers_of(studio))
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 130
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_workers_share_one_embedded_model(new_studio: Callable[..., StudioProcess]) -> None:
    """One server for all; killed, it comes back at its address and the next run is done."""
    with new_studio(workers=2, llm="embedded", llm_base_url="") as studio:
        launcher = studio.process.pid
        [server] = children_of(launcher, b"app.llm.embedded.process")
        assert studio.wait_for_end(studio.submit("brand_identity"))["status"] == "completed"
        os.kill(server, signal.SIGKILL)
        run = studio.wait_for_end(studio.submit("brand_identity"))
        assert run["status"] == "completed", run
        [other] = children_of(launcher, b"app.llm.embedded.process")
        assert other != server
        assert [children_of(worker, b"app.llm.embedded.process") for worker in workers_of(studio)] == [[], []]


def test_what_keeps_a_worker_from_starting_is_said_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    ended = launched(tmp_path, workers=3, port=free_port(), llm="openai:x", openai_api_key="", database_url=nowhere())
    assert ended.returncode == 1
    assert ended.stderr.count("cannot be used") == 1
    assert "Traceback" not in ended.stderr


def nowhere() -> str:
    return "postgresql://nobody:secret@127.0.0.1:1/nothing"


def test_sqlite_is_refused_in_one_line_that_says_what_to_do(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Before anything is touched."""
    ended = launched(tmp_path, workers=4, port=free_port())
    [line] = ended.stderr.splitlines()
    for part in ("SPARKLIO_WORKERS = 4", "PostgreSQL", "SPARKLIO_DATABASE_URL=postgresql://", "SPARKLIO_WORKERS=1"):
        assert part in line
    assert ended.returncode == 1
    assert list(tmp_path.iterdir()) == []


def launched(directory: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the launcher to its end, which is to come soon."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("SPARKLIO_")}
    own = {f"SPARKLIO_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "app"]
    environment = {**others, **own, "OPENAI_API_KEY": "none"}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_gunicorns_workers_share_a_folder_by_one_variable(new_studio: Callable[..., StudioProcess]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        studio = new_studio(metrics_dir=folder)
        port = studio.url.rpartition(":")[2]
        command = [
            *(sys.executable, "-m", "gunicorn", "app.main:app", "--workers", "2", "--bind", f"127.0.0.1:{port}"),
            *("--worker-class", "uvicorn_worker.UvicornWorker"),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=studio.directory, env=studio.environment, stderr=subprocess.PIPE, text=True
        )
        with process, studio.client:
            try:
                wait_until(lambda: answers(studio.url) and scraped(studio.url)["workers",] == 2, within=60)
                run = studio.wait_for_end(studio.submit("brand_identity"))
                assert run["status"] == "completed"
                for _ in range(6):
                    told = scraped(studio.url)
                    assert told["workflows_total", "completed", "brand_identity"] == 1
                    assert told["workers",] == 2
                assert told["setup_faults_total", "unshared_workers"] == 0
                assert main(["doctor", f"{studio.url}/metrics"]) == 0
            finally:
                process.send_signal(signal.SIGTERM)
                said = process.stderr.read() if process.stderr else ""
        assert "Traceback" not in said, said


def answers(url: str) -> bool:
    """Tell whether somebody serves there."""
    try:
        return httpx.get(f"{url}/health/live", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
