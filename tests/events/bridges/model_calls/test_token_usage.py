"""The tokens of a call, by the rules of whoever counted them."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from events import value_dropped
from events.bridges.anthropic.message_answer import anthropic_usage
from events.bridges.model_calls.token_usage import (
    MAX_TOKENS,
    NO_USAGE,
    TokenUsage,
    counted_usage,
    first_of,
    getter_of,
    openai_usage,
    sum_of_counts,
    whole_counts,
    with_items,
)


def counted(**counts: Any) -> TokenUsage:
    return TokenUsage(usage_source="provider", **counts)


CHAT = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 5, "image_tokens": None},
    "completion_tokens_details": {"reasoning_tokens": 15, "audio_tokens": 0},
}
CHAT_TOKENS = counted(
    prompt_tokens=100, completion_tokens=20, cache_read_tokens=60, reasoning_tokens=15, prompt_audio_tokens=5,
    completion_audio_tokens=0,
)  # fmt: skip


def as_object(value: Any) -> Any:
    """Return a mapping as an SDK has it."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: as_object(each) for name, each in value.items()})
    return value


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (CHAT, CHAT_TOKENS),
        (as_object(CHAT), CHAT_TOKENS),
        (
            {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 8},
             "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 13},
            counted(prompt_tokens=9, completion_tokens=4, cache_read_tokens=8, reasoning_tokens=3),
        ),  # Responses
        ({"prompt_tokens": 8, "total_tokens": 8}, counted(prompt_tokens=8)),  # embeddings
        (
            {"prompt_tokens": 30, "completion_tokens": 5, "prompt_cache_hit_tokens": 20},
            counted(prompt_tokens=30, completion_tokens=5, cache_read_tokens=20),
        ),  # DeepSeek
        (
            {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 44,
             "completion_tokens_details": {"reasoning_tokens": 30}},
            counted(prompt_tokens=10, completion_tokens=34, reasoning_tokens=30),
        ),  # xAI: reasoning beside the completion
        (
            {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 34, "cached_tokens": 20},
            counted(prompt_tokens=30, completion_tokens=4, cache_read_tokens=20),
        ),  # cached ones beside the prompt
        ({"prompt_tokens": 0, "completion_tokens": 0}, NO_USAGE),
        ({}, NO_USAGE),
        (None, NO_USAGE),
    ],
)  # fmt: skip
def test_tokens_of_openai_and_of_servers_like_it(usage: Any, expected: TokenUsage) -> None:
    assert openai_usage(usage) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 2},
            counted(prompt_tokens=47, completion_tokens=7, cache_read_tokens=40, cache_write_tokens=2),
        ),
        ({"input_tokens": 5, "output_tokens": 7}, counted(prompt_tokens=5, completion_tokens=7)),
        (
            {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": None,
             "output_tokens_details": {"thinking_tokens": 3}},
            counted(prompt_tokens=5, completion_tokens=7, reasoning_tokens=3),
        ),
        ({"input_tokens": 5, "output_tokens": 0}, counted(prompt_tokens=5, completion_tokens=0)),
        (None, NO_USAGE),
    ],
)  # fmt: skip
def test_tokens_of_anthropic_have_the_cached_ones_in_the_prompt(usage: Any, expected: TokenUsage) -> None:
    assert anthropic_usage(usage) == expected
    assert anthropic_usage(as_object(usage)) == expected


@pytest.mark.parametrize("count", [-5, MAX_TOKENS + 1, 2.5, "7"])
def test_a_part_that_cannot_be_spoils_no_other_count(count: Any) -> None:
    of_anthropic: dict[str, Any] = {"input_tokens": 11, "output_tokens": 7}
    of_anthropic |= {"cache_read_input_tokens": count, "cache_creation_input_tokens": 2}
    of_openai: dict[str, Any] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 20}
    of_openai |= {"prompt_tokens_details": {"cached_tokens": count, "cache_write_tokens": 2}}
    with value_dropped.captured() as dropped:
        usages = [anthropic_usage(of_anthropic), openai_usage(of_openai)]
    assert usages == [counted(prompt_tokens=13, completion_tokens=7, cache_write_tokens=2)] * 2
    assert {each.metric for each in dropped} == {"llm_called.cache_read_tokens"}


