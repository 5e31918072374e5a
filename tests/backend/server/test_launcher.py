"""``python -m app``: it starts, stops, is killed, and prints in one line what keeps it from starting."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from app.server.stop_deadline import UNFINISHED
from tests.support.in_process_studio import matching_reply, replies_in_order
from tests.support.openai_server import OpenAIServer, stalls
from tests.support.outages import locked
from tests.support.studio import StudioProcess, run_studio
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

FreePort = Callable[[], int]


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(matching_reply) as server:
        yield server


@pytest.fixture
def new_studio(model: OpenAIServer, tmp_path: Path, free_port: FreePort) -> Callable[..., StudioProcess]:
    """Return a function that creates studios with one data directory and the scripted model, each on its own port."""

    def make(port: int | None = None, **settings: object) -> StudioProcess:
        given = {"llm": "openai:scripted", "llm_base_url": model.base_url, **settings}
        return StudioProcess(tmp_path, port or free_port(), **given)

    return make


def error_line_of(process: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of error that a launcher process with."""
    assert process.returncode not in {0, None}
    assert "Traceback" not in process.stderr
    *before, line = process.stderr.splitlines()
    assert all(" INFO " in other for other in before), process.stderr
    assert process.stdout == ""
    return line


def connect(port: int) -> socket.socket | None:
    """Return a connection to a port, or None if nothing listens on it."""
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=60)
    except ConnectionRefusedError:
        return None


def read_database(directory: Path, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query on a studio's SQLite file."""
    with closing(sqlite3.connect(directory / "data" / "studio.db")) as database:
        return database.execute(query).fetchall()


def test_help_lists_the_settings(tmp_path: Path) -> None:
    ended = run_studio(tmp_path, "--help")
    assert ended.returncode == 0
    for name in ("host", "port", "data-dir", "database-url", "llm", "run-time-limit", "concurrency", "log-level"):
        assert f"--{name}" in ended.stdout


def test_an_invalid_setting_is_named(tmp_path: Path) -> None:
    assert "SPARKLIO_PORT" in error_line_of(run_studio(tmp_path, port=123456))
    assert "SPARKLIO_CONCURRENCY" in error_line_of(run_studio(tmp_path, "--concurrency", "0"))


def test_a_taken_port_is_named_before_anything_is_touched(tmp_path: Path, free_port: FreePort) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        line = error_line_of(run_studio(tmp_path, port=port))
    assert f"127.0.0.1:{port}" in line
    assert "SPARKLIO_PORT" in line
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_named(tmp_path: Path, free_port: FreePort) -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        line = error_line_of(run_studio(tmp_path, host=host, port=free_port()))
        assert host in line
        assert "SPARKLIO_HOST" in line


def test_a_public_address_without_a_key_is_refused_before_anything_is_touched(
    tmp_path: Path, free_port: FreePort
) -> None:
    line = error_line_of(run_studio(tmp_path, host="0.0.0.0", port=free_port()))
    assert "SPARKLIO_API_KEYS" in line
    assert "SPARKLIO_ALLOW_ANYONE" in line
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_written_is_named(tmp_path: Path, free_port: FreePort) -> None:
    """A directory has the name of its file, which stops even root."""
    (tmp_path / "data" / "studio.db").mkdir(parents=True)
    line = error_line_of(run_studio(tmp_path, port=free_port()))
    assert str(Path("data") / "studio.db") in line
    assert "SPARKLIO_DATABASE_URL" in line


def test_engine_tables_that_cannot_be_written_are_named(tmp_path: Path, free_port: FreePort) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "studio.db").touch()  # else it is said that this one is gone, too
    (tmp_path / "data" / "studio.workflows.db").write_bytes(b"no database" * 1000)
    line = error_line_of(run_studio(tmp_path, port=free_port(), llm="openai:any", llm_base_url="http://127.0.0.1:9/v1"))
    assert "studio.workflows.db" in line
    assert "not a database" in line
    assert "restore it from a backup" in line
    assert "SPARKLIO_DATABASE_URL" in line


def test_a_database_server_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, free_port: FreePort
) -> None:
    url = f"postgresql://studio:hush-hush@127.0.0.1:{free_port()}/studio"
    ended = run_studio(tmp_path, port=free_port(), database_url=url)
    assert "127.0.0.1" in error_line_of(ended)
    assert "hush-hush" not in ended.stderr


