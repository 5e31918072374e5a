"""The studio's listener that makes spans: switched on by a setting, and honest where nothing records them."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

import pytest

from app.database import Database
from app.listeners import start_listeners, tracing
from app.settings import Settings
from events import agent_run, llm_called
from tests.support.recorded_spans import RecordedSpans


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> RecordedSpans:
    provider = RecordedSpans()
    monkeypatch.setattr(tracing, "get_tracer_provider", lambda: provider)
    return provider


async def test_spans_are_made_where_the_setting_says_so(
    settings: Settings, database: Database, provider: RecordedSpans
) -> None:
    for traces, expected in ((False, []), (True, ["chat m", "invoke_agent writer"])):
        async with AsyncExitStack() as resources:
            await start_listeners(settings.model_copy(update={"traces": traces, "live": False}), database, resources)
            with agent_run(agent_name="writer"):
                llm_called.emit(model="m", status="success", duration=0.1)
        assert sorted(span.name for span in provider.ended) == expected


def test_where_nothing_records_spans_the_log_says_what_to_do(
    provider: RecordedSpans, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.WARNING, "app.listeners"), tracing.listen():
        pass
    assert caplog.text == ""
    monkeypatch.undo()
    with caplog.at_level(logging.WARNING, "app.listeners"), tracing.listen():
        pass
    assert "start it by opentelemetry-instrument" in caplog.text
