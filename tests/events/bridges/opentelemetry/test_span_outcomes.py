"""How a span ended, by what libraries say of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import openai
import pytest

from events.bridges.model_calls.token_usage import NO_USAGE, TokenUsage
from events.bridges.opentelemetry.call_ends import call_end
from events.bridges.opentelemetry.span_outcomes import STATUS_BY_CLASS, SpanOutcome, outcome_of
from events.bridges.opentelemetry.span_reading import SpanUsage


def failed(
    error_type: str | None = None,
    *,
    description: str | None = None,
    raised: tuple[str, str] | None = None,
    status_code: int | None = None,
) -> SpanOutcome:
    events = []
    if raised is not None:
        recorded = {"exception.type": raised[0], "exception.message": raised[1]}
        events = [SimpleNamespace(name="exception", attributes=recorded)]
    status = SimpleNamespace(status_code=SimpleNamespace(name="ERROR"), description=description)
    attributes: dict[str, Any] = {"error.type": error_type, "http.response.status_code": status_code}
    said = {name: value for name, value in attributes.items() if value is not None}
    return outcome_of(SimpleNamespace(status=status, events=events, attributes=said), said)


@pytest.mark.parametrize(
    ("outcome", "status", "error", "error_type"),
    [
        (failed("openai.RateLimitError"), "error", "RateLimitError", "rate_limited"),
        (failed("RateLimitError", description="Error code: 429"), "error", "RateLimitError", "rate_limited"),
        (failed("429"), "error", "", "rate_limited"),
        (failed("rate_limit_error", status_code=429), "error", "rate_limit_error", "rate_limited"),
        (failed("overloaded_error", status_code=529), "error", "overloaded_error", "provider_5xx"),
        (failed("server_error"), "error", "server_error", "provider_5xx"),
        (failed("_OTHER"), "error", "", "other"),
        (failed(description="RateLimitError: Error code: 429 - {}"), "error", "", "rate_limited"),
        (failed(raised=("openai.BadRequestError", "Error code: 400")), "error", "BadRequestError", "invalid_request"),
        (failed("openai.AuthenticationError"), "error", "AuthenticationError", "auth"),
        (failed("openai.InternalServerError"), "error", "InternalServerError", "provider_5xx"),
        (failed("openai.APIConnectionError"), "error", "APIConnectionError", "connection"),
        (failed("connection_error"), "error", "connection_error", "connection"),
        (failed("httpx.RemoteProtocolError"), "error", "RemoteProtocolError", "connection"),
        (failed("openai.APITimeoutError"), "timeout", "APITimeoutError", "timeout"),
        (failed("client_timeout_error"), "timeout", "client_timeout_error", "timeout"),
        (failed("builtins.TimeoutError"), "timeout", "TimeoutError", "timeout"),
        (failed("asyncio.exceptions.CancelledError"), "cancelled", "CancelledError", "cancelled"),
        (failed("GeneratorExit"), "cancelled", "", "cancelled"),
        (failed("_OTHER", description="abandoned stream"), "cancelled", "", "cancelled"),
        (failed(description="CancelledError: "), "cancelled", "", "cancelled"),
        (failed("tool_error"), "error", "tool_error", "other"),
        (
            failed("openai.BadRequestError", description="Error code: 400 - {'code': 'context_length_exceeded'}"),
            "error", "BadRequestError", "context_length_exceeded",
        ),
        (
            failed("openai.RateLimitError", raised=("openai.RateLimitError", "{'code': 'insufficient_quota'}")),
            "error", "RateLimitError", "quota_exceeded",
        ),
        (
            failed("openai.BadRequestError", description="Error code: 400 - {'code': 'content_filter'}"),
            "error", "BadRequestError", "content_filtered",
        ),
        (failed("litellm.ContentPolicyViolationError"), "error", "ContentPolicyViolationError", "content_filtered"),
    ],
)  # fmt: skip
def test_why_a_span_failed(outcome: SpanOutcome, status: str, error: str, error_type: str) -> None:
    assert (outcome.status, outcome.error, outcome.error_type) == (status, error, error_type)


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("ServiceUnavailableError", "provider_5xx"),
        ("OverloadedError", "provider_5xx"),
        ("ThrottlingException", "rate_limited"),
        ("ResourceExhausted", "rate_limited"),
        ("BudgetExceededError", "quota_exceeded"),
    ],
)
def test_why_a_request_was_refused_is_said_by_the_class_of_its_error(name: str, error_type: str) -> None:
    outcome = failed(f"library.{name}")
    assert (outcome.status, outcome.error, outcome.error_type) == ("error", name, error_type)


def test_a_class_of_an_sdks_errors_has_the_status_code_that_it_has_there() -> None:
    codes = {name: getattr(getattr(openai, name, None), "status_code", code) for name, code in STATUS_BY_CLASS.items()}
    assert codes == STATUS_BY_CLASS


def said(
    usage: TokenUsage = NO_USAGE, library: str = "l", started: int = 0, answer: str | None = None, **details: Any
) -> SpanUsage:
    values = {"response_model": "", "finish_reason": "unknown", "cost": None, "time_to_first_token": None, **details}
    return SpanUsage(library=library, started_ns=started, response_id=answer, usage=usage, **values)


def tokens(prompt: int, completion: int) -> TokenUsage:
    return TokenUsage(usage_source="provider", prompt_tokens=prompt, completion_tokens=completion)


WELL = SpanOutcome(status="success")
MARKED = SpanOutcome(status="success", is_marked_ok=True)


@pytest.mark.parametrize(
    ("outcome", "outermost", "streamed", "status"),
    [
        (WELL, said(), False, "success"),
        (WELL, said(), True, "cancelled"),
        (WELL, said(finish_reason="stop"), True, "success"),
        (WELL, said(tokens(1, 1)), True, "success"),
        (MARKED, said(), True, "cancelled"),
        (MARKED, said(library="openinference.instrumentation.openai"), True, "success"),
        (WELL, said(finish_reason="error"), True, "error"),
        (SpanOutcome(status="timeout", error_type="timeout"), said(), True, "timeout"),
    ],
)
def test_a_stream_without_an_end_was_left(
    outcome: SpanOutcome, outermost: SpanUsage, streamed: bool, status: str
) -> None:
    assert call_end(outcome, outermost, [], is_streamed=streamed, ended_at=0.0).status == status


def test_the_innermost_library_that_counts_says_what_was_used() -> None:
    inner = [
        said(tokens(10, 5), "sdk", 1, "r1", cost=0.5, response_model="m-1"),
        said(tokens(10, 6), "http", 2, "r1"),
        said(tokens(10, 7), "http", 3, "r2", finish_reason="length"),
        said(tokens(10, 7), "http", 4, "r2"),
        said(library="other", started=5),
    ]
    end = call_end(WELL, said(tokens(99, 99), cost=0.25), inner, is_streamed=False, ended_at=0.0)
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (20, 13)
    assert (end.cost, end.cost_source, end.response_model, end.finish_reason) == (0.25, "price_table", "m-1", "length")


def test_costs_of_attempts_are_added_up_where_the_outermost_has_none() -> None:
    inner = [said(tokens(1, 1), "sdk", n, f"r{n}", cost=0.5) for n in (1, 2)]
    assert call_end(WELL, said(), inner, is_streamed=False, ended_at=0.0).cost == 1.0
    assert call_end(WELL, said(cost=0.75), inner, is_streamed=False, ended_at=0.0).cost == 0.75
    free = [said(tokens(1, 1), "sdk", n, f"r{n}") for n in (1, 2)]
    assert call_end(WELL, said(), free, is_streamed=False, ended_at=0.0).cost is None
