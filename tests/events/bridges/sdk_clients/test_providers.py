"""Who is asked, by the class of a client or the host of its URL."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.anthropic.anthropic_protocol import AnthropicProtocol
from events.bridges.anthropic.message_answer import MessageAnswer
from events.bridges.openai.openai_protocol import OpenAIProtocol


def client(name: str, base_url: str) -> Any:
    return type(name, (SimpleNamespace,), {})(base_url=base_url)


@pytest.mark.parametrize(
    ("name", "base_url", "provider"),
    [
        ("OpenAI", "https://api.openai.com/v1/", "openai"),
        ("OpenAI", "https://eu.api.openai.com/v1/", "openai"),
        ("OpenAI", "https://openrouter.ai/api/v1/", "openrouter"),
        ("OpenAI", "http://localhost:11434/v1/", "openai-compatible"),
        ("AsyncAzureOpenAI", "https://gateway.example/openai/", "azure"),
        ("BedrockOpenAI", "https://gateway.example/", "bedrock"),
    ],
)
def test_openai_client(name: str, base_url: str, provider: str) -> None:
    assert OpenAIProtocol().provider_of_client(client(name, base_url)) == provider


@pytest.mark.parametrize(
    ("name", "base_url", "provider"),
    [
        ("AsyncAnthropic", "https://api.anthropic.com", "anthropic"),
        ("Anthropic", "http://localhost:4000", "anthropic-compatible"),
        ("AnthropicBedrock", "https://gateway.example", "bedrock"),
        ("AsyncAnthropicBedrockMantle", "https://gateway.example", "bedrock"),
        ("AsyncAnthropicVertex", "https://gateway.example", "google-vertex"),
        ("AnthropicFoundry", "https://gateway.example", "azure"),
        ("AnthropicAWS", "https://gateway.example", "anthropic"),
        ("AnthropicGoogleCloud", "https://gateway.example", "anthropic"),
    ],
)
def test_anthropic_client(name: str, base_url: str, provider: str) -> None:
    assert AnthropicProtocol().provider_of_client(client(name, base_url)) == provider


@pytest.mark.parametrize(
    ("url", "is_call"),
    [
        ("/v1/messages", True),
        ("/v1/messages?beta=true", True),
        ("/v1/complete", True),
        ("/v1/messages/count_tokens", False),
        ("/v1/messages/batches", False),
        ("/v1/models", False),
    ],
)
def test_what_is_a_call_to_anthropic(url: str, is_call: bool) -> None:
    assert (AnthropicProtocol().kind_of_call(url) is not None) is is_call


def test_the_events_of_a_message_count_its_tokens() -> None:
    answer = MessageAnswer()
    started = {"model": "m-1", "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}}
    answer.add_chunk({"type": "message_start", "message": started})
    tool = {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "look"}}
    assert answer.add_chunk(tool) == (4, False)
    assert answer.add_chunk({"type": "content_block_start", "content_block": {"type": "text"}}) == (0, False)
    for delta, expected in (
        ({"type": "text_delta", "text": "four"}, (4, False)),
        ({"type": "thinking_delta", "thinking": "hm"}, (2, True)),
        ({"type": "input_json_delta", "partial_json": "{}"}, (2, False)),
        ({"type": "signature_delta", "signature": "s"}, (0, False)),
    ):
        assert answer.add_chunk({"type": "content_block_delta", "delta": delta}) == expected
    assert not answer.has_ended
    answer.add_chunk({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 20}})
    answer.add_chunk({"type": "message_stop"})
    usage = answer.usage()
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cache_read_tokens) == (8, 20, 3)
    assert (answer.has_ended, answer.finish_reason, answer.model) == (True, "length", "m-1")


def test_a_text_completion_counts_nothing() -> None:
    answer = MessageAnswer()
    assert answer.raw_usage() is None
    assert answer.add_chunk({"type": "completion", "completion": "four", "model": "m-1"}) == (4, False)
    assert answer.add_chunk({"type": "ping"}) == (0, False)
    answer.add_chunk({"type": "completion", "completion": "", "stop_reason": "stop_sequence"})
    assert (answer.has_ended, answer.finish_reason, answer.usage().usage_source) == (True, "stop", "none")


def test_a_whole_message_has_its_reason() -> None:
    answer = MessageAnswer()
    answer.add_whole({"model": "m-1", "stop_reason": "tool_use", "usage": {"input_tokens": 5, "output_tokens": 1}})
    assert (answer.has_ended, answer.finish_reason) == (True, "tool_calls")
    other = MessageAnswer()
    other.add_whole("a text")
    assert (other.has_ended, other.finish_reason, other.raw_usage()) == (True, "unknown", None)
