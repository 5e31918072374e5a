"""The attributes of a span, read: what they say of a call of a model, a tool or an agent; never a message of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...bus.fields import Status
from ...guardrails import GuardrailKind, GuardrailOutcome
from ...llm import FinishReason
from ..model_calls.finish_reasons import finish_reason_of
from ..model_calls.names import provider_at, truncate_name
from ..model_calls.token_usage import (
    CACHED,
    NO_USAGE,
    TokenUsage,
    counted_usage,
    is_count,
    sum_of_counts,
    whole_counts,
)
from .attribute_names import NAMES, Said

DETAILS = frozenset(NAMES) & TokenUsage.__dataclass_fields__.keys()
"""The parts of a prompt and of a completion."""

CHUNK_EVENTS = frozenset(
    {"gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event"}
)

# fmt: off
# The words of the conventions for providers, and of libraries, that are not ours.
PROVIDERS = {
    "azure.ai.openai": "azure", "az.ai.openai": "azure", "azure_openai": "azure", "azure.ai.inference": "azure",
    "az.ai.inference": "azure", "aws.bedrock": "bedrock", "aws": "bedrock", "amazon_bedrock": "bedrock",
    "gcp.gemini": "google", "gcp.gen_ai": "google", "gemini": "google", "google_genai": "google",
    "gcp.vertex_ai": "google-cloud", "vertex_ai": "google-cloud", "vertexai": "google-cloud",
    "mistral_ai": "mistral", "mistralai": "mistral", "x_ai": "xai", "moonshot_ai": "moonshotai",
    "moonshot": "moonshotai", "together_ai": "together",
}
# fmt: on

GUARDED: Mapping[str, GuardrailKind] = {
    "llm_input": "input",
    "llm_output": "output",
    "tool_call": "tool",
    "tool_definition": "tool",
}
DECIDED: Mapping[str, GuardrailOutcome] = {
    "allow": "passed",
    "audit": "passed",
    "warn": "passed",
    "modify": "triggered",
    "deny": "triggered",
}
"""What was guarded, and what was decided, in the words that are proposed for OpenTelemetry's conventions."""

MODEL_IN_JSON = re.compile(r'[{,]\s*"model(?:_name)?":\s*"([^"\\]+)"')
"""The model in parameters that are JSON. They have no messages, but may have schemas: decoding them takes too long."""

MAX_PARAMETERS = 65_536  # characters

EXACT_FIRST_CHUNK = "com.anthropic.sdk.python"
"""The library whose first chunk is the first token. For others it is OpenAI's, which has a role and no content."""


class SpanUsage(NamedTuple):  # a frozen dataclass takes four times as long to make
    """The answer to a call, as one span of it has it, to be put together with others of the call."""

    library: str
    started_ns: int
    response_id: str | None
    response_model: str
    usage: TokenUsage
    finish_reason: FinishReason
    cost: float | None
    time_to_first_token: float | None


def read_usage(said: Said, library: str, started_ns: int) -> SpanUsage:
    """Return what a span says of the answer to its call."""
    response_id, cost = said.get("response_id"), said.get("cost")
    if cost is not None and provider_in(said) == "openai-compatible":
        cost = None  # that of another seller, by a list of the library's: a server of one's own has no list
    first_chunk = said.get("first_chunk") if library == EXACT_FIRST_CHUNK else None
    return SpanUsage(
        library,
        started_ns,
        response_id if isinstance(response_id, str) else None,
        truncate_name(said.get("response_model")),
        tokens_of(said),
        finish_reason(said.get("finish_reasons")),
        cost if isinstance(cost, float | int) else None,
        first_chunk if isinstance(first_chunk, float) and first_chunk >= 0 else None,
    )


def requested_model(said: Said) -> str:
    """Return the model that was asked for, "" where nothing says it; of OpenInference it is among the parameters."""
    model = said.get("request_model")
    if model is None and isinstance(parameters := said.get("parameters"), str):
        found = MODEL_IN_JSON.search(parameters[:MAX_PARAMETERS])
        model = found and found[1]
    return truncate_name(model)


