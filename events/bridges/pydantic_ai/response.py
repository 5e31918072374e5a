"""What an answer says of itself beside its tokens: why it ends, what is wrong with it; never a word of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters

from ...llm import FinishReason, OutputFault

Fits = Callable[[Mapping[str, Any], Any], bool]
"""Tells whether a value fits a JSON schema."""

LONGEST_NAME = 256  # characters; a longer one is no name, and what is left of it is still too long for a label

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}


def named(name: str | None) -> str:
    """Cut a name that a provider gave: an event is no place for megabytes."""
    return (name or "")[:LONGEST_NAME]


def finish_reason(answer: ModelResponse) -> FinishReason | None:
    """Say why an answer ends; None where the provider did not say."""
    if answer.finish_reason is not None:
        return FINISH_REASONS.get(answer.finish_reason, "other")
    return "other" if (answer.provider_details or {}).get("finish_reason") else None


def output_fault(answer: ModelResponse, asked: ModelRequestParameters, fits: Fits | None) -> OutputFault | None:
    """Say what is wrong with a whole answer, before anybody reads it; None for one in the form that was asked for."""
    if answer.finish_reason == "content_filter" or (answer.provider_details or {}).get("refusal"):
        return "refusal"
    text = "".join(part.content for part in answer.parts if isinstance(part, TextPart)).strip()
    calls = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    if not calls and not text:
        others = [part for part in answer.parts if part.part_kind not in ("text", "thinking")]
        return None if others else "empty"
    wanted = {tool.name: tool.parameters_json_schema for tool in asked.output_tools}
    for call in calls:
        if call.tool_name in wanted and (fault := misfit(call.args, wanted[call.tool_name], fits)):
            return fault
    if calls or asked.allow_text_output or asked.output_mode == "text":
        return None
    # ``auto`` is decided by the model inside: one that was given the schema as a tool has called it above.
    if asked.output_mode == "tool" or asked.output_object is None:
        return "schema_mismatch"
    return misfit(text, asked.output_object.json_schema, fits)


def misfit(given: Any, schema: Mapping[str, Any], fits: Fits | None) -> OutputFault | None:
    """Hold an answer's JSON against its schema."""
    try:
        value = json.loads(given) if isinstance(given, str) else given or {}
    except ValueError:
        return "invalid_json"
    return None if fits is None or fits(schema, value) else "schema_mismatch"


def remaining(headers: Mapping[str, str], what: Literal["requests", "tokens"]) -> int | None:
    """Read what is left of a rate limit from the headers of OpenAI's or Anthropic's protocol; None where none says."""
    told = headers.get(f"x-ratelimit-remaining-{what}") or headers.get(f"anthropic-ratelimit-{what}-remaining")
    return int(told) if told is not None and told.isascii() and told.isdigit() and len(told) <= 15 else None
