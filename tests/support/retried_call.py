"""A call of a model as a bridge emits it, with a retry."""

from __future__ import annotations

from events.bridges.model_calls.model_call import Attempt, CallEnd, start_call
from events.bridges.model_calls.token_usage import TokenUsage


def call_model(status: str = "success") -> None:
    """Call a model as a bridge does, with a retry."""
    call = start_call("test", model="gpt-5", provider="openai", is_exact=True, streamed=True)
    assert call is not None
    start = call.started_at
    call.add_attempt(
        Attempt(started_at=start, ended_at=start, status="error", error="APIError", error_type="rate_limited")
    )
    call.add_attempt(Attempt(started_at=start, ended_at=start + 0.001, status_code=200), response_model="gpt-5-2026")
    call.finish(
        CallEnd(
            response_model="gpt-5-2026",
            usage=TokenUsage(usage_source="provider", prompt_tokens=100, completion_tokens=20, cache_read_tokens=40),
            finish_reason="stop",
            cost=0.25,
        )
    )
