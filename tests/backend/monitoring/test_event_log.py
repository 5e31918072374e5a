"""What happens to the studio's work is logged: once, in one place, and without what prompts and answers say."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from app.monitoring.event_log import log_events
from events import component_checked, workflow_finished


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO, "app")
    with log_events():
        yield caplog


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_each_run_that_fails_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    workflow_finished.emit(
        run_id="r1", workflow_type="campaign", status="failed", duration=1.0, error="ModelHTTPError", error_type="auth"
    )
    workflow_finished.emit(run_id="r2", workflow_type="campaign", status="failed", duration=1.0)
    workflow_finished.emit(run_id="r3", workflow_type="campaign", status="abandoned", duration=1.0, error="ProcessGone")
    assert lines(caplog) == [
        ("WARNING", "run r1 of campaign failed: auth (ModelHTTPError); GET /api/v1/runs/r1 says more"),
        ("WARNING", "run r2 of campaign failed: other; GET /api/v1/runs/r2 says more"),
        (
            "WARNING",
            "run r3 of campaign was abandoned: process_gone (ProcessGone); GET /api/v1/runs/r3 says more",
        ),
    ]


def test_a_run_that_ends_as_somebody_wanted_is_none(caplog: pytest.LogCaptureFixture) -> None:
    workflow_finished.emit(run_id="r1", workflow_type="campaign", status="completed", duration=1.0)
    workflow_finished.emit(run_id="r2", workflow_type="campaign", status="completed", duration=1.0, rejected=True)
    workflow_finished.emit(run_id="r3", workflow_type="campaign", status="cancelled", duration=1.0)
    assert lines(caplog) == []


def test_a_component_is_logged_when_it_goes_down_and_when_it_returns(caplog: pytest.LogCaptureFixture) -> None:
    for up in (1, 1, 0, 0, 0, 1, 1):
        component_checked.emit(component="model", up=up, reason="" if up else "It does not answer.")
        component_checked.emit(component="database", up=1)
    component_checked.emit(component="cache", up=0)
    assert lines(caplog) == [
        ("WARNING", "component model cannot be used: It does not answer."),
        ("INFO", "component model can be used again"),
        ("WARNING", "component cache cannot be used: /health says why"),
    ]


def test_a_process_that_stops_says_nothing_of_its_components(caplog: pytest.LogCaptureFixture) -> None:
    with log_events(lambda: True):
        caplog.clear()
        component_checked.emit(component="workflows", up=0, reason="The process stops.")
    assert len(caplog.records) == 1, "of the other log, whose process goes on"
