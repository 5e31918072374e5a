"""Several workers behind one port, on PostgreSQL: the metrics are the same whichever worker answers or is killed."""

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

from app.llm.embedded.server import MODEL_NAME
from app.server.metrics_dir import METRICS_DIR_PREFIX
from metrics.__main__ import main
from metrics.diagnostics.scrape_client import parse_samples
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.outages import children_of, suspended
from tests.support.studio import StudioProcess, run_studio
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Series = dict[tuple[str, ...], float]


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(matching_reply) as server:
        yield server


@pytest.fixture
def new_studio(
    model: OpenAIServer, tmp_path: Path, free_port: Callable[[], int], new_migrated_postgres: Callable[[], str]
) -> Callable[..., StudioProcess]:
    def make(**settings: object) -> StudioProcess:
        given = {
            "llm": "openai:scripted",
            "llm_base_url": model.base_url,
            "database_url": new_migrated_postgres(),
            **settings,
        }
        return StudioProcess(tmp_path, free_port(), **given)

    return make


def scrape(url: str, name: str = "") -> Series:
    """Return the samples, or those of a name, of a scrape on a new connection, so that any worker may answer."""
    selected = f"?name[]=sparklio_{name}" if name else ""
    text = httpx.get(f"{url}/metrics{selected}", timeout=30).text
    return {
        (sample.name.removeprefix("sparklio_"), *sample.labels.values()): sample.value
        for sample in parse_samples(text, url)
    }


def counters_of(series: Series) -> Series:
    """Return the series that never decrease."""
    endings = ("_total", "_count", "_sum", "_bucket")
    return {key: value for key, value in series.items() if key[0].endswith(endings)}


def stable_series_of(series: Series) -> Series:
    """Return the series without those that change by a scrape, by time, or in an idle queue."""
    own = ("process_", "python_", "metrics_", "db_", "http_", "events_", "last_event_", "workflow_oldest_")
    more = ("component_", "event_loop_", "listener_", "llm_process_", "workflows_queued")
    return {key: value for key, value in series.items() if not key[0].startswith((*own, *more))}


@contextmanager
def scraping(url: str) -> Iterator[list[Series]]:
    """Scrape repeatedly while the block runs; a connection to a worker that dies may break."""
    seen: list[Series] = []
    ended = Event()

    def run() -> None:
        while not ended.wait(0.2):
            try:
                seen.append(counters_of(scrape(url)))
            except httpx.HTTPError:
                continue

    thread = Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def workers_of(studio: StudioProcess) -> list[int]:
    """Return the ids of a launcher's workers."""
    return children_of(studio.process.pid, b"app.server.worker")


@pytest.mark.timeout(480)  # half a minute on an idle machine; four minutes were seen on one with six busy loops
def test_every_worker_shows_the_stored_truth_before_and_after_a_kill(
    new_studio: Callable[..., StudioProcess], model: OpenAIServer, new_postgres: Callable[[], str]
) -> None:
    """Runs, tokens and calls agree with the rows and with the model server, before and after a worker is killed.

    Nothing here depends on timing: what has to be in progress is held, and who must not act is suspended.
    """
    with new_studio(workers=4, concurrency=1, database_url=new_postgres()) as studio:

        def active() -> float:
            return scrape(studio.url, "active_workflows")["active_workflows", "brand_identity"]

        before = workers_of(studio)
        assert len(before) == 4
        runs = [studio.submit("product_content", brand=f"Brand {number}") for number in range(8)]
        ended = [studio.wait_for_end(run_id) for run_id in runs]
        wait_until(lambda: scrape(studio.url, "active_workflows")["active_workflows", "product_content"] == 0)
        wait_until(lambda: scrape(studio.url, "workflows_unfinished")["workflows_unfinished", "running"] == 0)
        answers = [stable_series_of(scrape(studio.url)) for _ in range(32)]
        for worker in before:  # each one answers once
            with suspended(*(other for other in before if other != worker)):
                answers.append(stable_series_of(scrape(studio.url)))
        assert {key for answer in answers for key, _ in answers[0].items() ^ answer.items()} == set()
        assert answers[0]["workflows_total", "completed", "product_content"] == 8
        assert answers[0]["llm_tokens_total", "scripted", "prompt"] == model.tally.prompt_tokens
        assert answers[0]["workers",] == 4

        began = scrape(studio.url)["process_start_time_seconds",]
        held = Event()
        model.behaviour = lambda request: replace(matching_reply(request), wait_for=held)
        with scraping(studio.url) as seen:
            runs += [studio.submit("brand_identity", brand=f"Brand {number}") for number in range(4)]
            wait_until(lambda: active() == 4, within=60)  # one in each
            with suspended(studio.process.pid):  # so that it is not replaced yet
                os.kill(before[0], signal.SIGKILL)
                wait_until(lambda: active() == 3)
            wait_until(lambda: "another takes its place" in studio.output)
            wait_until(lambda: active() == 4, within=60)  # the new worker has resumed the run of the killed one
            held.set()
            ended = [studio.wait_for_end(run_id) for run_id in runs]
            wait_until(lambda: active() == 0)
        for earlier, later in pairwise(seen):
            assert {key for key, value in later.items() if value < earlier.get(key, 0)} == set()
            assert earlier.keys() <= later.keys()

        stored = Counter((run["status"], run["workflow_type"]) for run in ended)
        assert stored == {("completed", "product_content"): 8, ("completed", "brand_identity"): 4}
        for _ in range(8):
            last = scrape(studio.url)
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


