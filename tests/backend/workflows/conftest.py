"""A scripted model server, settings that name it, and the recorded events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.settings import Settings
from app.workflows.definitions import WORKFLOWS
from metrics import CATALOGUE, subscribe
from tests.support.in_process_studio import NewSettings, RecordedEvents, matching_reply, record_events
from tests.support.openai_server import OpenAIServer
from tests.support.run_metrics import RunMetrics


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(matching_reply) as server:
        yield server


@pytest.fixture
def recorded() -> Iterator[RecordedEvents]:
    """The events of a test; at its end, every run that was started has to be finished, once."""
    with record_events() as recorded:
        yield recorded
    recorded.assert_balanced()


@pytest.fixture
def new_settings(model: OpenAIServer, tmp_path: Path) -> NewSettings:
    """Return a function that creates settings for the scripted model and one data directory."""

    def make(**more: object) -> Settings:
        given = {
            "data_dir": tmp_path,
            "llm": "openai:scripted",
            "llm_base_url": model.base_url,
            "llm_retries": 0,
            **more,
        }
        return Settings(**given)  # type: ignore[arg-type]  # pydantic looks at them

    return make


@pytest.fixture
def run_metrics() -> Iterator[RunMetrics]:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio", label_values={"workflow_type": WORKFLOWS}):
        yield RunMetrics(registry)
