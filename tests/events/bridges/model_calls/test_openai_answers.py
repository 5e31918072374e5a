"""The answers of OpenAI's APIs: how they end, when their first content comes, and what they count."""

from __future__ import annotations

from typing import Any

import pytest

from events.bridges.model_calls.openai_chat_answer import ChatAnswer
from events.bridges.model_calls.openai_response_answer import ResponseAnswer
from events.bridges.model_calls.token_usage import NO_USAGE, TokenUsage

USAGE = {"prompt_tokens": 5, "completion_tokens": 3}
COUNTED = TokenUsage(usage_source="provider", prompt_tokens=5, completion_tokens=3)


def completion(**more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"finish_reason": "stop"}], "usage": USAGE, **more}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"delta": delta or {}, "finish_reason": finish}], **more}


@pytest.mark.parametrize(
    ("body", "finish_reason"),
    [
        (completion(), "stop"),
        (completion(choices=[{"finish_reason": "tool_calls"}]), "tool_calls"),
        (completion(choices=[{"finish_reason": None}]), "unknown"),
        (completion(choices=[]), None),  # of an embedding
    ],
)
def test_a_whole_answer_has_an_end(body: dict[str, Any], finish_reason: str | None) -> None:
    answer = ChatAnswer()
    answer.add_whole(body)
    assert (answer.model, answer.finish_reason, answer.error_type, answer.has_ended) == (
        "m-1",
        finish_reason,
        None,
        True,
    )
    assert answer.usage() == COUNTED
    assert answer.raw_usage() is USAGE


@pytest.mark.parametrize("body", ["a transcription", None, b"", {"type": "error"}])
def test_an_answer_that_counts_nothing_has_no_tokens(body: Any) -> None:
    answer = ChatAnswer()
    answer.add_whole(body)
    assert answer.usage() == NO_USAGE
    assert answer.has_ended


@pytest.mark.parametrize(
    ("piece", "size", "is_reasoning"),
    [
        (chunk({"role": "assistant", "content": ""}), 0, False),
        (chunk({"content": "four"}), 4, False),
        (chunk({"refusal": "no"}), 2, False),
        (chunk({"reasoning_content": "hm"}), 2, True),
        (chunk({"reasoning": "hm", "content": "four"}), 4, False),
        (chunk({"tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}), 6, False),
        ({"choices": [{"text": "four"}]}, 4, False),
        ({"type": "transcript.text.delta", "delta": "four"}, 4, False),
        ({"choices": [], "usage": USAGE}, 0, False),
    ],
)
def test_a_chunk_has_so_much_content(piece: dict[str, Any], size: int, is_reasoning: bool) -> None:
    assert ChatAnswer().add_chunk(piece) == (size, is_reasoning)


def test_a_stream_ends_with_its_finish_reason_or_its_usage() -> None:
    answer = ChatAnswer()
    ends = []
    for piece in (chunk({"content": "four"}), chunk(finish="length")):
        answer.add_chunk(piece)
        ends.append(answer.has_ended)
    assert ends == [False, True]
    assert answer.usage() == NO_USAGE
    answer.add_chunk({"choices": [], "usage": USAGE})
    assert (answer.finish_reason, answer.usage()) == ("length", COUNTED)
    spoken = ChatAnswer()
    spoken.add_chunk({"type": "transcript.text.done", "text": "four"})
    assert spoken.has_ended


def test_a_provider_may_end_its_answer_with_an_error() -> None:
    answer = ChatAnswer()
    answer.add_chunk(chunk(finish="error"))
    assert (answer.finish_reason, answer.error_type) == ("error", "other")


RESPONSE_USAGE = {"input_tokens": 5, "output_tokens": 3}


def response(status: str, **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "status": status, "usage": RESPONSE_USAGE, **more}


@pytest.mark.parametrize(
    ("body", "finish_reason", "error_type"),
    [
        (response("completed"), "stop", None),
        (response("completed", output=[{"type": "message"}, {"type": "function_call"}]), "tool_calls", None),
        (response("completed", output=[{"type": "web_search_call"}]), "stop", None),
        (response("incomplete", incomplete_details={"reason": "max_output_tokens"}), "length", None),
        (response("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter", None),
        (response("incomplete"), "length", None),
        (response("failed", error={"code": "server_error"}), "error", "provider_5xx"),
        (response("failed"), "error", "other"),
        (response("cancelled"), None, "cancelled"),
        (response("queued"), None, None),  # in the background
        (response("in_progress"), None, None),
    ],
)
def test_a_response_has_an_end(body: dict[str, Any], finish_reason: str | None, error_type: str | None) -> None:
    answer = ResponseAnswer()
    answer.add_whole(body)
    assert (answer.finish_reason, answer.error_type, answer.has_ended) == (finish_reason, error_type, True)
    assert (answer.model, answer.usage()) == ("m-1", COUNTED)


def test_the_last_event_of_a_stream_has_the_response() -> None:
    answer = ResponseAnswer()
    answer.add_chunk({"type": "response.created", "response": {"model": "m-1", "status": "in_progress"}})
    assert (answer.model, answer.has_ended) == ("m-1", False)
    assert answer.add_chunk({"type": "response.output_text.delta", "delta": "four"}) == (4, False)
    assert answer.add_chunk({"type": "response.reasoning_summary_text.delta", "delta": "hm"}) == (2, True)
    assert answer.add_chunk({"type": "response.audio.delta"}) == (0, False)
    answer.add_chunk({"type": "response.completed", "response": response("completed")})
    assert (answer.has_ended, answer.finish_reason, answer.usage()) == (True, "stop", COUNTED)


@pytest.mark.parametrize(("code", "word"), [("rate_limit_exceeded", "rate_limited"), (None, "other")])
def test_an_error_in_a_stream_ends_it(code: str | None, word: str) -> None:
    answer = ResponseAnswer()
    answer.add_chunk({"type": "error", "code": code})
    assert (answer.finish_reason, answer.error_type, answer.has_ended) == ("error", word, True)
