"""Deployments whose numbers would be wrong are found: the evidence and what it means. On real servers: see beside."""

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
from metrics.diagnostics.scrape_client import ScrapeResult, split_credentials, strip_credentials


def faults(command: str, parent: str = "", *, shared: bool = False, clock_ahead: float | None = None) -> list[str]:
    return list(
        deployment.find_faults(
            shared=shared, clock_ahead=clock_ahead, command=command.split(), parent_command=parent.split()
        )
    )


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
    assert faults(command, parent) == ["unshared_workers"]
    assert faults(command, parent, shared=True) == []


def test_workers_set_by_the_environment_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn and gunicorn read the variable; a program that is no server does not."""
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert faults("uvicorn app.main:app") == ["unshared_workers"]
    assert faults("uvicorn app.main:app --workers 1") == []
    assert faults("pytest -n 4") == []


@pytest.mark.parametrize("workers", [None, "4", [4], 1])
def test_a_configuration_without_a_number_of_workers_means_one_process(workers: object) -> None:
    """Another program's may be there in place of uvicorn's, with anything by that name."""
    config = SimpleNamespace(workers=workers)
    found = deployment.find_faults(
        shared=False, clock_ahead=None, command=["python"], parent_command=[], server_config=config
    )
    assert list(found) == []


@pytest.mark.parametrize(
    "command", ["uvicorn app.main:app", "python -m app", "gunicorn a:b -w 1", "pytest --workers 4"]
)
def test_one_process_is_fine(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    assert faults(command) == []


@pytest.mark.parametrize("command", ["uvicorn app.main:app --reload", "fastapi dev main.py", "python -m fastapi dev"])
def test_a_server_that_reloads_is_found(command: str) -> None:
    assert "reload" in faults(command)
    assert "reload" in faults("python -c spawn_main", command)
    assert faults(f"{command} --no-reload") == []


def test_a_clock_that_is_off_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with the database's, or with our own files, which cannot come from the future."""
    assert faults("python -m app", clock_ahead=-3.5) == ["clock"]
    assert faults("python -m app", clock_ahead=0.5) == []
    monkeypatch.setattr(deployment, "time", lambda: deployment.newest_module_time() - 3600)
    assert faults("python -m app") == ["clock"]


def test_a_fault_is_logged_as_a_warning_and_emitted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["uvicorn", "app.main:app", "--reload"])
    emitted: list[str] = []

    def record(event: events.SetupFaultFound) -> None:
        emitted.append(event.fault)

    with (
        events.setup_fault_found.connected_to(record),
        events.worker_started.captured() as started,
        events.worker_finished.captured() as finished,
        caplog.at_level(logging.WARNING),
        process_lifespan(),
    ):
        assert (len(started), len(finished)) == (1, 0)
    assert len(finished) == 1
    assert emitted == ["reload"]
    assert "Leave --reload" in caplog.text


def test_a_warning_names_the_library_or_what_the_application_says_instead(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["uvicorn", "shop:app", "--workers", "2", "--reload"])
    with caplog.at_level(logging.WARNING), process_lifespan():
        assert "metrics.Workers(folder) and subscribe(workers=...)" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING), process_lifespan(advice={"unshared_workers": "set SHOP_FOLDER"}):
        assert "the numbers will be wrong (unshared_workers): set SHOP_FOLDER." in caplog.text
        assert "Leave --reload" in caplog.text  # the library's words for what the application is silent about


def result(sent_at: float, date: float | None = None, **values: float) -> ScrapeResult:
    samples = tuple(Sample(name, {}, value) for name, value in values.items())
    return ScrapeResult(sent_at, sent_at + 0.1, date, samples)


def test_a_counter_that_goes_down_between_scrapes_means_workers_that_share_nothing() -> None:
    results = [result(1, a_total=5), result(2, a_total=3), result(3, a_total=5)]
    assert [finding.split(":")[0] for finding in findings(results)] == ["unshared_workers"]
    assert list(findings([result(1, a_total=5), result(2, a_total=5), result(3, a_total=6)])) == []


def test_a_servers_clock_is_compared_with_the_local_one() -> None:
    assert list(findings([result(1000, date=1000), result(1001, date=1000)])) == []
    [finding] = findings([result(1000, date=1010), result(1001, date=1011)])
    assert finding.startswith("clock: the server's is 10 s ahead of the one here")
    [finding] = findings([result(1000, date=990), result(1001, date=991)])
    assert finding.startswith("clock: the server's is 9 s behind the one here")
    assert list(findings([result(1000, date=990), result(1001, date=1001)])) == []  # the header was old, once
    last_event = {"sparklio_last_event_timestamp_seconds": 1100.0}
    [finding] = findings([result(1000, **last_event), result(1001, **last_event)])
    assert finding.startswith("clock:")


def test_faults_that_the_server_found_itself_are_reported() -> None:
    sample = Sample("sparklio_setup_faults_total", {"fault": "reload"}, 1)
    torn = Sample("sparklio_worker_file_faults_total", {"fault": "torn"}, 2)
    scraped = ScrapeResult(1, 2, None, (sample, torn))
    assert [finding.split(":")[0] for finding in findings([scraped, scraped])] == ["reload", "worker_files"]


@pytest.mark.parametrize(
    ("url", "plain", "user"),
    [
        ("http://any:hush@host:1/metrics", "http://host:1/metrics", "any:hush"),
        ("https://any:a%40b@host", "https://host", "any:a@b"),
    ],
)
def test_a_password_in_an_address_becomes_a_header(url: str, plain: str, user: str) -> None:
    assert split_credentials(url) == (plain, {"Authorization": f"Basic {b64encode(user.encode()).decode()}"})


def test_an_address_without_a_password_is_unchanged() -> None:
    for url in ("http://host:1/metrics?name[]=a@b", "host", "file:///a@b"):
        assert split_credentials(url) == (url, {})


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
    assert strip_credentials(url) == printed
