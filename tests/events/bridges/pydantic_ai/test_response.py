"""What a response says beside its tokens: why it ends, what is wrong with it, its rate limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse, NativeToolCallPart, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from events.bridges.pydantic_ai.response import (
    MAX_NAME_LENGTH,
    MAX_RETRY_AFTER,
    finish_reason,
    is_made_up,
    is_refused,
    lacks_end,
    output_fault,
    rate_limit,
    retry_after,
    truncate_name,
)

SCHEMA = {"type": "object", "required": ["score"]}
CALL = ToolCallPart(tool_name="search", args="{}")
OUTPUT = ToolCallPart(tool_name="final_result", args='{"score": 1}')


def has_score(schema: Any, value: Any) -> bool:
    return all(name in value for name in schema["required"])


def parameters(mode: Any = "text", *, allow_text: bool = True) -> ModelRequestParameters:
    return ModelRequestParameters(
        output_mode=mode,
        allow_text_output=allow_text,
        output_tools=[ToolDefinition(name="final_result", parameters_json_schema=SCHEMA)],
        output_object=None if mode in ("text", "tool") else OutputObjectDefinition(json_schema=SCHEMA),
    )


TEXT_OR_TOOL = parameters("tool")
TOOL = parameters("tool", allow_text=False)
NATIVE = parameters("native", allow_text=False)
PROMPTED = parameters("prompted", allow_text=False)
WITHOUT_SCHEMA = ModelRequestParameters(output_mode="auto", allow_text_output=False)


@pytest.mark.parametrize(
    ("parts", "asked", "fault"),
    [
        ([TextPart("Fine.")], parameters(), None),
        ([TextPart("Fine.")], parameters(allow_text=False), None),
        ([TextPart("Fine.")], TEXT_OR_TOOL, None),
        ([TextPart("Fine.")], TOOL, "schema_mismatch"),
        ([TextPart("Fine.")], WITHOUT_SCHEMA, "schema_mismatch"),
        ([TextPart("Fine.")], NATIVE, "invalid_json"),
        ([TextPart('{"score": 1}')], NATIVE, None),
        ([TextPart("Fine.")], parameters("auto"), "invalid_json"),
        ([TextPart("Fine.")], parameters("native"), "invalid_json"),
        ([TextPart("{}")], parameters("prompted"), "schema_mismatch"),
        ([TextPart('{"score": 1}')], parameters("native"), None),
        ([TextPart('{"sc'), TextPart('ore": 1}')], PROMPTED, None),
        ([TextPart("{}")], PROMPTED, "schema_mismatch"),
        ([CALL], TOOL, None),
        ([CALL], NATIVE, None),
        ([TextPart("Let me see."), CALL], NATIVE, None),
        ([OUTPUT], TOOL, None),
        ([ToolCallPart(tool_name="final_result", args="{}")], TOOL, "schema_mismatch"),
        ([ToolCallPart(tool_name="final_result", args={"score": 1})], TOOL, None),
        ([ToolCallPart(tool_name="final_result", args=None)], TOOL, "schema_mismatch"),
        ([OUTPUT, ToolCallPart(tool_name="final_result", args='{"s')], TOOL, "invalid_json"),
        ([], parameters(), "empty"),
        ([TextPart(" \n")], parameters(), "empty"),
        ([ThinkingPart("Hm.")], parameters(), "empty"),
        ([NativeToolCallPart(tool_name="web_search")], TOOL, None),
    ],
)
def test_an_output_has_the_form_that_was_asked_for_or_a_fault(
    parts: list[Any], asked: ModelRequestParameters, fault: str | None
) -> None:
    assert output_fault(ModelResponse(parts=parts), asked, has_score) == fault


def test_without_a_validator_any_json_is_valid() -> None:
    assert output_fault(ModelResponse(parts=[TextPart("{}")]), NATIVE, None) is None
    assert output_fault(ModelResponse(parts=[TextPart("{")]), NATIVE, None) == "invalid_json"


@pytest.mark.parametrize(
    "response",
    [
        ModelResponse(parts=[TextPart("No.")], finish_reason="content_filter"),
        ModelResponse(parts=[TextPart("No.")], provider_details={"refusal": "No."}),
    ],
)
def test_a_refusal_is_no_fault_of_the_form(response: ModelResponse) -> None:
    assert output_fault(response, NATIVE, has_score) == "refusal"


@pytest.mark.parametrize(
    ("parts", "reason", "refused"),
    [
        ([], "content_filter", True),
        ([TextPart("")], "content_filter", True),
        ([TextPart("Half")], "content_filter", False),
        ([CALL], "content_filter", False),
        ([], "stop", False),
    ],
)
def test_a_content_filter_refuses_where_it_leaves_nothing(parts: list[Any], reason: Any, refused: bool) -> None:
    assert is_refused(ModelResponse(parts=parts, finish_reason=reason)) is refused


@pytest.mark.parametrize(
    ("reason", "details", "expected"),
    [
        (None, None, "unknown"),
        (None, {"finish_reason": "novel"}, "other"),
        ("length", None, "length"),
        ("tool_call", {"finish_reason": "tool_calls", "timestamp": 1}, "tool_calls"),
        ("content_filter", None, "content_filter"),
        ("error", None, "error"),
        ("stop", None, "stop"),
        ("stop", {"timestamp": 1}, "unknown"),  # pydantic-ai made it up
        ("tool_call", {"timestamp": 1}, "unknown"),
        ("length", {"timestamp": 1}, "length"),
        ("novel", None, "other"),
    ],
)
def test_a_finish_reason_is_the_providers(reason: Any, details: Any, expected: str) -> None:
    response = ModelResponse(parts=[], finish_reason=reason, provider_details=details)
    assert finish_reason(response) == expected
    assert is_made_up(response) is (expected == "unknown" and reason is not None)


class OpenAIStreamedResponse(SimpleNamespace):
    """Named as pydantic-ai's, which is known by its name."""


