"""``python -m app reconcile`` on real studios: rows, counters and trail are the same, and what is changed is found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.commands.reconciliation import START_SLACK
from tests.support.in_process_studio import matching_reply, rejecting
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, fails
from tests.support.outages import children_of
from tests.support.studio import WORKFLOWS, StudioProcess, run_studio
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@dataclass
class Audited:
    """A studio with an audit trail that has executed runs, and its database."""

    studio: StudioProcess
    settings: dict[str, Any]
    engine: sa.Engine
    runs: list[dict[str, Any]]

    def reconcile(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code of the command and what it prints."""
        ended = run_studio(self.studio.directory, "reconcile", *arguments, **self.settings)
        return ended.returncode, ended.stdout + ended.stderr

    @property
    def metrics(self) -> str:
        return f"{self.studio.url}/metrics"

    def execute(self, statement: str) -> Any:
        with self.engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            return result.fetchall() if result.returns_rows else result.rowcount


def behave(request: ChatRequest) -> Reply:
    prompt = str(request.messages)
    if "Refused" in prompt:
        return fails(400)
    return rejecting(matching_reply(request)) if "Rejected" in prompt else matching_reply(request)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_audited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Callable[[], AbstractContextManager[Audited]]]:
    """Return a function that runs studios: of one process on SQLite, of two workers on PostgreSQL."""

    @contextmanager
    def running() -> Iterator[Audited]:
        directory = tmp_path_factory.mktemp("audited")
        if request.param == "sqlite":
            url = f"sqlite:///{directory / 'studio.db'}"
            more: dict[str, Any] = {"database_url": url}
        else:
            create: Callable[[], str] = request.getfixturevalue("new_postgres")
            more = {"database_url": create(), "workers": 2}
            url = more["database_url"].replace("postgresql://", "postgresql+psycopg://")
        model = {"llm": "openai:gpt-4o-mini", "llm_base_url": server.base_url, "llm_prices": "openai"}
        settings = {**model, "audit_days": 30, **more}
        engine = sa.create_engine(url)
        with StudioProcess(directory, free_port(), **settings) as studio:
            started = [studio.submit(kind, brand=brand) for kind in WORKFLOWS for brand in ("Fine", "Refused")]
            started.append(studio.submit("product_content", brand="Rejected"))
            yield Audited(studio, settings, engine, [studio.wait_for_end(run_id) for run_id in started])
        engine.dispose()

    with pytest.MonkeyPatch.context() as environment, OpenAIServer(behave) as server:
        environment.setenv("OPENAI_API_KEY", "none")
        yield running


@pytest.fixture(scope="module")
def audited(new_audited: Callable[[], AbstractContextManager[Audited]]) -> Iterator[Audited]:
    with new_audited() as studio:
        yield studio


def wait_until_stored(audited: Audited) -> None:
    """Wait for the last event of each run: events are stored twice a second."""
    ends = "SELECT count(*) FROM audit_events WHERE signal = 'workflow_finished'"
    wait_until(lambda: audited.execute(ends)[0][0] == len(audited.runs))


def test_trail_counters_and_rows_agree(audited: Audited) -> None:
    code, said = audited.reconcile(audited.metrics)
    assert code == 0, said
    assert said.endswith("ok: trail, counters and rows agree\n")
    assert "note" not in said
    code, said = audited.reconcile(audited.metrics, "--format", "json")
    assert code == 0
    report = json.loads(said)
    assert report["agrees"]
    runs = Counter((run["workflow_type"], run["status"]) for run in audited.runs)
    assert len({status for _, status in runs}) == 2
    for against in ("workflows_total", "rows"):
        found = {
            (line["labels"]["workflow_type"], line["labels"]["status"]): line["trail"]
            for line in report["sums"]
            if (line["title"], line["against"]) == ("runs", against)
        }
        assert found == runs
    sums = {(line["title"], line["against"]): 0.0 for line in report["sums"]}
    for line in report["sums"]:
        sums[line["title"], line["against"]] += line["trail"]
    assert sums["tokens", "llm_tokens_total"] == sum(run["tokens"]["total"] for run in audited.runs)
    assert sums["USD", "rows"] == pytest.approx(sum(run["cost"] or 0 for run in audited.runs))
    assert sums["USD", "rows"] > 0
    assert sums["model calls", "rows"] == sum(run["llm_calls"] for run in audited.runs)
    assert sums["tool calls", "tool_calls_total"] > 0
    assert sums["events", "events_total"] == audited.execute("SELECT count(*) FROM audit_events")[0][0]


def test_each_run_has_its_story_and_nothing_that_was_written(audited: Audited) -> None:
    wait_until_stored(audited)
    for run in audited.runs:
        rows = audited.execute(f"SELECT signal FROM audit_events WHERE run_id = '{run['run_id']}' ORDER BY time, id")
        signals = [signal for (signal,) in rows]
        assert (signals[0], signals[-1]) == ("workflow_started", "workflow_finished")
        assert signals.count("llm_called") == run["llm_calls"]
    records = str(audited.execute("SELECT record FROM audit_events"))
    for words in ("Hear the music", "wireless earbuds", "noise cancelling", "scripted failure", "commuters"):
        assert words not in records


