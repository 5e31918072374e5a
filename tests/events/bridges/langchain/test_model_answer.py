"""What LangChain says of an answer: tokens, the end and the model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.langchain.model_answer import ModelAnswer, metadata_usage, read_answer
from events.bridges.model_calls.token_usage import NO_USAGE, TokenUsage


def result(usage: Any = None, output: Any = None, **metadata: Any) -> Any:
    """Return a result with one message."""
    message = SimpleNamespace(usage_metadata=usage, response_metadata=metadata, tool_calls=metadata.pop("calls", ()))
    generation = SimpleNamespace(message=message, generation_info=None)
    return SimpleNamespace(generations=[[generation]], llm_output=output)


USAGE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}


def test_the_input_includes_cached_tokens_and_the_output_reasoning() -> None:
    details = {
        "input_token_details": {"cache_read": 60, "cache_creation": 5, "audio": 3, "image": 2},
        "output_token_details": {"reasoning": 8, "audio": 1, "image": 4},
    }
    assert metadata_usage({**USAGE, **details}) == TokenUsage(
        usage_source="provider",
        prompt_tokens=100,
        completion_tokens=20,
        cache_read_tokens=60,
        cache_write_tokens=5,
        reasoning_tokens=8,
        prompt_audio_tokens=3,
        prompt_image_tokens=2,
        completion_audio_tokens=1,
        completion_image_tokens=4,
    )


def test_details_may_have_the_name_of_a_tier_or_of_a_time_to_live() -> None:
    details = {
        "input_token_details": {"priority": 40, "priority_cache_read": 60, "cache_creation": 0,
                                "ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
        "output_token_details": {"flex": 12, "flex_reasoning": 8},
    }  # fmt: skip
    usage = metadata_usage({**USAGE, **details})
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (60, 7, 8)


def test_without_usage_the_source_is_nobody() -> None:
    assert read_answer(result()).usage == NO_USAGE
    assert read_answer(None) == ModelAnswer()


def test_a_text_completion_has_its_tokens_beside_it() -> None:
    generation = SimpleNamespace(generation_info={"finish_reason": "length"})
    counted = {"token_usage": {"prompt_tokens": 5, "completion_tokens": 2}, "model_name": "m"}
    answer = read_answer(SimpleNamespace(generations=[[generation]], llm_output=counted))
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 2)
    assert (answer.model, answer.finish_reason) == ("m", "length")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"stop_reason": "tool_use"}, "tool_calls"),
        ({"done_reason": "length"}, "length"),
        ({"status": "completed"}, "stop"),
        ({"status": "completed", "calls": [{}]}, "tool_calls"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete"}, "length"),
        ({}, "unknown"),
    ],
)
def test_the_end_is_in_the_words_of_events(metadata: dict[str, Any], reason: str) -> None:
    assert read_answer(result(**metadata)).finish_reason == reason


def test_an_answer_of_a_cache_has_no_tokens() -> None:
    answer = read_answer(result({**USAGE, "total_cost": 0}, finish_reason="stop"))
    assert answer.usage == TokenUsage(usage_source="provider", prompt_tokens=0, completion_tokens=0)
    assert (answer.is_from_cache, answer.finish_reason) == (True, "stop")


def test_an_answer_without_an_end_is_cut_off_where_ends_are_always_said() -> None:
    assert read_answer(result(model_provider="openai")).is_cut_off
    assert not read_answer(result(model_provider="openai", finish_reason="stop")).is_cut_off
    assert not read_answer(result(USAGE, model_provider="openai")).is_cut_off
    assert not read_answer(result(model_provider="ollama")).is_cut_off


def test_a_model_is_a_text() -> None:
    assert read_answer(result(model_name="a", model="b")).model == "a"
    assert read_answer(result(output={"model": "b"})).model == "b"
    assert read_answer(result(model_name=3)).model is None
