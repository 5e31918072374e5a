"""Why a model's answer ends, in the words of `events.llm.FinishReason`.

Sources: https://platform.openai.com/docs/api-reference/chat/object (``finish_reason``),
https://platform.claude.com/docs/en/api/handling-stop-reasons (``stop_reason``), https://ai.google.dev/api/generate-content
(``FinishReason``), https://docs.mistral.ai/api (``model_length``).
"""

from __future__ import annotations

from typing import Any

from ...llm import FinishReason

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "complete": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "incomplete": "length",
    "tool_call": "tool_calls",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "pause_turn": "tool_calls",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "error": "error",
    "failed": "error",
}


def finish_reason_of(reason: Any) -> FinishReason:
    """Return a provider's word for the end of an answer as one of ours; ``unknown`` where it has none.

    >>> finish_reason_of("end_turn"), finish_reason_of("MAX_TOKENS"), finish_reason_of("eos"), finish_reason_of(None)
    ('stop', 'length', 'other', 'unknown')
    """
    if not reason:
        return "unknown"
    return FINISH_REASONS.get(str(reason).lower(), "other")
