"""The attributes of spans: which field of an event is which attribute, in the words of OpenTelemetry's conventions.

They are those of https://github.com/open-telemetry/semantic-conventions-genai v0.1.0 and, for requests, those of
https://opentelemetry.io/docs/specs/semconv/http/http-spans/. What these have no name for begins with ``sparklio.``. No
field that somebody wrote, such as an agent's task, is among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from events.bus.records import plain_value, record_of

Attributes = dict[str, Any]
Fields = tuple[tuple[str, str], ...]
"""Pairs of a field and its attribute, which an unknown field has not: None, "", ``unknown`` or ``unmatched``."""

# fmt: off
WORKFLOW_STARTED: Fields = (
    ("workflow_type",           "gen_ai.agent.name"),
    ("run_id",                  "sparklio.run.id"),
)
WORKFLOW_FINISHED: Fields = (
    ("llm_calls",               "sparklio.llm_calls"),
)
AGENT_STARTED: Fields = (
    ("agent_name",              "gen_ai.agent.name"),
    ("run_id",                  "sparklio.run.id"),
)
AGENT_FINISHED: Fields = (
    ("llm_calls",               "sparklio.llm_calls"),
    ("tool_calls",              "sparklio.tool_calls"),
)
LLM_STARTED: Fields = (
    ("provider",                "gen_ai.provider.name"),
    ("model",                   "gen_ai.request.model"),
)
LLM_FINISHED: Fields = (
    *LLM_STARTED,               # of several models, the one that answered
    ("response_model",          "gen_ai.response.model"),
    ("finish_reason",           "gen_ai.response.finish_reasons"),
    ("prompt_tokens",           "gen_ai.usage.input_tokens"),
    ("completion_tokens",       "gen_ai.usage.output_tokens"),
    ("cache_read_tokens",       "gen_ai.usage.cache_read.input_tokens"),
    ("cache_write_tokens",      "gen_ai.usage.cache_write.input_tokens"),
    ("reasoning_tokens",        "gen_ai.usage.reasoning.output_tokens"),
    ("prompt_audio_tokens",     "gen_ai.usage.audio.input_tokens"),
    ("completion_audio_tokens", "gen_ai.usage.audio.output_tokens"),
    ("prompt_image_tokens",     "gen_ai.usage.image.input_tokens"),
    ("completion_image_tokens", "gen_ai.usage.image.output_tokens"),
    ("time_to_first_token",     "sparklio.time_to_first_token"),
    ("cost",                    "sparklio.cost"),
    ("attempts",                "sparklio.attempts"),
)
ATTEMPTED: Fields = (
    *LLM_STARTED,
    ("response_model",          "gen_ai.response.model"),
    ("status_code",             "http.response.status_code"),
    ("attempt",                 "sparklio.attempt"),
    ("retry_reason",            "sparklio.retry_reason"),
    ("fallback_reason",         "sparklio.fallback_reason"),
)
TOOL_CALLED: Fields = (
    ("tool_name",               "gen_ai.tool.name"),
    ("mcp_server",              "sparklio.mcp_server"),
)

REQUEST_FINISHED: Fields = (
    ("endpoint",                "http.route"),
    ("status_code",             "http.response.status_code"),
    ("request_size",            "http.request.body.size"),
    ("response_size",           "http.response.body.size"),
)

RETRIEVED: Fields = (
    ("data_source",             "gen_ai.data_source.id"),
    ("documents",               "sparklio.documents"),
)

PROVIDER_NAMES: Mapping[str, str] = {
    "azure":        "azure.ai.openai",
    "bedrock":      "aws.bedrock",
    "google":       "gcp.gemini",
    "google-cloud": "gcp.vertex_ai",
    "google-vertex": "gcp.vertex_ai",
    "mistral":      "mistral_ai",
    "moonshotai":   "moonshot_ai",
    "xai":          "x_ai",
}
"""The conventions' words for providers, where they have others."""
# fmt: on

TOLD_OTHERWISE = frozenset({"status", "error", "error_type", "duration"})
"""The fields that a span has in its status and its times."""

UNKNOWN_VALUES = frozenset({None, "", "unknown", "unmatched"})


def attributes_of(event: Any, fields: Iterable[tuple[str, str]]) -> Attributes:
    """Return the attributes of an event's fields, without those that are unknown."""
    attributes: Attributes = {}
    for field, name in fields:
        value: Any = getattr(event, field)
        if value in UNKNOWN_VALUES:
            continue
        if field == "provider":
            value = PROVIDER_NAMES.get(value, value)
        elif field == "finish_reason":
            value = (value,)  # one for each answer that was asked for
        else:
            value = plain_value(value)
        if value is not None:
            attributes[name] = value
    return attributes


def name_of(operation: str, name: Any) -> str:
    """Return the name of a span, such as ``invoke_agent writer``."""
    return f"{operation} {plain_value(name)}"


def record_attributes(event: Any) -> Attributes:
    """Return the attributes of an event that no convention knows: those that its record has.

    >>> from events import ToolCalled
    >>> record_attributes(ToolCalled(tool_name="search", status="success", duration=0.5))
    {'sparklio.tool_name': 'search'}
    """
    values = record_of(event)["fields"]
    known = {name: value for name, value in values.items() if value is not None and name not in TOLD_OTHERWISE}
    return {f"sparklio.{name}": value for name, value in known.items()}
