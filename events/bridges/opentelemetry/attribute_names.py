"""The names of the attributes in which libraries say a thing, and how what a span has of them is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

Said = Mapping[str, Any]
"""What the attributes of a span say, by the names of `NAMES`."""

# fmt: off
NAMES: Mapping[str, tuple[str, ...]] = {
    "request_model": ("gen_ai.request.model", "llm.request.model_name"),
    "response_model": (
        "gen_ai.response.model", "llm.response.model_name", "llm.model_name", "embedding.model_name",
        "reranker.model_name",
    ),
    "parameters": ("llm.invocation_parameters", "embedding.invocation_parameters"),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "host": ("server.address",),
    "base_url": ("gen_ai.openai.api_base",),
    "response_id": ("gen_ai.response.id",),
    "stream": ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming", "litellm.request.streaming"),
    "first_chunk": ("gen_ai.response.time_to_first_chunk",),
    "finish_reasons": (
        "gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "anthropic.message.stop_reason",
        "llm.finish_reason", "gen_ai.response.stop_reason", "llm.response.finish_reason", "llm.response.stop_reason",
    ),
    "cost": ("operation.cost", "gen_ai.cost.total_cost", "litellm.cost.total", "llm.cost.total", "gen_ai.usage.cost"),
    "tool_name": ("gen_ai.tool.name", "tool.name", "traceloop.entity.name"),
    "agent_name": ("gen_ai.agent.name", "agent.name", "graph.node.name", "traceloop.entity.name"),
    "data_source": ("gen_ai.data_source.id", "gen_ai.data_source.name", "db.collection.name", "db.namespace"),
    "guardrail": ("gen_ai.guardian.name", "microsoft.guardian.name"),
    "guarded": ("gen_ai.security.target.type", "microsoft.security.target.type"),
    "decision": ("gen_ai.security.decision.type", "microsoft.security.decision.type"),
    "prompt": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "completion": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    "total": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens", "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens", "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "prompt_audio_tokens": ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
    "completion_audio_tokens": ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"),
    "prompt_image_tokens": ("gen_ai.usage.image.input_tokens",),
    "completion_image_tokens": ("gen_ai.usage.image.output_tokens",),
    "openinference": ("openinference.span.kind",),
    "openinference_provider": ("llm.provider",),
}
# fmt: on
"""The attributes that say a thing, the newest convention first; libraries write one of them, some write several."""

SAYING = {name: None for names in NAMES.values() for name in names}.keys()
"""The attributes that say something."""

MAX_SOURCES = 1024
"""Sets of attributes that are remembered, of all libraries together."""


def read(attributes: Mapping[str, Any]) -> Said:
    """Return what attributes say: of several that say a thing, the first in `NAMES` counts."""
    names = frozenset(SAYING & attributes.keys())
    sources = _sources.get(names)
    if sources is None:
        sources = _sources_of(names)
    things, values_of = sources
    values = values_of(attributes)
    if None in values:  # which says nothing: an older convention's attribute counts
        return read({name: value for name, value in attributes.items() if value is not None})
    return dict(zip(things, values, strict=True))


Sources = tuple[tuple[str, ...], Callable[[Mapping[str, Any]], tuple[Any, ...]]]
"""The things that are said, and a function that returns the attributes which say them, in the same order."""

_sources: dict[frozenset[str], Sources] = {}  # a library's spans of a kind have the same attributes


def _sources_of(names: frozenset[str]) -> Sources:
    """Return which of these attributes says each thing; it is remembered for the next span that has the same."""
    chosen = {thing: next((name for name in NAMES[thing] if name in names), None) for thing in NAMES}
    said_by = {thing: name for thing, name in chosen.items() if name is not None}
    sources: Sources = tuple(said_by), values_function(*said_by.values())
    if len(_sources) < MAX_SOURCES:
        _sources[names] = sources
    return sources


def values_function(*names: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return a function that returns the values of attributes, in this order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda attributes: (attributes[names[0]],) if names else ()  # of one name an itemgetter returns no tuple
