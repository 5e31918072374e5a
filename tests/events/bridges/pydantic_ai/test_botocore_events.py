"""Bedrock's SDK emits events of its own: what is wrong in one of them is reported, and hurts no request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events import receiver_failed
from events.bridges.pydantic_ai.botocore_events import end_attempt
from events.bridges.pydantic_ai.current_request import current_request
from events.bridges.pydantic_ai.http_attempts import HTTPAttempt


@pytest.mark.lenient
def test_a_response_that_is_not_as_expected_is_reported_and_not_raised() -> None:
    ongoing: Any = SimpleNamespace(http_requests=[HTTPAttempt("POST", "https://bedrock.example")])
    token = current_request.set(ongoing)
    try:
        with receiver_failed.captured() as failures:
            end_attempt({"no status": 200})
    finally:
        current_request.reset(token)
    assert [(failure.receiver, failure.error) for failure in failures] == [("pydantic_ai", "KeyError")]
    assert ongoing.http_requests[0].ended_at is not None