def streamed(kind: type[Any] = SimpleNamespace, **changed: Any) -> Any:
    defaults = {"state": "complete", "finish_reason": None, "provider_details": None, "provider_url": "https://x"}
    return kind(**{**defaults, "usage": SimpleNamespace(output_tokens=0), **changed})


COUNTED = SimpleNamespace(output_tokens=7)


@pytest.mark.parametrize(
    ("stream", "lacks"),
    [
        (streamed(), True),
        (streamed(state="incomplete", finish_reason="stop"), True),
        (streamed(finish_reason="stop"), False),
        (streamed(finish_reason="stop", provider_details={"timestamp": 1}), True),
        (streamed(provider_details={"finish_reason": "novel"}), False),
        (streamed(provider_url=None), False),
        (streamed(usage=COUNTED), True),
        (streamed(OpenAIStreamedResponse, usage=COUNTED), False),
        (streamed(OpenAIStreamedResponse), True),
    ],
)
def test_a_stream_lacks_its_end_where_nothing_says_that_it_came(stream: Any, lacks: bool) -> None:
    assert lacks_end(stream) is lacks


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({"x-ratelimit-limit-requests": "500"}, 500),
        ({"anthropic-ratelimit-requests-limit": "50"}, 50),
        ({"x-ratelimit-limit-requests": "0"}, 0),
        ({"x-ratelimit-limit-requests": "9" * 15}, 10**15 - 1),
        ({"x-ratelimit-limit-tokens": "500", "x-ratelimit-remaining-requests": "1"}, None),
        *(({"x-ratelimit-limit-requests": text}, None) for text in ("", "-1", "many", "1.5", "٣", "9" * 16)),
        ({}, None),
    ],
)
def test_a_rate_limit_is_a_whole_number_in_the_headers(headers: dict[str, str], limit: int | None) -> None:
    assert rate_limit(headers, "limit", "requests") == limit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (str(int(MAX_RETRY_AFTER)), MAX_RETRY_AFTER),
        (str(int(MAX_RETRY_AFTER) + 1), None),
        ("-0.001", None),
        ("0" * 63 + "5", 5.0),
        ("0" * 64 + "5", None),
    ],
)
def test_a_wait_that_is_asked_for_lasts_up_to_a_day(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}) == seconds


def test_a_name_is_cut_at_its_limit() -> None:
    assert truncate_name("x" * MAX_NAME_LENGTH) == "x" * MAX_NAME_LENGTH
    assert truncate_name("x" * MAX_NAME_LENGTH + "y") == "x" * MAX_NAME_LENGTH
    assert truncate_name(None) == ""