def test_a_misspelt_model_is_named(tmp_path: Path, free_port: FreePort) -> None:
    assert "SPARKLIO_LLM" in error_line_of(run_studio(tmp_path, port=free_port(), llm="nonsense"))


def test_a_studio_without_its_model_starts_with_a_warning(
    new_studio: Callable[..., StudioProcess], free_port: FreePort
) -> None:
    with new_studio(llm_base_url=f"http://127.0.0.1:{free_port()}/v1") as studio:
        wait_until(lambda: [line for line in studio.lines if " WARNING " in line])
        assert studio.call("GET", "/health").status_code == 503
        assert studio.call("GET", "/health/live").status_code == 200
        run = studio.wait_for_end(studio.submit("product_content"))
        assert run["status"] == "failed"
        assert run["error"]
        assert studio.call("GET", "/health/live").status_code == 200
    assert "Traceback" not in studio.output


def test_a_stopped_studio_leaves_its_run_to_the_next_start(
    model: OpenAIServer, new_studio: Callable[..., StudioProcess], tmp_path: Path
) -> None:
    """It stops within seconds, with exit code 0 and no traceback; the run is neither failed nor cancelled."""

    def stop(studio: StudioProcess, how: signal.Signals, asked: int) -> None:
        wait_until(lambda: model.tally.requests == asked)
        assert studio.stop(how, within=10) == 0
        assert "Traceback" not in studio.output
        assert read_database(tmp_path, "SELECT status FROM runs") == [("running",)]

    model.behaviour = replies_in_order(None, stalls(), stalls())
    with new_studio() as studio:
        run_id = studio.submit("product_content")
        stop(studio, signal.SIGTERM, asked=2)
    with new_studio() as studio:
        stop(studio, signal.SIGINT, asked=3)
    assert model.tally.disconnects == 2

    model.behaviour = matching_reply
    with new_studio() as studio:
        run = studio.wait_for_end(run_id)
        assert run["status"] == "completed"
        assert run["tokens"]["prompt"] == model.tally.prompt_tokens
        assert run["tokens"]["completion"] == model.tally.completion_tokens


def test_a_studio_says_that_it_stops_before_it_stops_listening(new_studio: Callable[..., StudioProcess]) -> None:
    """A second signal ends the drain time; all the while requests are answered."""
    with new_studio(drain_time=1000) as studio:
        assert studio.call("GET", "/health").status_code == 200
        studio.process.send_signal(signal.SIGTERM)
        wait_until(lambda: studio.call("GET", "/health").status_code == 503)
        assert studio.call("GET", "/health/ready").status_code == 503
        assert studio.call("GET", "/health/live").status_code == 200
        assert studio.call("GET", "/health").json()["workflows"]["reason"] == "The process stops."
        assert studio.call("GET", "/api/v1/runs").status_code == 200
        assert studio.stop() == 0
    assert "stopping, draining for 1000 s" in studio.output
    assert studio.output.rstrip().endswith("INFO app: stopped")


def test_a_drain_time_ends_by_itself(new_studio: Callable[..., StudioProcess]) -> None:
    with new_studio(drain_time=0.5) as studio:
        before = monotonic()
        assert studio.stop() == 0
        assert monotonic() - before >= 0.5


def test_the_run_of_a_killed_studio_is_finished_after_the_next_start(
    model: OpenAIServer, new_studio: Callable[..., StudioProcess], tmp_path: Path
) -> None:
    """The run is counted once, with all its tokens, and a step that is done is not repeated."""
    model.behaviour = replies_in_order(None, stalls())
    with new_studio() as studio:
        run_id = studio.submit("product_content")
        wait_until(lambda: model.tally.requests == 2)
        assert studio.total("events_total", signal="workflow_started") == 1
        assert studio.total("active_workflows") == 1
        studio.stop(signal.SIGKILL)
    assert read_database(tmp_path, "SELECT status FROM runs") == [("running",)]

    model.behaviour = matching_reply
    with new_studio() as studio:
        run = studio.wait_for_end(run_id)
        assert run["status"] == "completed"
        assert studio.total("events_total", signal="workflow_started") == 0
        assert studio.total("events_total", signal="workflow_resumed") == 1
        assert studio.total("workflows_total", workflow_type="product_content", status="completed") == 1
        assert studio.total("workflows_total") == 1
        assert studio.total("active_workflows") == 0
    assert model.tally.requests == 4  # copywriter, reviewer twice, optimizer
    spent = read_database(tmp_path, "SELECT sum(prompt_tokens), sum(completion_tokens) FROM steps")
    assert spent == [(model.tally.prompt_tokens, model.tally.completion_tokens)]
    assert (run["tokens"]["prompt"], run["tokens"]["completion"]) == spent[0]


