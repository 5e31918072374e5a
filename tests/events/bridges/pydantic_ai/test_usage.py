"""The tokens of a request: those that a provider reports, and what is valid of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.usage import RequestUsage

from events import value_dropped
from events.bridges.model_calls.token_usage import MAX_TOKENS, TokenUsage, valid_subset, valid_token_count
from events.bridges.pydantic_ai.usage import estimate_tokens, reported_tokens, token_usage


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


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("eight888", 2), ("é" * 4, 2)]
)
def test_an_estimate_counts_a_token_for_each_four_bytes_that_begin(text: str, tokens: int) -> None:
    assert estimate_tokens([ModelResponse(parts=[TextPart(text)])]) == tokens


def test_an_estimate_is_of_all_text_together_with_instructions_and_arguments() -> None:
    messages: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart("ab")], instructions="abc"),
        ModelResponse(parts=[ToolCallPart(tool_name="unseen", args="abcd"), ToolCallPart(tool_name="x", args=None)]),
    ]
    assert estimate_tokens(messages) == 3  # of 9 bytes
    assert estimate_tokens([]) == 0


PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("x" * 40)])]
ANSWER = [TextPart("y" * 80)]


@pytest.mark.parametrize(
    ("counted", "parts", "complete", "expected"),
    [
        # source, prompt, completion, estimated prompt, estimated completion
        (RequestUsage(input_tokens=5, output_tokens=3), ANSWER, True, ("provider", 5, 3, None, None)),
        (RequestUsage(input_tokens=5, output_tokens=0), ANSWER, True, ("provider", 5, 0, None, None)),
        (RequestUsage(), ANSWER, True, ("estimated", None, None, 10, 20)),
        (RequestUsage(), [], True, ("estimated", None, None, 10, None)),
        (RequestUsage(output_tokens=3), ANSWER, True, ("estimated", None, 3, 10, None)),
        (RequestUsage(), [], False, ("none", None, None, None, None)),
        (RequestUsage(), ANSWER, False, ("estimated", None, None, 10, 20)),
        (RequestUsage(input_tokens=5, output_tokens=3), ANSWER, False, ("estimated", 5, 3, None, 17)),
        (RequestUsage(input_tokens=5, output_tokens=20), ANSWER, False, ("provider", 5, 20, None, None)),
        (RequestUsage(input_tokens=5, output_tokens=30), ANSWER, False, ("provider", 5, 30, None, None)),
        (RequestUsage(input_tokens=5, output_tokens=0), [], False, ("provider", 5, 0, None, None)),
    ],
)
def test_what_the_provider_did_not_count_is_estimated(
    counted: RequestUsage, parts: list[TextPart], complete: bool, expected: tuple[Any, ...]
) -> None:
    """Of an answer that broke off it has counted the beginning: the rest of the text that came is estimated."""
    usage = token_usage(ModelResponse(parts=parts), counted, PROMPT, complete=complete)
    assert (
        usage.usage_source, usage.prompt_tokens, usage.completion_tokens,
        usage.estimated_prompt_tokens, usage.estimated_completion_tokens,
    ) == expected  # fmt: skip


def test_a_detail_is_at_most_what_it_is_a_part_of() -> None:
    """Cached tokens are a part of the prompt, reasoning is one of the completion; without a whole there is no part."""
    counted = RequestUsage(input_tokens=5, output_tokens=3, cache_read_tokens=5, output_reasoning_tokens=4)
    with value_dropped.captured() as dropped:
        usage = token_usage(ModelResponse(parts=ANSWER), counted, PROMPT, complete=True)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (5, None, None)
    assert [(one.metric, one.reason) for one in dropped] == [("llm_called.reasoning_tokens", "too_large")]
    assert [valid_subset(None, "x", 1), valid_subset(1, "x", None), valid_subset(0, "x", 0)] == [None, None, 0]


def test_a_sum_of_usages_is_unknown_only_where_both_are() -> None:
    one = TokenUsage(usage_source="provider", prompt_tokens=5, cache_read_tokens=0)
    other = TokenUsage(usage_source="estimated", prompt_tokens=7, estimated_completion_tokens=3)
    assert one + other == TokenUsage(
        usage_source="estimated", prompt_tokens=12, cache_read_tokens=0, estimated_completion_tokens=3
    )
    assert (one + TokenUsage()).usage_source == "provider"
    assert TokenUsage() + TokenUsage() == TokenUsage()
