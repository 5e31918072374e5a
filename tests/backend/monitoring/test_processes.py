"""The studio's own advice for faults in the way that it was started."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from app.monitoring.processes import DEPLOYMENT_ADVICE
from metrics import process_lifespan
from metrics.diagnostics.project_config import find_project_config


def test_the_doctor_in_the_checkout_has_the_same_words() -> None:
    assert find_project_config(Path(__file__).parent).advice == DEPLOYMENT_ADVICE


def test_the_warning_about_unshared_workers_names_the_settings(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["uvicorn", "app.main:app", "--workers", "2"])
    with caplog.at_level(logging.WARNING), process_lifespan(advice=DEPLOYMENT_ADVICE):
        [line] = [record.getMessage() for record in caplog.records if record.name == "metrics"]
    assert "Start them by SPARKLIO_WORKERS" in line
    assert "SPARKLIO_METRICS_DIR=/run/sparklio" in line
