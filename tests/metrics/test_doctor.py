"""A set-up whose numbers would be wrong is found: at the start, and from outside."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.samples import Sample

import events
from metrics import serving, setup
from metrics.__main__ import main
from metrics.doctor import Look, findings
from tests.support.studio import until

ROOT = Path(__file__).parents[2]


def found(command: str, parent: str = "", *, shared: bool = False, ahead: float | None = None) -> list[str]:
    return list(setup.faults(shared=shared, ahead=ahead, command=command.split(), parent=parent.split()))


@pytest.mark.parametrize(
    ("command", "parent"),
    [
        ("python -c spawn_main", "/usr/bin/python -m uvicorn app.main:app --workers 4"),
        ("gunicorn app.main:app", "/venv/bin/python /venv/bin/gunicorn -w4 app.main:app"),
        ("gunicorn app.main:app", "gunicorn: master [app.main:app] --workers=2"),
        ("python -c spawn_main", "hypercorn --workers 3 app.main:app"),
        ("fastapi run --workers 2", ""),
    ],
)
def test_workers_that_share_nothing_are_found(command: str, parent: str) -> None:
    assert found(command, parent) == ["unshared_workers"]
    assert found(command, parent, shared=True) == []


def test_workers_by_the_environment_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn and gunicorn read it; a program that is no server does not."""
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert found("uvicorn app.main:app") == ["unshared_workers"]
    assert found("uvicorn app.main:app --workers 1") == []
    assert found("pytest -n 4") == []


@pytest.mark.parametrize(
    "command", ["uvicorn app.main:app", "python -m app", "gunicorn a:b -w 1", "pytest --workers 4"]
)
def test_one_process_is_fine(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    assert found(command) == []


@pytest.mark.parametrize("command", ["uvicorn app.main:app --reload", "fastapi dev main.py", "python -m fastapi dev"])
def test_a_server_that_reloads_is_found(command: str) -> None:
    assert "reload" in found(command)
    assert "reload" in found("python -c spawn_main", command)


def test_a_clock_that_is_off_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the database's, or by our own files, which cannot come from the future."""
    assert found("python -m app", ahead=-3.5) == ["clock"]
    assert found("python -m app", ahead=0.5) == []
    monkeypatch.setattr(setup, "time", lambda: setup.newest_file() - 3600)
    assert found("python -m app") == ["clock"]


def test_what_is_found_is_warned_of_and_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["uvicorn", "app.main:app", "--reload"])
    told: list[str] = []

    def note(event: events.SetupFaultFound) -> None:
        told.append(event.fault)

    with (
        events.setup_fault_found.connected_to(note),
        events.worker_started.captured() as started,
        events.worker_finished.captured() as finished,
        caplog.at_level(logging.WARNING),
        serving(),
    ):
        assert (len(started), len(finished)) == (1, 0)
    assert len(finished) == 1
    assert told == ["reload"]
    assert "Leave --reload" in caplog.text


def look(asked: float, date: float | None = None, **values: float) -> Look:
    samples = tuple(Sample(name, {}, value) for name, value in values.items())
    return Look(asked, asked + 0.1, date, samples)


def test_a_counter_that_goes_down_between_scrapes_means_workers_that_share_nothing() -> None:
    looks = [look(1, a_total=5), look(2, a_total=3), look(3, a_total=5)]
    assert [finding.split(":")[0] for finding in findings(looks)] == ["unshared_workers"]
    assert list(findings([look(1, a_total=5), look(2, a_total=5), look(3, a_total=6)])) == []


def test_a_servers_clock_is_held_against_the_one_here() -> None:
    assert list(findings([look(1000, date=1000), look(1001, date=1000)])) == []
    [finding] = findings([look(1000, date=1010), look(1001, date=1011)])
    assert finding.startswith("clock: the server's and the one here differ by 10 s")
    [finding] = findings([look(1000, date=990), look(1001, date=991)])
    assert finding.startswith("clock:")
    assert list(findings([look(1000, date=990), look(1001, date=1001)])) == []  # the header was old, once
    told = {"sparklio_last_event_timestamp_seconds": 1100.0}
    [finding] = findings([look(1000, **told), look(1001, **told)])
    assert finding.startswith("clock:")


def test_what_the_server_found_itself_is_repeated() -> None:
    sample = Sample("sparklio_setup_faults_total", {"fault": "reload"}, 1)
    torn = Sample("sparklio_worker_file_faults_total", {"fault": "torn"}, 2)
    one = Look(1, 2, None, (sample, torn))
    assert [finding.split(":")[0] for finding in findings([one, one])] == ["reload", "worker_files"]


def test_nobody_there_is_said(capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]) -> None:
    for url in (f"http://127.0.0.1:{free_port()}/metrics", "file:///etc/passwd"):
        assert main(["doctor", url]) == 2
        assert url in capsys.readouterr().err


@contextmanager
def served(port: int, *options: str, **variables: str) -> Iterator[str]:
    """Run the small application in uvicorn's own workers."""
    command = [sys.executable, "-m", "uvicorn", "tests.support.small_application:app", "--port", str(port), *options]
    environment = {**os.environ, **variables}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}/metrics"
    with process:
        try:
            until(lambda: answered(url, process))
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read() if process.stderr else ""
    assert "Traceback" not in said, said


def answered(url: str, process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def values_of(text: str, name: str) -> Sequence[float]:
    return [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)]


@pytest.mark.slow
def test_the_doctor_finds_workers_that_share_nothing(
    free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with served(free_port(), "--workers", "3") as url:
        assert main(["doctor", url]) == 1
    assert "SPARKLIO_METRICS_DIR" in capsys.readouterr().out


@pytest.mark.slow
def test_the_doctor_finds_nothing_wrong_with_workers_that_share(
    free_port: Callable[[], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any application's: uvicorn's own workers, a folder by the environment."""
    with served(free_port(), "--workers", "3", SMALL_DIR=str(tmp_path)) as url:
        until(lambda: values_of(httpx.get(url).text, "sparklio_workers ") == [3])
        assert main(["doctor", url]) == 0
    assert capsys.readouterr().out.startswith("ok")