@pytest.mark.parametrize("count", [-1, MAX_TOKENS + 1, 1.5, "7", True, float("nan")])
def test_a_count_that_cannot_be_is_dropped_and_emitted(count: Any) -> None:
    with value_dropped.captured() as dropped:
        usage = counted_usage(10, count, cache_read_tokens=3)
    if count is True:  # Python's integers have it
        assert usage.completion_tokens == 1
        return
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cache_read_tokens) == (10, None, 3)
    assert {each.metric for each in dropped} == {"llm_called.completion_tokens"}


def test_a_part_is_no_more_than_its_whole() -> None:
    with value_dropped.captured() as dropped:
        usage = counted_usage(10, 5, cache_read_tokens=11, reasoning_tokens=5)
    assert (usage.cache_read_tokens, usage.reasoning_tokens) == (None, 5)
    assert [each.metric for each in dropped] == ["llm_called.cache_read_tokens"]


@pytest.mark.parametrize(
    ("counts", "total", "whole"),
    [
        ((10, 5, 0, None), 15, (10, 5, None)),
        ((10, 5, 0, None), None, (10, 5, None)),
        ((10, 5, 4, None), 19, (14, 5, None)),  # cached tokens beside the prompt
        ((10, 5, 0, 3), 18, (10, 8, 3)),  # reasoning beside the completion
        ((10, 5, 4, 4), 19, (10, 9, 4)),  # of the two, reasoning
        ((10, 5, 0, None), 16, (10, 6, 1)),  # reasoning that nothing else is said of
        ((10, 5, 2, None), 16, (10, 5, None)),
        ((1, 5, 0, None), 7, (1, 6, 1)),
        ((10, 0, 4, None), 14, (14, 0, None)),
        ((10, 5, 1, None), 16, (11, 5, None)),
        ((10, 5, 0, 1), 16, (10, 6, 1)),
        ((10, 5, 0, 1), None, (10, 5, 1)),
        ((10, 0, 0, None), 16, (10, 0, None)),
        ((10, 5, 0, 7), None, (10, 12, 7)),
        ((10, 5, 0, 7), 22, (10, 12, 7)),
        ((10, 5, 0, 5), None, (10, 5, 5)),
        ((10, 1, 0, 7), None, (10, 8, 7)),
        ((10, 0, 0, 7), None, (10, 0, 7)),
        ((10, 5, 0, MAX_TOKENS), None, (10, 5, MAX_TOKENS)),
        ((0, 5, 0, None), 9, (0, 5, None)),
        ((10, -1, 0, None), 12, (10, -1, None)),
    ],
)
def test_what_stands_beside_a_prompt_or_a_completion_is_seen_by_the_total(
    counts: tuple[int, int, int, int | None], total: int | None, whole: tuple[int, int, int | None]
) -> None:
    prompt, completion, cached, reasoning = counts
    assert whole_counts(prompt, completion, cached=cached, reasoning=reasoning, total=total) == whole


class Reported(BaseModel, extra="allow"):
    """A usage as an SDK has it, with what its version does not know yet."""

    prompt_tokens: int


def test_a_value_has_its_items_whatever_it_is_of() -> None:
    assert with_items(Reported(prompt_tokens=1)) == {"prompt_tokens": 1}
    assert with_items(Reported.model_validate({"prompt_tokens": 1, "more": 2})) == {"prompt_tokens": 1, "more": 2}
    plain, named = {"prompt_tokens": 1}, SimpleNamespace(prompt_tokens=1)
    assert (with_items(plain), with_items(named), with_items(None)) == (plain, named, None)
    for value in (plain, named, Reported(prompt_tokens=1), MappingProxyType(plain)):
        assert [getter_of(value)(name) for name in ("prompt_tokens", "none")] == [1, None]


def test_what_is_no_count_is_in_no_sum() -> None:
    assert sum_of_counts([1, 0, None, -1, 2.5, "7", MAX_TOKENS + 1, MAX_TOKENS]) == 1 + MAX_TOKENS


def test_of_several_names_the_first_that_says_something_counts() -> None:
    assert first_of({"a": None, "b": 0, "c": 1}, ("a", "b", "c")) == 0
    assert first_of({"a": None}, ("a", "b")) is None


def test_usages_add_up_and_what_is_unknown_in_both_stays_so() -> None:
    total = counted(prompt_tokens=1, completion_tokens=2) + counted(prompt_tokens=10, cache_read_tokens=4)
    assert total == counted(prompt_tokens=11, completion_tokens=2, cache_read_tokens=4)
    assert (NO_USAGE + NO_USAGE).usage_source == "none"
