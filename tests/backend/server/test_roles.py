"""Processes of one PostgreSQL with roles: some serve the API, others execute the runs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.api import WORKER_SERVES
from app.llm.embedded.server import MODEL_NAME
from app.server.model_check import validate_models
from app.server.shared_model import start_shared_model
from app.settings import Settings
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer, stalls
from tests.support.outages import children_of
from tests.support.studio import BRIEF, StudioProcess, run_studio
from tests.support.wait import wait_until

NewStudio = Callable[..., StudioProcess]

KEY = "alice:" + "k" * 24
POSTGRESQL = "postgresql://user:password@127.0.0.1:1/name"


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(matching_reply) as server:
        yield server


@pytest.fixture
def new_studio(
    model: OpenAIServer, tmp_path: Path, free_port: Callable[[], int], new_migrated_postgres: Callable[[], str]
) -> NewStudio:
    """Return a function that makes studios of one database, each with a data directory of its own."""
    url = new_migrated_postgres()

    def make(role: str, **settings: object) -> StudioProcess:
        port = free_port()
        directory = tmp_path / f"{role}-{port}"
        directory.mkdir()
        given = {"llm": "openai:scripted", "llm_base_url": model.base_url, "database_url": url, **settings}
        return StudioProcess(directory, port, role=role, **given)

    return make


def test_an_api_needs_no_key_of_a_provider_and_no_model_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    validate_models(Settings(role="api", llm="openai:gpt-4o-mini", database_url=POSTGRESQL))
    assert asyncio.run(start_shared_model(Settings(role="api", database_url=POSTGRESQL))) is None


@pytest.mark.slow
def test_a_role_is_refused_on_sqlite_before_anything_is_touched(tmp_path: Path) -> None:
    ended = run_studio(tmp_path, role="worker", port=0)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("SPARKLIO_ROLE (--role) = 'worker': it needs PostgreSQL")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_api_submits_reads_and_cancels_runs_that_a_worker_executes(
    new_studio: NewStudio, model: OpenAIServer
) -> None:
    """Without a worker they wait; the API asks no model, and has no slots."""
    with new_studio("api", llm="embedded", sweep_interval=0.5) as serving:
        assert "Sparklio's API" in serving.output
        assert f"{serving.url.rpartition(':')[2]} as api" in serving.output
        assert "loading the model" not in serving.output
        assert children_of(serving.process.pid) == []
        health = serving.call("GET", "/health")
        assert (health.status_code, health.json()["model"]) == (200, None)
        assert serving.total("workflow_slots") == 0
        assert serving.total("component_up", component="workflows") == 1
        assert {sample.labels["component"] for sample in serving.scrape("component_up")} == {"database", "workflows"}
        assert serving.scrape("llm_configured") == []

        run_ids = [serving.submit("product_content") for _ in range(4)]
        key = {"Idempotency-Key": "again"}
        path = "/api/v1/workflows/product_content/runs"
        keyed = serving.call("POST", path, json=BRIEF, headers=key).json()["run_id"]
        assert serving.call("POST", path, json=BRIEF, headers=key).json()["run_id"] == keyed
        # Two sweeps of its own later, nobody has touched them.
        swept = serving.total("events_total", signal="workflow_queue_read")
        wait_until(lambda: serving.total("events_total", signal="workflow_queue_read") >= swept + 8)
        assert {serving.run(run_id)["status"] for run_id in (*run_ids, keyed)} == {"queued"}
        cancelled = serving.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=run_ids.pop())
        assert cancelled.json()["status"] == "cancelled"
        assert model.tally.requests == 0

        with new_studio("worker") as worker:
            assert "Sparklio's worker" in worker.output
            assert worker.total("workflow_slots") == 2
            for run_id in (*run_ids, keyed):
                assert serving.wait_for_end(run_id)["status"] == "completed"
            # An end is counted after its row has it.
            wait_until(lambda: worker.total("workflows_total", status="completed") == 4)
            assert serving.total("workflows_total", status="completed") == 0
            assert serving.total("llm_request_duration_seconds_count") == 0
            assert {sample.labels["model"] for sample in serving.scrape("llm_tokens_total")} <= {MODEL_NAME}

            model.behaviour = lambda _: stalls()
            asked = model.tally.requests
            held = serving.submit("product_content")
            wait_until(lambda: model.tally.requests == asked + 1)
            assert serving.run(held)["status"] == "running"
            ended = serving.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=held)
            assert ended.json()["status"] == "cancelled"
            both = (serving, worker)  # the sweep of either may store the end of a run that is cancelled
            wait_until(lambda: sum(one.total("workflows_total", status="cancelled") for one in both) == 2)


@pytest.mark.slow
def test_a_worker_on_a_public_address_serves_health_and_metrics_alone(
    new_studio: NewStudio, free_port: Callable[[], int]
) -> None:
    """It needs no key, whatever keys the API has; the token of the metrics is asked for."""
    with new_studio("worker", host="0.0.0.0", metrics_token="hush", drain_time=1000) as worker:
        for path in ("/health", "/health/ready", "/health/live"):
            assert worker.call("GET", path, headers={"Host": "10.1.2.3:8001"}).status_code == 200
        assert worker.call("GET", "/metrics").status_code == 401
        scraped = httpx.get(f"{worker.url}/metrics", headers={"Authorization": "Bearer hush"})
        assert "sparklio_workflow_slots 2.0" in scraped.text
        for path in ("/", "/docs", "/openapi.json", "/api/v1/runs", "/live", "/login", "/static/start.css"):
            for headers in ({}, {"Host": "studio.example.com"}):
                answer = worker.call("GET", path, headers=headers)
                assert (answer.status_code, answer.json()) == (404, {"detail": WORKER_SERVES}), path
        assert worker.call("POST", "/api/v1/workflows/product_content/runs", json={}).status_code == 404

        worker.process.send_signal(signal.SIGTERM)
        wait_until(lambda: worker.call("GET", "/health/ready").status_code == 503)
        assert worker.call("GET", "/health").json()["workflows"]["reason"] == "The process stops."
        assert worker.stop() == 0


@pytest.mark.slow
def test_several_workers_of_a_host_share_their_metrics_on_a_port_of_their_own(
    new_studio: NewStudio, free_port: Callable[[], int]
) -> None:
    metrics_port = free_port()
    worker = new_studio("worker", workers=2, metrics_port=metrics_port, api_keys=KEY)
    with new_studio("api", workers=2, api_keys=KEY) as serving, worker:
        metrics = httpx.Client(base_url=f"http://127.0.0.1:{metrics_port}")
        with metrics:
            assert worker.call("GET", "/metrics").status_code == 404
            assert worker.call("GET", "/health").status_code == 200
            assert "sparklio_workflow_slots 4.0" in metrics.get("/metrics").text
            assert serving.total("workflow_slots") == 0
            assert serving.call("GET", "/api/v1/runs").status_code == 401
            serving.client.headers["Authorization"] = f"Bearer {KEY.partition(':')[2]}"
            run_ids = [serving.submit("brand_identity") for _ in range(6)]
            assert {serving.wait_for_end(run_id)["status"] for run_id in run_ids} == {"completed"}
            wanted = 'sparklio_workflows_total{status="completed",workflow_type="brand_identity"} 6.0'
            wait_until(lambda: wanted in metrics.get("/metrics").text)
            assert worker.stop() == 0


@pytest.mark.slow
def test_the_live_feed_of_an_api_has_what_workers_do(new_studio: NewStudio) -> None:
    """Their numbers it has not: it reads its own."""
    with new_studio("api") as serving, new_studio("worker") as worker:
        path = "/api/v1/events?signal=workflow_finished"
        run_id = ""
        with serving.client.stream("GET", path) as stream:
            for line in stream.iter_lines():
                data = json.loads(line.partition("data: ")[2] or "{}")
                if not run_id and data.get("processes") == 2:  # the two know of each other
                    run_id = httpx.post(f"{serving.url}/api/v1/workflows/brand_identity/runs", json=BRIEF).json()[
                        "run_id"
                    ]
                elif data.get("signal") == "workflow_finished":
                    assert data["fields"]["run_id"] == run_id
                    break
        assert worker.total("workflows_total") == 1
        assert serving.total("workflows_total") == 0


@pytest.mark.slow
def test_workers_of_a_newer_version_execute_what_an_older_api_queues(new_studio: NewStudio) -> None:
    """An API lives, and is of that version, but it executes nothing: its runs are not left to it."""
    studios = [new_studio(role, sweep_interval=0.5) for role in ("api", "worker")]
    for number, studio in enumerate(studios, 1):
        studio.module = "tests.support.named_host"
        studio.environment |= {"HOST_NAME": f"host{number}", "WORKFLOW_VERSION": str(number)}
    serving, worker = studios
    with serving, worker:
        run_ids = [serving.submit("brand_identity") for _ in range(3)]
        assert {serving.wait_for_end(run_id)["status"] for run_id in run_ids} == {"completed"}
        wait_until(lambda: worker.total("workflows_total", status="completed") == 3)


@pytest.mark.slow
def test_uvicorn_runs_a_worker_too(new_studio: NewStudio) -> None:
    worker = new_studio("worker")
    port = worker.url.rpartition(":")[2]
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", port]
    with worker.client, new_studio("api") as serving:
        process = subprocess.Popen(command, cwd=worker.directory, env=worker.environment)
        with process:
            try:
                assert serving.wait_for_end(serving.submit("brand_identity"))["status"] == "completed"
                assert worker.call("GET", "/docs").json() == {"detail": WORKER_SERVES}
            finally:
                process.send_signal(signal.SIGTERM)
