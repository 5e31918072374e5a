"""The faults of answers: an agent cannot use what is not as it asked for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters

from ...llm import OutputFault

SchemaValidator = Callable[[Mapping[str, Any], Any], bool]
"""Returns whether a value, the second argument, is valid against a JSON schema, the first."""

MARKDOWN_FENCES = re.compile(r"```(?:\w+)?\r?\n(\{.*?\})\s*(?:\r?\n?```|\Z)", re.DOTALL)


def output_fault(
    response: ModelResponse,
    parameters: ModelRequestParameters,
    is_valid_output: SchemaValidator | None,
    model: Model | None = None,
) -> OutputFault | None:
    """Return what is wrong with a complete response, None if it has the form that was requested.

    An agent that names no mode of its output has ``auto``: that of the model that answered, by its profile. There, and
    where pydantic-ai made ``tool`` of it, the agent takes text too if it matches the schema: only what it cannot use is
    a fault. An output that the agent's own function or validator rejects has the form that was requested.

    Args:
        response: The response.
        parameters: What the agent requested.
        is_valid_output: Validates typed output; with None only JSON that is no object is found to be wrong.
        model: The model that answered.
    """
    if response.finish_reason == "content_filter" or (response.provider_details or {}).get("refusal"):
        return "refusal"
    parts = response.parts
    if parameters.output_mode == "text" and len(parts) == 1 and isinstance(only := parts[0], TextPart):
        return None if only.content.strip() else "empty"  # of most calls
    return form_fault(response, parameters, is_valid_output, model)


def form_fault(
    response: ModelResponse,
    parameters: ModelRequestParameters,
    is_valid_output: SchemaValidator | None,
    model: Model | None,
) -> OutputFault | None:
    """Return what is wrong with the form of a response that is no refusal."""
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
    is_image = parameters.allow_image_output and any(part.part_kind == "file" for part in response.parts)
    if calls or is_image or parameters.output_mode == "text":
        return None
    if parameters.output_object is None:
        return None if parameters.allow_text_output else "schema_mismatch"
    fault = schema_fault(text, parameters.output_object.json_schema, is_valid_output)
    mode = default_output_mode(model) if parameters.output_mode == "auto" else parameters.output_mode
    return "schema_mismatch" if fault and mode == "tool" else fault


def default_output_mode(model: Model | None) -> str:
    """Return a model's mode of typed output where the agent names none: ``tool``, ``native`` or ``prompted``."""
    return "tool" if model is None else str(model.profile.get("default_structured_output_mode", "tool"))


def schema_fault(output: Any, schema: Mapping[str, Any], is_valid_output: SchemaValidator | None) -> OutputFault | None:
    """Return what is wrong with an output, as JSON text or parsed, that has to match a schema; None if nothing is."""
    try:
        value = json.loads(without_fences(output)) if isinstance(output, str) else output or {}
    except ValueError:
        return "invalid_json"
    if not isinstance(value, dict):  # pydantic-ai's schemas are of objects
        return "schema_mismatch"
    return None if is_valid_output is None or is_valid_output(schema, value) else "schema_mismatch"


def without_fences(text: str) -> str:
    """Return the JSON object in a fenced block of Markdown, as pydantic-ai takes it out; other text as it is."""
    found = None if text.startswith("{") else MARKDOWN_FENCES.search(text)
    return found.group(1) if found else text