def test_what_is_changed_is_found(audited: Audited) -> None:
    wait_until_stored(audited)
    run_id = audited.runs[0]["run_id"]
    last = f"run_id = '{run_id}' AND signal = 'llm_called'"
    audited.execute(f"UPDATE audit_events SET signal = 'away' WHERE {last}")
    audited.execute(f"UPDATE runs SET status = 'cancelled' WHERE id = '{run_id}'")
    try:
        code, said = audited.reconcile(audited.metrics, "--wait", "0")
        by_rows, of_rows = audited.reconcile("--rows-only", "--wait", "0")
    finally:
        audited.execute("UPDATE audit_events SET signal = 'llm_called' WHERE signal = 'away'")
        audited.execute(f"UPDATE runs SET status = 'completed' WHERE id = '{run_id}'")
    calls = audited.runs[0]["llm_calls"]
    assert (code, by_rows) == (1, 1)
    assert '{model="gpt-4o-mini", status="success"}' in said
    assert f"counted; the trail lacks {calls}" in said
    assert (
        f'{{workflow_type="{audited.runs[0]["workflow_type"]}", status="cancelled"}}: 0 in the trail, 1 in the rows'
        in said
    )
    for text in (said, of_rows):
        assert run_id in text
        assert text.rstrip().endswith("differ")
    assert "counted" not in of_rows
    assert audited.reconcile(audited.metrics)[0] == 0


def test_what_cannot_be_compared_is_named(audited: Audited, free_port: Callable[[], int], tmp_path: Path) -> None:
    for arguments, words in (
        ([f"http://127.0.0.1:{free_port()}/metrics"], "start the server"),
        ([f"{audited.studio.url}/nowhere"], "404"),
        ([audited.metrics, "--since", "yesterday"], "2030-01-31T12:00"),
    ):
        code, said = audited.reconcile(*arguments)
        assert code == 2
        assert words in said
        assert "Traceback" not in said
    nowhere = run_studio(tmp_path, "reconcile", "--rows-only")
    assert nowhere.returncode == 2
    assert "SPARKLIO_DATABASE_URL" in nowhere.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dead_worker_and_the_next_start_leave_nothing_unaccounted(
    new_audited: Callable[[], AbstractContextManager[Audited]],
) -> None:
    with new_audited() as audited:
        studio = audited.studio
        if "workers" in audited.settings:
            assert audited.reconcile(audited.metrics)[0] == 0  # all is stored
            [worker, *_] = children_of(studio.process.pid, b"app.server.worker")
            os.kill(worker, signal.SIGKILL)
            studio.client.close()  # it may be connected to that one
            studio.client = httpx.Client(base_url=studio.url, timeout=30.0)
            wait_until(lambda: studio.total("workers_started_total") == 3)
        studio.wait_for_end(studio.submit("campaign", brand="Later"))
        code, said = audited.reconcile(audited.metrics)
        assert code == 0, said
        counted = studio.total("workflows_total")
        studio.wait_for_end(studio.submit("campaign", brand="Last"))
        assert studio.stop() == 0
        ended = "SELECT count(*) FROM audit_events WHERE signal = 'workflow_finished'"
        assert audited.execute(ended)[0][0] == counted + 1
        stopped = audited.execute("SELECT process FROM audit_events WHERE signal = 'worker_finished'")
        assert len(stopped) == audited.settings.get("workers", 1)

        studio.lines.clear()
        studio.start()
        studio.wait_for_end(studio.submit("campaign", brand="After"))
        code, said = audited.reconcile(audited.metrics)
        assert code == 0, said
        assert "runs: 1 in the trail; workflows_total" in said
        assert audited.reconcile("--rows-only")[0] == 0


def test_two_servers_on_one_database_are_added_up(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Of the first alone, what the other did is too much; the second alone began after it, and is exact."""
    with OpenAIServer(matching_reply) as server:
        settings = {"llm": "openai:scripted", "llm_base_url": server.base_url, "audit_days": 1}
        with StudioProcess(tmp_path, free_port(), **settings) as first, ExitStack() as later:
            began = time()
            wait_until(lambda: time() > began + 2 * START_SLACK)  # what began closer together cannot be told apart
            second = later.enter_context(StudioProcess(tmp_path, free_port(), **settings))
            started = [studio.submit(kind) for kind in WORKFLOWS for studio in (first, second)]
            for run_id in started:
                first.wait_for_end(run_id)
            by_each = [studio.total("workflows_total") for studio in (first, second)]
            assert sum(by_each) == len(started)
            urls = [f"{studio.url}/metrics" for studio in (first, second)]

            def reconcile(*arguments: str) -> subprocess.CompletedProcess[str]:
                return run_studio(tmp_path, "reconcile", *arguments, **settings)

            both, of_first, of_second = reconcile(*urls), reconcile(urls[0], "--wait", "1"), reconcile(urls[1])
    assert both.returncode == 0, both.stdout
    assert f"runs: {len(started)} in the trail; workflows_total" in both.stdout
    assert of_first.returncode == 1
    assert "note: 2 processes" in of_first.stdout
    assert of_second.returncode == 0, of_second.stdout
    assert f"runs: {by_each[1]:.0f} in the trail; workflows_total" in of_second.stdout or by_each[1] == 0
