"""A body that comes with a status of success, and is no answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.sdk_clients.answer import fault_of


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"choices": []}, None),
        ({"usage": {"prompt_tokens": 5}}, None),
        (SimpleNamespace(content=[], error=None), None),
        ({"error": {"code": 429, "message": "slow down"}}, "rate_limited"),
        ({"error": {"code": "insufficient_quota"}}, "quota_exceeded"),
        ({"error": {"type": "overloaded_error"}}, "provider_5xx"),
        (SimpleNamespace(error={"code": 502}, choices=None), "provider_5xx"),
        ({"error": "it broke"}, "other"),
        ({"error": "", "choices": []}, None),
        ({"error": False, "choices": []}, None),
        ({"error": {}, "choices": []}, None),
        ({"error": [], "choices": []}, None),
        ({"error": 0, "choices": []}, None),
        ({"error": {}}, "invalid_response"),
        ({}, "invalid_response"),
        ([], "invalid_response"),
        ("<html>", "invalid_response"),
        (None, "invalid_response"),
    ],
)
def test_what_is_no_answer_says_why(body: Any, fault: str | None) -> None:
    assert fault_of(body, "chat") == fault


def test_a_transcription_may_be_a_text() -> None:
    assert fault_of("What was said.", "audio") is None
    assert fault_of(None, "audio") is None, "or no JSON"
