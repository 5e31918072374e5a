"""Each of the twelve error types comes from what a real provider does, through its own SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, get_args

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart, VideoUrl
from pydantic_ai.models import ModelRequestParameters, create_async_httpx2_client
from pydantic_ai.settings import ModelSettings

from events import LLMCalled, llm_attempted, llm_called
from events.bridges.pydantic_ai import instrument
from events.bus.fields import ErrorType
from events.bus.timeout_errors import is_timeout
from tests.support.model_adapters import SERVERS, model_at
from tests.support.openai_server import OpenAIServer, Reply, fails, says, sends, stalls
from tests.support.wait import until

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
VIDEO: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(["See.", VideoUrl("http://127.0.0.1/film.mp4")])])]


def anthropic(status: int, kind: str, message: str = "scripted failure") -> Reply:
    """Return an error as https://docs.anthropic.com/en/api/errors documents it."""
    return sends(
        json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode(), "application/json", status
    )


def gemini(code: int, status: str, message: str = "scripted failure") -> Reply:
    """Return an error as https://ai.google.dev/gemini-api/docs/troubleshooting documents it."""
    return sends(
        json.dumps({"error": {"code": code, "message": message, "status": status}}).encode(), "application/json", code
    )


# fmt: off
REPLIES: tuple[tuple[str, Reply, ErrorType], ...] = (
    ("openai",    fails(401, "Incorrect API key provided", code="invalid_api_key"),                "auth"),
    ("openai",    fails(403, "Country, region, or territory not supported"),                      "auth"),
    ("openai",    fails(400, "Unsupported value: 'temperature'", type="invalid_request_error"),    "invalid_request"),
    ("openai",    fails(404, "The model does not exist", code="model_not_found"),                  "invalid_request"),
    ("openai",    fails(429, "Rate limit reached", code="rate_limit_exceeded"),                    "rate_limited"),
    ("openai",    fails(429, "You exceeded your current quota", code="insufficient_quota"),        "quota_exceeded"),
    ("openai",    fails(500, "The server had an error"),                                           "provider_5xx"),
    ("openai",    fails(503, "The engine is currently overloaded"),                                "provider_5xx"),
    ("openai",    fails(504, "Gateway timeout"),                                                   "provider_5xx"),
    ("openai",    fails(400, "maximum context length is 128000", code="context_length_exceeded"),  "context_length_exceeded"),
    ("openai",    fails(400, "Invalid prompt", code="content_policy_violation"),                   "content_filtered"),
    ("openai",    fails(400, "The response was filtered", code="content_filter"),                  "content_filtered"),
    ("openai",    sends(b"<html>Bad gateway</html>", "text/html"),                                 "invalid_response"),
    ("openai",    sends(b'{"choices": []}'),                                                       "invalid_response"),
    ("openai",    says(break_after=40),                                                            "connection"),
    ("anthropic", anthropic(401, "authentication_error", "invalid x-api-key"),                     "auth"),
    ("anthropic", anthropic(403, "permission_error"),                                              "auth"),
    ("anthropic", anthropic(402, "billing_error"),                                                 "quota_exceeded"),
    ("anthropic", anthropic(400, "invalid_request_error", "max_tokens: must be positive"),         "invalid_request"),
    ("anthropic", anthropic(404, "not_found_error"),                                               "invalid_request"),
    ("anthropic", anthropic(413, "request_too_large"),                                             "context_length_exceeded"),
    ("anthropic", anthropic(400, "invalid_request_error", "prompt is too long: 9 tokens > 8"),     "context_length_exceeded"),
    ("anthropic", anthropic(429, "rate_limit_error"),                                              "rate_limited"),
    ("anthropic", anthropic(500, "api_error"),                                                     "provider_5xx"),
    ("anthropic", anthropic(529, "overloaded_error"),                                              "provider_5xx"),
    ("anthropic", says(break_after=4),                                                             "connection"),  # of a stream, which pydantic-ai always requests
    ("gemini",    gemini(403, "PERMISSION_DENIED"),                                                "auth"),
    ("gemini",    gemini(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"),                  "invalid_request"),
    ("gemini",    gemini(429, "RESOURCE_EXHAUSTED"),                                               "rate_limited"),
    ("gemini",    gemini(500, "INTERNAL"),                                                         "provider_5xx"),
    ("gemini",    gemini(504, "DEADLINE_EXCEEDED"),                                                "provider_5xx"),
    ("gemini",    gemini(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."), "context_length_exceeded"),
    ("ollama",    fails(404, 'model "qwen3:4b" not found, try pulling it first', type="api_error"), "invalid_request"),
    ("ollama",    fails(500, "llama runner process has terminated", type="api_error"),             "provider_5xx"),
    ("ollama",    fails(400, "the prompt exceeds the context length of 4096"),                     "context_length_exceeded"),
)
# fmt: on

NOT_FROM_A_REPLY = {"timeout", "cancelled", "other"}  # see the tests below


@pytest.fixture
async def llm_calls() -> AsyncIterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


async def send_request(
    provider: str, server: OpenAIServer, prompt: list[ModelMessage] = PROMPT, **settings: Any
) -> None:
    limits = ModelSettings(max_retries=0, **settings)  # type: ignore[typeddict-item]  # its own keys
    async with create_async_httpx2_client() as client:
        with suppress(Exception):  # these tests are about the event
            await instrument(model_at(provider, server, client)).request(prompt, limits, ModelRequestParameters())


@pytest.mark.parametrize(
    ("provider", "reply", "error_type"),
    REPLIES,
    ids=[f"{provider} {number}" for number, (provider, _, _) in enumerate(REPLIES)],
)
async def test_each_failure_has_its_error_type(
    provider: str, reply: Reply, error_type: str, llm_calls: list[LLMCalled]
) -> None:
    with SERVERS[provider]() as server, llm_attempted.captured() as attempts:
        server.behaviour = reply
        await send_request(provider, server)
    assert [(call.status, call.error_type) for call in llm_calls] == [("error", error_type)]
    assert [attempt.error_type for attempt in attempts] == [error_type]


async def test_no_response_in_time_is_a_timeout(llm_calls: list[LLMCalled]) -> None:
    with OpenAIServer(stalls()) as server:
        await send_request("openai", server, timeout=0.2)
    assert [(call.status, call.error_type) for call in llm_calls] == [("timeout", "timeout")]


async def test_a_cancelled_caller_is_a_cancellation(llm_calls: list[LLMCalled]) -> None:
    with OpenAIServer(stalls()) as server:
        sending = asyncio.create_task(send_request("openai", server))
        await until(lambda: server.tally.requests)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
    assert [(call.status, call.error_type) for call in llm_calls] == [("cancelled", "cancelled")]


async def test_a_request_that_the_sdk_cannot_send_is_other(llm_calls: list[LLMCalled]) -> None:
    with SERVERS["anthropic"]() as server:
        await send_request("anthropic", server, VIDEO)
        assert server.tally.requests == 0
    assert [(call.status, call.error_type) for call in llm_calls] == [("error", "other")]


def test_every_error_type_is_tested() -> None:
    assert {error_type for _, _, error_type in REPLIES} | NOT_FROM_A_REPLY == {*get_args(ErrorType)}


def test_an_error_that_a_timeout_caused_is_a_timeout() -> None:
    class ReadTimeout(Exception):  # as httpx names it
        pass

    def caused_by(cause: Exception) -> Exception:
        error = ValueError("outer")
        error.__cause__ = cause
        return error

    assert is_timeout(TimeoutError())
    assert is_timeout(caused_by(caused_by(ReadTimeout())))
    assert is_timeout(ExceptionGroup("all", [TimeoutError(), caused_by(ReadTimeout())]))
    assert not is_timeout(ExceptionGroup("some", [TimeoutError(), ValueError()]))
    assert not is_timeout(caused_by(KeyError()))
    assert not is_timeout(None)