def test_the_workers_of_a_killed_launcher_stop(
    new_studio: Callable[..., StudioProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Their directory is left, and the next launcher removes it."""
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


def test_workers_can_be_stopped_while_they_start(new_studio: Callable[..., StudioProcess]) -> None:
    studio = new_studio(workers=2)
    studio.preloaded = False
    with studio.client:
        studio.launch()
        workers = wait_until(lambda: workers_of(studio))
        assert studio.stop(signal.SIGINT, within=30) == 130
    assert "Traceback" not in studio.output
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_workers_share_one_embedded_model(new_studio: Callable[..., StudioProcess]) -> None:
    """There is one server for all; when it is killed, it is restarted at its address and the next run succeeds."""
    with new_studio(workers=2, llm="embedded", llm_base_url="") as studio:
        launcher = studio.process.pid
        [server] = children_of(launcher, b"app.llm.embedded.llama_process")
        assert studio.wait_for_end(studio.submit("brand_identity"))["status"] == "completed"
        os.kill(server, signal.SIGKILL)
        run = studio.wait_for_end(studio.submit("brand_identity"))
        assert run["status"] == "completed", run
        # Its usage is in the sum over the workers once: one of them is sent it.
        cpu, memory = "llm_process_cpu_seconds_total", "llm_process_resident_memory_bytes"
        wait_until(lambda: scrape(studio.url, cpu)[cpu, MODEL_NAME] > 0)
        wait_until(lambda: 1e8 < scrape(studio.url, memory).get((memory, MODEL_NAME), 0) < 1e9)
        [other] = children_of(launcher, b"app.llm.embedded.llama_process")
        assert other != server
        assert [children_of(worker, b"app.llm.embedded.llama_process") for worker in workers_of(studio)] == [[], []]


def test_the_error_that_keeps_workers_from_starting_is_printed_once(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    ended = run_studio(
        tmp_path,
        workers=3,
        port=free_port(),
        llm="openai:x",
        llm_base_url="http://127.0.0.1:9/v1",
        database_url=unreachable_database(),
    )
    assert ended.returncode == 1
    assert ended.stderr.count("cannot be used") == 1
    assert "Traceback" not in ended.stderr


def unreachable_database() -> str:
    return "postgresql://nobody:secret@127.0.0.1:1/nothing"


def test_several_workers_on_sqlite_are_refused_with_advice(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Before anything is touched."""
    ended = run_studio(tmp_path, workers=4, port=free_port())
    [line] = ended.stderr.splitlines()
    for part in ("SPARKLIO_WORKERS = 4", "PostgreSQL", "SPARKLIO_DATABASE_URL=postgresql://", "SPARKLIO_WORKERS=1"):
        assert part in line
    assert ended.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_the_workers_of_gunicorn_share_a_directory_by_one_variable(new_studio: Callable[..., StudioProcess]) -> None:
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
                wait_until(lambda: is_live(studio.url) and scrape(studio.url)["workers",] == 2, within=60)
                run = studio.wait_for_end(studio.submit("brand_identity"))
                assert run["status"] == "completed"
                for _ in range(6):
                    series = scrape(studio.url)
                    assert series["workflows_total", "completed", "brand_identity"] == 1
                    assert series["workers",] == 2
                assert series["setup_faults_total", "unshared_workers"] == 0
                assert main(["doctor", f"{studio.url}/metrics"]) == 0
            finally:
                process.send_signal(signal.SIGTERM)
                output = process.stderr.read() if process.stderr else ""
        assert "Traceback" not in output, output


def is_live(url: str) -> bool:
    """Return whether a studio answers at a URL."""
    try:
        return httpx.get(f"{url}/health/live", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
