"""The facts in a response beside its tokens: why it ends, what is wrong with it, what remains of the rate limit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters

from ...llm import FinishReason, OutputFault

SchemaValidator = Callable[[Mapping[str, Any], Any], bool]
"""Returns whether a value, the second argument, is valid against a JSON schema, the first."""

MAX_NAME_LENGTH = 256  # characters; no real name is longer, and a truncated one still exceeds the limit of labels

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}


def truncate_name(name: str | None) -> str:
    """Return a provider's or model's name, cut to `MAX_NAME_LENGTH`; a response may hold megabytes there."""
    return (name or "")[:MAX_NAME_LENGTH]


def finish_reason(response: ModelResponse) -> FinishReason | None:
    """Return why the model stopped; None where the provider does not say."""
    if response.finish_reason is not None:
        return FINISH_REASONS.get(response.finish_reason, "other")
    return "other" if (response.provider_details or {}).get("finish_reason") else None


def output_fault(
    response: ModelResponse, parameters: ModelRequestParameters, is_valid_output: SchemaValidator | None
) -> OutputFault | None:
    """Return what is wrong with a complete response, None if it has the form that was requested."""
    if response.finish_reason == "content_filter" or (response.provider_details or {}).get("refusal"):
        return "refusal"
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart)).strip()
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if not calls and not text:
        other_parts = [part for part in response.parts if part.part_kind not in ("text", "thinking")]
        return None if other_parts else "empty"
    output_schemas = {tool.name: tool.parameters_json_schema for tool in parameters.output_tools}
    for call in calls:
        schema = output_schemas.get(call.tool_name)
        if schema is not None and (fault := schema_fault(call.args, schema, is_valid_output)):
            return fault
    if calls or parameters.allow_text_output or parameters.output_mode == "text":
        return None
    # In mode ``auto`` the wrapped model decides: where it sent the schema as a tool, the tool was called above.
    if parameters.output_mode == "tool" or parameters.output_object is None:
        return "schema_mismatch"
    return schema_fault(text, parameters.output_object.json_schema, is_valid_output)


def schema_fault(output: Any, schema: Mapping[str, Any], is_valid_output: SchemaValidator | None) -> OutputFault | None:
    """Return what is wrong with an output, as JSON text or parsed, that has to match a schema; None if nothing is."""
    try:
        value = json.loads(output) if isinstance(output, str) else output or {}
    except ValueError:
        return "invalid_json"
    return None if is_valid_output is None or is_valid_output(schema, value) else "schema_mismatch"


def rate_limit_remaining(headers: Mapping[str, str], resource: Literal["requests", "tokens"]) -> int | None:
    """Return what remains of a rate limit, from OpenAI's or Anthropic's headers; None where neither says."""
    text = headers.get(f"x-ratelimit-remaining-{resource}") or headers.get(f"anthropic-ratelimit-{resource}-remaining")
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 15 else None
