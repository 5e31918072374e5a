"""The attributes of a span, read: what they say of a call of a model, a tool or an agent; never a message of it.

Tables have the names of a meaning, the newest convention first; libraries write one of them, some write several.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...llm import FinishReason
from ..model_calls.finish_reasons import finish_reason_of
from ..model_calls.names import provider_of, truncate_name
from ..model_calls.token_usage import TokenUsage, counted_usage, is_count, whole_counts

Attributes = Mapping[str, Any]

# fmt: off
REQUEST_MODEL = ("gen_ai.request.model", "llm.request.model_name")
RESPONSE_MODEL = ("gen_ai.response.model", "llm.response.model_name", "llm.model_name", "embedding.model_name")
INVOCATION_PARAMETERS = ("llm.invocation_parameters", "embedding.invocation_parameters")
PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
RESPONSE_ID = "gen_ai.response.id"
STREAM = ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming", "litellm.request.streaming")
CHUNK_EVENTS = frozenset(
    {"gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event"}
)
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
FINISH_REASONS = (
    "gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "anthropic.message.stop_reason",
    "llm.finish_reason", "gen_ai.response.stop_reason", "llm.response.finish_reason", "llm.response.stop_reason",
)
COST = ("operation.cost", "gen_ai.cost.total_cost", "litellm.cost.total", "llm.cost.total", "gen_ai.usage.cost")
TOOL_NAME = ("gen_ai.tool.name", "tool.name", "traceloop.entity.name")
DATA_SOURCE = ("gen_ai.data_source.id", "gen_ai.data_source.name", "db.collection.name", "db.namespace")
AGENT_NAME = ("gen_ai.agent.name", "agent.name", "graph.node.name", "traceloop.entity.name")

PROMPT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
COMPLETION = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
TOTAL = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input",
)
CACHE_WRITE = (
    "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens", "llm.token_count.prompt_details.cache_write",
)
REASONING = (
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens",
    "llm.usage.reasoning_tokens", "llm.token_count.completion_details.reasoning",
)
MODALITIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("prompt_audio_tokens",     ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio")),
    ("completion_audio_tokens", ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio")),
    ("prompt_image_tokens",     ("gen_ai.usage.image.input_tokens",)),
    ("completion_image_tokens", ("gen_ai.usage.image.output_tokens",)),
)

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

MODEL_IN_JSON = re.compile(r'[{,]\s*"model(?:_name)?":\s*"([^"\\]+)"')
"""The model in parameters that are JSON. They have no messages, but may have schemas: decoding them takes too long."""

MAX_PARAMETERS = 65_536  # characters

EXACT_FIRST_CHUNK = "com.anthropic.sdk.python"
"""The library whose first chunk is the first token. For others it is OpenAI's, which has a role and no content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanUsage:
    """The answer to a call, as one span of it has it, to be put together with others of the call."""

    library: str
    started_ns: int
    response_id: str | None
    response_model: str
    usage: TokenUsage
    finish_reason: FinishReason
    cost: float | None
    time_to_first_token: float | None


def read_usage(attributes: Attributes, library: str, started_ns: int) -> SpanUsage:
    """Return what a span says of the answer to its call."""
    response_id = attributes.get(RESPONSE_ID)
    first_chunk = attributes.get(FIRST_CHUNK) if library == EXACT_FIRST_CHUNK else None
    return SpanUsage(
        library=library,
        started_ns=started_ns,
        response_id=response_id if isinstance(response_id, str) else None,
        response_model=truncate_name(first(attributes, RESPONSE_MODEL)),
        usage=tokens_of(attributes),
        finish_reason=finish_reason(first(attributes, FINISH_REASONS)),
        cost=cost if isinstance(cost := first(attributes, COST), float | int) else None,
        time_to_first_token=first_chunk if isinstance(first_chunk, float) and first_chunk >= 0 else None,
    )