def test_a_second_studio_leaves_the_runs_of_the_first_alone(
    model: OpenAIServer, new_studio: Callable[..., StudioProcess], tmp_path: Path
) -> None:
    """On the same port it does not start; on another one it works beside the first, on the same data."""
    model.behaviour = replies_in_order(None, stalls())
    with new_studio() as first:
        held = first.submit("product_content")
        wait_until(lambda: model.tally.requests == 2)
        port = first.url.rpartition(":")[2]
        assert port in error_line_of(run_studio(tmp_path, port=port, llm="openai:any", llm_base_url=model.base_url))

        model.behaviour = matching_reply
        with new_studio() as second:
            ended = second.wait_for_end(second.submit("brand_identity"))
            assert ended["status"] == "completed"
            assert second.run(held)["status"] == "running"
            assert second.total("events_total", signal="workflow_resumed") == 0
            assert model.tally.disconnects == 0

            # Requested from one studio, done by the other.
            assert second.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=held).json()["status"] == "cancelled"
            wait_until(lambda: model.tally.disconnects == 1)
            wait_until(lambda: first.total("active_workflows") == 0)  # the end is emitted after the call is broken off
            cancelled = {"signal": "workflow_finished"}
            total = first.total("events_total", **cancelled) + second.total("events_total", **cancelled)
            assert total == 2


def test_a_studio_can_be_stopped_while_it_starts(new_studio: Callable[..., StudioProcess], free_port: FreePort) -> None:
    port = free_port()
    studio = new_studio(port)
    studio.preloaded = False
    with studio.client:
        studio.launch()
        wait_until(lambda: connect(port)).close()
        assert studio.stop(signal.SIGINT, within=20) == 130
    assert "Traceback" not in studio.output


def test_a_connection_made_while_the_studio_starts_is_served(
    new_studio: Callable[..., StudioProcess], free_port: FreePort
) -> None:
    """The port is bound first; early connections wait."""
    port = free_port()
    studio = new_studio(port)
    studio.preloaded = False
    with studio.client:
        studio.launch()
        with wait_until(lambda: connect(port)) as early:
            early.sendall(b"GET /health/live HTTP/1.1\r\nHost: studio\r\nConnection: close\r\n\r\n")
            assert early.recv(12) == b"HTTP/1.1 200"
        assert studio.stop() == 0


def test_uvicorn_runs_the_application_too(tmp_path: Path, model: OpenAIServer, free_port: FreePort) -> None:
    """``uvicorn app.main:app``: the settings come from the environment, the parts from the lifespan."""
    port = free_port()
    studio = StudioProcess(tmp_path, port, llm="openai:scripted", llm_base_url=model.base_url)
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=studio.environment, stderr=subprocess.PIPE, text=True)
    with process, studio.client:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "Uvicorn running" in line:
                break
        assert studio.wait_for_end(studio.submit("brand_identity"))["status"] == "completed", seen
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert "Application shutdown complete" in rest
    assert "Traceback" not in rest


def test_a_stop_while_the_database_is_locked_takes_seconds_and_loses_no_run(
    model: OpenAIServer, new_studio: Callable[..., StudioProcess], tmp_path: Path
) -> None:
    gate = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=gate)
    with ExitStack() as locks:
        studio = new_studio().start()
        run_id = studio.submit("product_content")
        wait_until(lambda: bool(model.requests), within=60)
        for name in ("studio.db", "studio.workflows.db"):
            locks.enter_context(locked(tmp_path / "data" / name))
        gate.set()
        began = monotonic()
        assert studio.stop(within=60) in {0, UNFINISHED}
        assert monotonic() - began < 25  # without the deadline it waits for the locks, which last
        studio.client.close()
    with new_studio() as again:
        assert again.wait_for_end(run_id)["status"] == "completed"
