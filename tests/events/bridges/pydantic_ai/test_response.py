"""What a response says of why it ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart

from events.bridges.pydantic_ai.response import (
    finish_reason,
    is_made_up,
    is_refused,
    lacks_end,
)

CALL = ToolCallPart(tool_name="search", args="{}")


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
