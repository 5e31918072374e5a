"""A set-up whose numbers would be wrong is found: what is looked at, and what it means. On servers: see beside."""

from __future__ import annotations

import logging
import sys
from base64 import b64encode
from types import SimpleNamespace

import pytest
from prometheus_client.samples import Sample

import events
from metrics import process_lifespan
from metrics.diagnostics import deployment
from metrics.diagnostics.doctor import findings
from metrics.diagnostics.scrape_client import Look, shown, without_secret


def found(command: str, parent: str = "", *, shared: bool = False, ahead: float | None = None) -> list[str]:
    return list(deployment.faults(shared=shared, ahead=ahead, command=command.split(), parent=parent.split()))


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


@pytest.mark.parametrize("workers", [None, "4", [4], 1])
def test_a_configuration_that_says_no_number_of_workers_is_one_process(workers: object) -> None:
    """Another program's may be there in place of uvicorn's, with anything by that name."""
    given = SimpleNamespace(workers=workers)
    assert list(deployment.faults(shared=False, ahead=None, command=["python"], parent=[], given=given)) == []


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
    assert found(f"{command} --no-reload") == []


def test_a_clock_that_is_off_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the database's, or by our own files, which cannot come from the future."""
    assert found("python -m app", ahead=-3.5) == ["clock"]
    assert found("python -m app", ahead=0.5) == []
    monkeypatch.setattr(deployment, "time", lambda: deployment.newest_file() - 3600)
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
        process_lifespan(),
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
    assert finding.startswith("clock: the server's is 10 s ahead of the one here")
    [finding] = findings([look(1000, date=990), look(1001, date=991)])
    assert finding.startswith("clock: the server's is 9 s behind the one here")
    assert list(findings([look(1000, date=990), look(1001, date=1001)])) == []  # the header was old, once
    told = {"sparklio_last_event_timestamp_seconds": 1100.0}
    [finding] = findings([look(1000, **told), look(1001, **told)])
    assert finding.startswith("clock:")


def test_what_the_server_found_itself_is_repeated() -> None:
    sample = Sample("sparklio_setup_faults_total", {"fault": "reload"}, 1)
    torn = Sample("sparklio_worker_file_faults_total", {"fault": "torn"}, 2)
    one = Look(1, 2, None, (sample, torn))
    assert [finding.split(":")[0] for finding in findings([one, one])] == ["reload", "worker_files"]


@pytest.mark.parametrize(
    ("url", "plain", "user"),
    [
        ("http://any:hush@host:1/metrics", "http://host:1/metrics", "any:hush"),
        ("https://any:a%40b@host", "https://host", "any:a@b"),
    ],
)
def test_a_password_in_an_address_is_sent_as_the_header_and_shown_nowhere(url: str, plain: str, user: str) -> None:
    assert without_secret(url) == (plain, {"Authorization": f"Basic {b64encode(user.encode()).decode()}"})


def test_an_address_without_a_password_stays_as_it_is() -> None:
    for url in ("http://host:1/metrics?name[]=a@b", "host", "file:///a@b"):
        assert without_secret(url) == (url, {})


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("http://host:1/metrics", "http://host:1/metrics"),
        ("any:hush@host/metrics", "host/metrics"),
        ("http://any:hush@host/metrics", "http://host/metrics"),
        ("HTTPS://any:hu/sh@host/metrics", "HTTPS://host/metrics"),
        ("http://any:hu@sh@host", "http://host"),
        ("http:/any:hush@host", "host"),
        ("any:hu://sh@host", "host"),
        ("ftp://any:hu\nsh@host", "host"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),
    ],
)
def test_an_address_is_printed_without_what_may_be_a_password(url: str, printed: str) -> None:
    """Whatever its form: what cannot be read as an address may be one with a mistake in it."""
    assert shown(url) == printed
