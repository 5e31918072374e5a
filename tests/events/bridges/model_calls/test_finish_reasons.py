"""Why an answer ends, in one vocabulary."""

from __future__ import annotations

from typing import Any

import pytest

from events.bridges.model_calls.finish_reasons import finish_reason_of


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"), ("end_turn", "stop"), ("completed", "stop"), ("STOP", "stop"),
        ("length", "length"), ("max_output_tokens", "length"), ("MAX_TOKENS", "length"), ("model_length", "length"),
        ("tool_calls", "tool_calls"), ("tool_use", "tool_calls"), ("function_call", "tool_calls"),
        ("content_filter", "content_filter"), ("refusal", "content_filter"), ("SAFETY", "content_filter"),
        ("error", "error"), ("novel", "other"), ("", "unknown"), (None, "unknown"),
    ],
)  # fmt: skip
def test_each_providers_word_has_one_of_ours(reason: Any, expected: str) -> None:
    assert finish_reason_of(reason) == expected
