"""Each of the twelve words for why a model gave no answer comes of what a real provider does, through its own SDK."""

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
from tests.support.model_adapters import SERVERS, model_at
from tests.support.openai_server import OpenAIServer, Reply, fails, says, sends, stalls
from tests.support.wait import until

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
VIDEO: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(["See.", VideoUrl("http://127.0.0.1/film.mp4")])])]


def anthropic(status: int, kind: str, message: str = "told to fail") -> Reply:
    """Refuse as https://docs.anthropic.com/en/api/errors says."""
    return sends(
        json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode(), "application/json", status
    )


def gemini(code: int, status: str, message: str = "told to fail") -> Reply:
    """Refuse as https://ai.google.dev/gemini-api/docs/troubleshooting says."""
    return sends(
        json.dumps({"error": {"code": code, "message": message, "status": status}}).encode(), "application/json", code
    )


# fmt: off
ANSWERS: tuple[tuple[str, Reply, ErrorType], ...] = (
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
    ("anthropic", says(break_after=4),                                                             "connection"),  # of a stream, which pydantic-ai asks it for
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

SEEN_ELSEWHERE = {"timeout", "cancelled", "other"}  # these are no answer of a provider: see the tests below


@pytest.fixture
async def calls() -> AsyncIterator[list[LLMCalled]]:
    with llm_called.captured() as seen:
        yield seen


async def ask(provider: str, server: OpenAIServer, prompt: list[ModelMessage] = PROMPT, **settings: Any) -> None:
    limits = ModelSettings(max_retries=0, **settings)  # type: ignore[typeddict-item]  # its own keys
    async with create_async_httpx2_client() as client:
        with suppress(Exception):  # what is told of it is what these tests are about
            await instrument(model_at(provider, server, client)).request(prompt, limits, ModelRequestParameters())


@pytest.mark.parametrize(
    ("provider", "answer", "word"), ANSWERS, ids=[f"{who} {number}" for number, (who, _, _) in enumerate(ANSWERS)]
)
async def test_a_refusal_is_told_in_its_word(provider: str, answer: Reply, word: str, calls: list[LLMCalled]) -> None:
    with SERVERS[provider]() as server, llm_attempted.captured() as attempts:
        server.behaviour = answer
        await ask(provider, server)
    assert [(call.status, call.error_type) for call in calls] == [("error", word)]
    assert [attempt.error_type for attempt in attempts] == [word]


async def test_no_answer_in_time_is_a_timeout(calls: list[LLMCalled]) -> None:
    with OpenAIServer(stalls()) as server:
        await ask("openai", server, timeout=0.2)
    assert [(call.status, call.error_type) for call in calls] == [("timeout", "timeout")]


async def test_a_caller_that_leaves_is_a_cancellation(calls: list[LLMCalled]) -> None:
    with OpenAIServer(stalls()) as server:
        asking = asyncio.create_task(ask("openai", server))
        await until(lambda: server.tally.requests)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
    assert [(call.status, call.error_type) for call in calls] == [("cancelled", "cancelled")]


async def test_what_an_sdk_can_not_even_send_is_other(calls: list[LLMCalled]) -> None:
    with SERVERS["anthropic"]() as server:
        await ask("anthropic", server, VIDEO)
        assert server.tally.requests == 0
    assert [(call.status, call.error_type) for call in calls] == [("error", "other")]


def test_every_word_is_seen() -> None:
    assert {word for _, _, word in ANSWERS} | SEEN_ELSEWHERE == {*get_args(ErrorType)}
