"""A scripted model server, settings that name it, and the balance of what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from tests.support.in_process_studio import NewSettings, RecordedEvents, matching_reply, record_events
from tests.support.openai_server import OpenAIServer


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(matching_reply) as server:
        yield server


@pytest.fixture
def recorded() -> Iterator[RecordedEvents]:
    """What is recorded during a test; at its end every run that started has finished, once."""
    with record_events() as recorded:
        yield recorded
    recorded.assert_balanced()


@pytest.fixture
def new_settings(model: OpenAIServer, tmp_path: Path) -> NewSettings:
    """Settings for the scripted model and one and the same data directory."""

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