def first(attributes: Attributes, names: Sequence[str]) -> Any:
    """Return the value of the first attribute of these that there is; None where there is none."""
    for name in names:
        found = attributes.get(name)
        if found is not None:
            return found
    return None


def requested_model(attributes: Attributes) -> str:
    """Return the model that was asked for, "" where nothing says it; of OpenInference it is among the parameters."""
    model = first(attributes, REQUEST_MODEL)
    if model is None:
        parameters = first(attributes, INVOCATION_PARAMETERS)
        found = MODEL_IN_JSON.search(parameters[:MAX_PARAMETERS]) if isinstance(parameters, str) else None
        model = found and found[1]
    return truncate_name(model)


def provider_in(attributes: Attributes) -> str:
    """Return who was asked, in our words; "" where nothing says it.

    A library calls every server that speaks OpenAI's protocol by that name: the host, where it is known, says better.
    """
    said = first(attributes, PROVIDER)
    host = attributes.get("server.address")
    if host is None and (base := attributes.get("gen_ai.openai.api_base")) is not None:
        by_host, host = provider_of(base), base
    else:
        by_host = provider_of(f"https://{host}/") if isinstance(host, str) else None
    if by_host is not None:
        return by_host
    name = truncate_name(said).lower()
    if name == "openai" and (
        host is not None or ("openinference.span.kind" in attributes and "llm.provider" not in attributes)
    ):
        return "openai-compatible"
    return PROVIDERS.get(name, name)


def is_streamed(attributes: Attributes, events: Sequence[Any]) -> bool:
    """Return whether the answer was a stream: by what the span says, or by the events of its chunks."""
    said = first(attributes, STREAM)
    if said is not None:
        return said is True or (isinstance(said, str) and said.lower() == "true")
    return FIRST_CHUNK in attributes or any(event.name in CHUNK_EVENTS for event in events[:4])


def finish_reason(said: Any) -> FinishReason:
    """Return why an answer ends: a word, several, or several as JSON."""
    if isinstance(said, str) and said.startswith("["):
        try:
            said = json.loads(said)
        except ValueError:
            return "unknown"
    if isinstance(said, Sequence) and not isinstance(said, str):
        said = said[0] if said else None
    return finish_reason_of(said)


def tokens_of(attributes: Attributes) -> TokenUsage:
    """Return the tokens that a span says were used: cached ones are part of the prompt, reasoning of the completion."""
    prompt, completion = first(attributes, PROMPT), first(attributes, COMPLETION)
    cache_read, cache_write = first(attributes, CACHE_READ), first(attributes, CACHE_WRITE)
    reasoning = first(attributes, REASONING)
    if is_count(prompt) and is_count(completion):
        prompt, completion, reasoning = whole_counts(
            prompt,
            completion,
            cached=sum(count for count in (cache_read, cache_write) if is_count(count)),
            reasoning=reasoning if is_count(reasoning) else None,
            total=first(attributes, TOTAL),
        )
    modalities = {field: first(attributes, names) for field, names in MODALITIES}
    return counted_usage(
        prompt,
        completion,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        reasoning_tokens=reasoning,
        **modalities,
    )


def tool_name(attributes: Attributes, span_name: str) -> str:
    """Return the name of a tool; of a span that has no attribute for it, the end of its name."""
    return truncate_name(first(attributes, TOOL_NAME)) or name_in(span_name, ("execute_tool ", "tools/call "), ".tool")


def agent_name(attributes: Attributes, span_name: str) -> str:
    """Return the name of an agent; of a span that has no attribute for it, the end of its name."""
    return truncate_name(first(attributes, AGENT_NAME)) or name_in(span_name, ("invoke_agent ",), ".agent")


def data_source(attributes: Attributes, span_name: str) -> str:
    """Return where documents were looked up; of a span that has no attribute for it, its name."""
    return truncate_name(first(attributes, DATA_SOURCE)) or name_in(span_name, ("retrieval ",), "")


def document_count(attributes: Attributes) -> int | None:
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
