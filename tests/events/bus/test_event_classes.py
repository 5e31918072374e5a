"""The classes of events: how their signals are named."""

from __future__ import annotations

import pytest

from events.bus.event_classes import snake_case


@pytest.mark.parametrize(
    ("class_name", "signal_name"),
    [
        ("AgentFinished", "agent_finished"),
        ("LLMCalled", "llm_called"),
        ("HTTPRequestFinished", "http_request_finished"),
        ("QueryExecuted", "query_executed"),
        ("Started", "started"),
        ("S3Read", "s3_read"),
        ("LLM", "llm"),
    ],
)
def test_a_signal_is_named_after_its_event(class_name: str, signal_name: str) -> None:
    assert snake_case(class_name) == signal_name
