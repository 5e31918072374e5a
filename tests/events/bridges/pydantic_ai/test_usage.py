"""The tokens of a request: those that a provider reports, and what is valid of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai.usage import RequestUsage

from events import value_dropped
from events.bridges.pydantic_ai.usage import reported_tokens, valid_token_count
from events.bridges.pydantic_ai.usage_corrections import MAX_TOKENS


@pytest.mark.parametrize("count", [0, 1, MAX_TOKENS])
def test_a_count_within_the_limits_is_valid(count: int) -> None:
    with value_dropped.captured() as dropped:
        assert valid_token_count("prompt_tokens", count) == count
    assert not dropped


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (-1, "negative"),
        (MAX_TOKENS + 1, "too_large"),
        (10**400, "too_large"),
        (1.5, "not_a_number"),
        ("1", "not_a_number"),
    ],
)
def test_an_impossible_count_is_dropped_with_its_reason(count: Any, reason: str) -> None:
    with value_dropped.captured() as dropped:
        assert valid_token_count("prompt_tokens", count) is None
    assert [(one.metric, one.reason) for one in dropped] == [("llm_called.prompt_tokens", reason)]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (RequestUsage(input_tokens=5, output_tokens=3), (5, 3)),
        (RequestUsage(input_tokens=5), (5, 0)),
        (RequestUsage(output_tokens=3), (None, 3)),
        (RequestUsage(), (None, None)),
        (RequestUsage(unmeasured_requests=1), (None, None)),
        (RequestUsage(input_tokens=-5, output_tokens=-3), (None, None)),
    ],
)
def test_zero_tokens_are_unknown_where_they_cannot_be_true(
    usage: RequestUsage, expected: tuple[int | None, int | None]
) -> None:
    assert reported_tokens(usage) == expected


@pytest.mark.parametrize(
    ("provider", "body", "expected"),
    [
        (
            "openai",
            {"usage": {"prompt_tokens": 100, "completion_tokens": 25,
                       "prompt_tokens_details": {"cached_tokens": 60},
                       "completion_tokens_details": {"reasoning_tokens": 20}}},
            (100, 25),
        ),
        (
            "anthropic",
            {"usage": {"input_tokens": 100, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10,
                       "output_tokens": 5}},
            (150, 5),
        ),
        (
            "google",
            {"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 30,
                               "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 5, "totalTokenCount": 155}},
            (105, 50),
        ),
    ],
)  # fmt: skip
def test_the_tokens_of_every_provider_are_counted_alike(
    provider: str, body: dict[str, Any], expected: tuple[int, int]
) -> None:
    """The prompt includes cached tokens and the completion includes reasoning, however the provider splits them.

    pydantic-ai does that; the test shows a new version of it that would change the numbers.
    """
    models = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash"}
    usage = RequestUsage.extract(
        {"model": models[provider], **body},
        provider=provider,
        provider_url="",
        provider_fallback=provider,
        api_flavor="chat" if provider == "openai" else "default",
    )
    assert reported_tokens(usage) == expected