def provider_in(said: Said) -> str:
    """Return who was asked, in our words; "" where nothing says it.

    A library calls every server that speaks OpenAI's protocol by that name: the host, where it is known, says better.
    """
    host, base_url = said.get("host"), said.get("base_url")
    by_host = None
    if isinstance(host, str):
        by_host = provider_at(f"https://{host}/")
    elif isinstance(base_url, str):
        by_host = provider_at(base_url)
    if by_host is not None:
        return by_host
    name = truncate_name(said.get("provider")).lower()
    is_elsewhere = host is not None or base_url is not None
    if name == "openai" and (is_elsewhere or ("openinference" in said and "openinference_provider" not in said)):
        return "openai-compatible"
    return PROVIDERS.get(name, name)


def is_streamed(said: Said, events: Sequence[Any]) -> bool:
    """Return whether the answer was a stream: by what the span says, or by the events of its chunks."""
    stream = said.get("stream")
    if stream is not None:
        return stream is True or (isinstance(stream, str) and stream.lower() == "true")
    return "first_chunk" in said or any(event.name in CHUNK_EVENTS for event in events[:4])


def finish_reason(said: Any) -> FinishReason:
    """Return why an answer ends: a word, several, or several as JSON."""
    if said is None:
        return "unknown"
    if type(said) is tuple:
        return finish_reason_of(said[0]) if said else "unknown"
    if isinstance(said, str) and said.startswith("["):
        try:
            said = json.loads(said)
        except ValueError:
            return "unknown"
    if isinstance(said, Sequence) and not isinstance(said, str):
        said = said[0] if said else None
    return finish_reason_of(said)


def tokens_of(said: Said) -> TokenUsage:
    """Return the tokens that a span says were used: cached ones are part of the prompt, reasoning of the completion."""
    prompt: Any = said.get("prompt")
    completion: Any = said.get("completion")
    if prompt is None and completion is None:
        return NO_USAGE
    if "total" not in said and said.keys().isdisjoint(DETAILS):
        return counted_usage(prompt, completion)
    details: dict[str, Any] = {field: said[field] for field in said.keys() & DETAILS}
    if is_count(prompt) and is_count(completion):
        reasoning = details.get("reasoning_tokens")
        prompt, completion, reasoning = whole_counts(
            prompt,
            completion,
            cached=sum_of_counts(details.get(field) for field in CACHED),
            reasoning=reasoning if is_count(reasoning) else None,
            total=said.get("total"),
        )
        if reasoning is not None:
            details["reasoning_tokens"] = reasoning
    return counted_usage(prompt, completion, **details)


def tool_name(said: Said, span_name: str) -> str:
    """Return the name of a tool; of a span that has no attribute for it, the end of its name."""
    return truncate_name(said.get("tool_name")) or name_in(span_name, ("execute_tool ", "tools/call "), ".tool")


def agent_name(said: Said, span_name: str) -> str:
    """Return the name of an agent; of a span that has no attribute for it, the end of its name."""
    return truncate_name(said.get("agent_name")) or name_in(span_name, ("invoke_agent ",), ".agent")


def data_source(said: Said, span_name: str) -> str:
    """Return where documents were looked up; of a span that has no attribute for it, its name."""
    return truncate_name(said.get("data_source")) or name_in(span_name, ("retrieval ",), "")


def guardrail_name(said: Said, span_name: str) -> str:
    """Return the name of a guardrail; of a span that has no attribute for it, its name."""
    return truncate_name(said.get("guardrail")) or name_in(span_name, ("apply_guardrail ",), "")


def guardrail_kind(said: Said) -> GuardrailKind:
    """Return what a guardrail checks."""
    target = said.get("guarded")
    return GUARDED.get(target, "unknown") if isinstance(target, str) else "unknown"


def guardrail_outcome(said: Said, status: Status) -> GuardrailOutcome:
    """Return what a check came to, by its decision; OpenInference has no attribute for it."""
    if status == "cancelled":
        return "cancelled"
    if status != "success":
        return "error"
    decision = said.get("decision")
    return DECIDED.get(decision, "unknown") if isinstance(decision, str) else "unknown"


def document_count(attributes: Mapping[str, Any]) -> int | None:
    """Return how many documents were found, as OpenInference lists them; None where they are not listed."""
    numbers = {name.split(".")[2] for name in attributes if name.startswith("retrieval.documents.")}
    return len(numbers) or None


def name_in(span_name: str, prefixes: Sequence[str], suffix: str) -> str:
    """Return what follows one of the prefixes in the name of a span, or comes before the suffix; else all of it."""
    for prefix in prefixes:
        _, found, rest = span_name.partition(prefix)
        if found and rest:
            return truncate_name(rest)
    return truncate_name(span_name.removesuffix(suffix)) or "unknown"
