"""A serving process is counted from its start to its end, and warned of a faulty deployment."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from threading import Event

import pytest

import events
from metrics import Workers, process_lifespan


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
        assert "instrument(app, folder=...), or metrics.Workers(folder) and subscribe(workers=...)" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING), process_lifespan(advice={"unshared_workers": "set SHOP_FOLDER"}):
        assert "the numbers will be wrong (unshared_workers): set SHOP_FOLDER." in caplog.text
        assert "Leave --reload" in caplog.text  # the library's words for what the application is silent about


def test_what_a_worker_reads_of_itself_is_read_while_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a process that shares its numbers is not warned of."""
    monkeypatch.setattr(sys, "argv", ["uvicorn", "shop:app", "--workers", "2"])
    workers = Workers(tmp_path)
    read = Event()
    workers.every_second(read.set)
    with events.setup_fault_found.captured() as faults, process_lifespan(workers, clock_ahead=60):
        assert read.wait(10)
    assert [fault.fault for fault in faults] == ["clock"]
    workers.close()
