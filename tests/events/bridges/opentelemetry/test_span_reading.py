"""What attributes say, in three generations of the conventions and in the dialects of libraries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events import value_dropped
from events.bridges.model_calls.token_usage import NO_USAGE, TokenUsage
from events.bridges.opentelemetry import attribute_names
from events.bridges.opentelemetry.attribute_names import read
from events.bridges.opentelemetry.conventions import operation_of
from events.bridges.opentelemetry.span_reading import (
    agent_name,
    finish_reason,
    is_streamed,
    provider_in,
    read_usage,
    requested_model,
    tokens_of,
    tool_name,
)

WHOLE = TokenUsage(
    usage_source="provider",
    prompt_tokens=100,
    completion_tokens=30,
    cache_read_tokens=40,
    cache_write_tokens=10,
    reasoning_tokens=20,
)

# fmt: off
DIALECTS: dict[str, dict[str, Any]] = {
    "to 1.36": {
        "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 30,
        "gen_ai.usage.cache_read_input_tokens": 40, "gen_ai.usage.cache_creation_input_tokens": 10,
        "llm.usage.reasoning_tokens": 20,
    },
    "to 1.41": {
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 40, "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 20,
    },
    "genai v0.1.0": {
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 40, "gen_ai.usage.cache_write.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 20,
    },
    "OpenInference": {
        "llm.token_count.prompt": 100, "llm.token_count.completion": 30, "llm.token_count.total": 130,
        "llm.token_count.prompt_details.cache_read": 40, "llm.token_count.prompt_details.cache_write": 10,
        "llm.token_count.completion_details.reasoning": 20,
    },
    "OpenLLMetry": {
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 30, "gen_ai.usage.total_tokens": 130,
        "gen_ai.usage.cache_read.input_tokens": 40, "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning_tokens": 20,
    },
    "cached ones left out": {
        "gen_ai.usage.input_tokens": 50, "gen_ai.usage.output_tokens": 30, "gen_ai.usage.total_tokens": 130,
        "gen_ai.usage.cache_read.input_tokens": 40, "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning_tokens": 20,
    },
}
# fmt: on


@pytest.mark.parametrize("attributes", DIALECTS.values(), ids=DIALECTS)
def test_tokens_are_the_same_in_every_dialect(attributes: dict[str, Any]) -> None:
    assert tokens_of(read(attributes)) == WHOLE


def test_of_several_attributes_that_say_a_thing_the_newest_counts_and_none_says_nothing() -> None:
    both = {"gen_ai.system": "old", "gen_ai.provider.name": "new"}
    for attributes in (both, dict(reversed(both.items()))):
        assert read(attributes) == {"provider": "new"}
    assert read({"gen_ai.system": "old", "gen_ai.provider.name": None}) == {"provider": "old"}
    assert read({"gen_ai.system": None}) == read({"http.request.method": "GET"}) == read({}) == {}
    entity = "traceloop.entity.name"
    assert read({entity: "look"}) == {"tool_name": "look", "agent_name": "look"}
    assert read({entity: "look", "gen_ai.agent.name": "a"}) == {"tool_name": "look", "agent_name": "a"}


def test_sets_of_attributes_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered: dict[frozenset[str], Any] = {}
    monkeypatch.setattr(attribute_names, "_sources", remembered)
    monkeypatch.setattr(attribute_names, "MAX_SOURCES", 2)
    names = ("gen_ai.system", "gen_ai.request.model", "gen_ai.usage.input_tokens")
    for _ in range(2):
        assert [len(read({name: "x"})) for name in names] == [1, 1, 1]
    assert set(remembered) == {frozenset({names[0]}), frozenset({names[1]})}


def test_tokens_of_audio_and_images_are_parts() -> None:
    usage = tokens_of(
        read(
            {
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.output_tokens": 30,
                "gen_ai.usage.audio.input_tokens": 60,
                "gen_ai.usage.audio.output_tokens": 25,
                "gen_ai.usage.image.input_tokens": 20,
            }
        )
    )
    assert (usage.prompt_audio_tokens, usage.completion_audio_tokens, usage.prompt_image_tokens) == (60, 25, 20)


def test_no_tokens_are_no_usage_and_nonsense_is_dropped() -> None:
    assert tokens_of({}) is NO_USAGE
    with value_dropped.captured() as dropped:
        assert tokens_of(read({"gen_ai.usage.input_tokens": "many", "gen_ai.usage.output_tokens": -3})) is NO_USAGE
    assert {drop.metric for drop in dropped} == {"llm_called.prompt_tokens", "llm_called.completion_tokens"}


def test_embeddings_have_a_prompt_alone() -> None:
    usage = tokens_of(read({"gen_ai.usage.input_tokens": 5}))
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, None)


@pytest.mark.parametrize(
    ("attributes", "model"),
    [
        ({"gen_ai.request.model": "m", "gen_ai.response.model": "m-1"}, "m"),
        ({"llm.request.model_name": "m", "llm.model_name": "m-1"}, "m"),
        ({"llm.invocation_parameters": '{"temperature": 0.5, "model": "m", "stream": true}'}, "m"),
        ({"llm.invocation_parameters": '{"model_name": "m"}'}, "m"),
        ({"embedding.invocation_parameters": '{"model": "m"}'}, "m"),
        ({"llm.invocation_parameters": "not JSON"}, ""),
        ({"gen_ai.request.model": 5}, ""),
        ({}, ""),
    ],
)
def test_the_requested_model(attributes: dict[str, Any], model: str) -> None:
    assert requested_model(read(attributes)) == model


@pytest.mark.parametrize(
    ("attributes", "provider"),
    [
        ({"gen_ai.provider.name": "anthropic"}, "anthropic"),
        ({"gen_ai.system": "OpenAI"}, "openai"),
        ({"gen_ai.provider.name": "aws.bedrock"}, "bedrock"),
        ({"gen_ai.system": "az.ai.openai"}, "azure"),
        ({"gen_ai.provider.name": "gcp.vertex_ai"}, "google-cloud"),
        ({"gen_ai.provider.name": "x_ai"}, "xai"),
        ({"gen_ai.provider.name": "openai", "server.address": "api.openai.com"}, "openai"),
        ({"gen_ai.provider.name": "openai", "server.address": "api.groq.com"}, "groq"),
        ({"gen_ai.provider.name": "openai", "server.address": "127.0.0.1"}, "openai-compatible"),
        ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "http://localhost:8000/v1"}, "openai-compatible"),
        ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "https://api.deepseek.com/v1"}, "deepseek"),
        ({"openinference.span.kind": "LLM", "llm.system": "openai"}, "openai-compatible"),
        ({"openinference.span.kind": "LLM", "llm.system": "openai", "llm.provider": "openai"}, "openai"),
        ({}, ""),
    ],
)
def test_the_provider(attributes: dict[str, Any], provider: str) -> None:
    assert provider_in(read(attributes)) == provider


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (("stop",), "stop"),
        (["tool_call"], "tool_calls"),
        ('["length"]', "length"),
        ("end_turn", "stop"),
        ("[broken", "unknown"),
        ((), "unknown"),
        (None, "unknown"),
    ],
)
def test_why_an_answer_ends(said: Any, reason: str) -> None:
    assert finish_reason(said) == reason


@pytest.mark.parametrize(
    ("attributes", "events", "streamed"),
    [
        ({"gen_ai.request.stream": True}, [], True),
        ({"gen_ai.is_streaming": False}, ["gen_ai.content.completion.chunk"], False),
        ({"llm.is_streaming": "True"}, [], True),
        ({"gen_ai.response.time_to_first_chunk": 0.5}, [], True),
        ({}, ["First Token Stream Event"], True),
        ({}, ["exception"], False),
    ],
)
def test_whether_an_answer_is_a_stream(attributes: dict[str, Any], events: list[str], streamed: bool) -> None:
    assert is_streamed(read(attributes), [SimpleNamespace(name=event) for event in events]) is streamed


def test_a_first_chunk_is_a_first_token_where_it_has_content() -> None:
    chunk = {"gen_ai.response.time_to_first_chunk": 0.5}
    assert read_usage(read(chunk), "com.anthropic.sdk.python", 0).time_to_first_token == 0.5
    assert read_usage(read(chunk), "opentelemetry.instrumentation.genai.openai", 0).time_to_first_token is None


@pytest.mark.parametrize("name", ["operation.cost", "gen_ai.cost.total_cost", "litellm.cost.total", "llm.cost.total"])
def test_the_cost_that_a_library_computes(name: str) -> None:
    assert read_usage(read({name: 0.25}), "l", 0).cost == 0.25
    assert read_usage(read({name: "much"}), "l", 0).cost is None


@pytest.mark.parametrize(
    ("name", "attributes", "library", "operation"),
    [
        ("chat m", {"gen_ai.operation.name": "chat"}, "", "chat"),
        ("embeddings m", {"gen_ai.operation.name": "embeddings"}, "", "embeddings"),
        ("x", {"gen_ai.operation.name": "plan", "traceloop.span.kind": "agent"}, "", None),
        ("x", {"openinference.span.kind": "EMBEDDING"}, "", "embeddings"),
        ("x", {"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat"}, "", None),
        ("x", {"traceloop.span.kind": "tool"}, "", "tool"),
        ("openai.chat", {"llm.request.type": "chat"}, "", "chat"),
        ("x", {"llm.request.type": "rerank"}, "", "rerank"),
        ("x", {"gen_ai.operation.name": 5}, "", None),
        ("invoke_agent a", {}, "", "agent"),
        ("execute_tool t", {}, "", "tool"),
        ("triage.agent", {}, "opentelemetry.instrumentation.openai_agents", "agent"),
        ("search.tool", {}, "opentelemetry.instrumentation.openai_agents", "tool"),
        ("search.tool", {}, "mine", None),
        ("research_agent", {}, "openinference.instrumentation.langchain", "agent"),
        ("LangGraph", {}, "openinference.instrumentation.langchain", None),
        ("tools/call t", {"mcp.method.name": "tools/call"}, "mcp-python-sdk", "tool"),
        ("GET /", {"http.request.method": "GET"}, "asgi", None),
    ],
)
def test_what_a_span_is_of(name: str, attributes: dict[str, Any], library: str, operation: str | None) -> None:
    assert operation_of(name, attributes, library) == operation


@pytest.mark.parametrize(
    ("attributes", "operation"),
    [
        ({"gen_ai.operation.name": "aembedding"}, "embeddings"),
        ({"openinference.span.kind": "EMBEDDING"}, "embeddings"),
        ({"llm.request.type": "embedding"}, "embeddings"),
        ({"gen_ai.operation.name": "atext_completion"}, "text_completion"),
        ({"gen_ai.operation.name": "arerank"}, "rerank"),
        ({"gen_ai.operation.name": "image_generation"}, "image"),
        ({"gen_ai.operation.name": "transcription"}, "audio"),
    ],
)
def test_what_is_asked_of_a_model(attributes: dict[str, Any], operation: str) -> None:
    assert operation_of("x", attributes, "") == operation


def test_names_of_tools_and_agents() -> None:
    assert tool_name(read({"gen_ai.tool.name": "t"}), "x") == "t"
    assert tool_name({}, "MCP send tools/call search") == "search"
    assert tool_name({}, "search.tool") == "search"
    assert agent_name(read({"agent.name": "a"}), "x") == "a"
    assert agent_name({}, "invoke_agent a b") == "a b"
    assert agent_name({}, "a.agent") == "a"
    assert agent_name({}, "") == "unknown"
