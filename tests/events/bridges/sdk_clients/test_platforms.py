"""The clients for other platforms: their calls are told under the name of the model that is asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from events.bridges import anthropic, openai
from events.bridges.sdk_clients.sdk_parts import check_client
from tests.events.bridges.sdk_clients.conftest import Told
from tests.support.chat_dialects import AzureServer
from tests.support.openai_server import ChatRequest, Usage, says
from tests.support.provider_servers import AnthropicServer
from tests.support.sdk_calls import MODEL, PROMPT

pytestmark = pytest.mark.slow  # SDKs take seconds to import


class PlatformServer(AnthropicServer):
    """Anthropic's Messages as Vertex and Bedrock have them: the model is in the path."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        match = re.search(r"/models?/([^/:]+)[:/](rawPredict|streamRawPredict|invoke)$", path)
        if match is None:
            return None
        return ChatRequest(match[1], body["messages"], match[2] == "streamRawPredict", body, headers)


@pytest.mark.parametrize("streamed", [False, True])
def test_azure(streamed: bool, told: Told) -> None:
    from openai import AzureOpenAI

    with AzureServer(says(usage=Usage(100, 20))) as server:
        endpoint = server.base_url.removesuffix("/v1")
        client: Any = AzureOpenAI(api_key="none", api_version="2024-10-21", azure_endpoint=endpoint, max_retries=0)
        openai.instrument(client)
        more: Any = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
        answer = client.chat.completions.create(model=MODEL, messages=PROMPT, **more)
        if streamed:
            list(answer)
    assert (told.call.provider, told.call.model, told.call.prompt_tokens) == ("azure", MODEL, 100)
    assert told.call.status == "success"


@pytest.mark.parametrize("streamed", [False, True])
def test_vertex(streamed: bool, told: Told) -> None:
    from anthropic import AnthropicVertex

    with PlatformServer(says(usage=Usage(100, 20))) as server:
        client = AnthropicVertex(region="r", project_id="p", access_token="t", base_url=server.base_url, max_retries=0)
        anthropic.instrument(client)
        messages: Any = PROMPT
        answer: Any = client.messages.create(model="claude-x", messages=messages, max_tokens=5, stream=streamed)
        if streamed:
            list(answer)
    assert (told.call.provider, told.call.model, told.call.status) == ("google-vertex", "claude-x", "success")
    assert (told.call.prompt_tokens, told.call.completion_tokens) == (100, 20)


@pytest.mark.sdk("boto3")
def test_bedrock(told: Told) -> None:
    from anthropic import AnthropicBedrock

    with PlatformServer(says(usage=Usage(100, 20))) as server:
        client = AnthropicBedrock(
            aws_region="r", aws_access_key="a", aws_secret_key="s", base_url=server.base_url, max_retries=0
        )
        anthropic.instrument(client)
        messages: Any = PROMPT
        client.messages.create(model="claude-x", messages=messages, max_tokens=5)
    assert (told.call.provider, told.call.model, told.call.status) == ("bedrock", "claude-x", "success")
    assert (told.call.prompt_tokens, told.call.completion_tokens) == (100, 20)


def test_every_client_has_the_parts_that_are_reached() -> None:
    """On the oldest release and on the newest, as this file runs on both."""
    import anthropic as anthropic_sdk
    import openai as openai_sdk

    azure = {"api_key": "none", "api_version": "v", "azure_endpoint": "http://127.0.0.1:1"}
    vertex = {"region": "r", "project_id": "p", "access_token": "t"}
    for make, options in (
        (openai_sdk.OpenAI, {"api_key": "none"}),
        (openai_sdk.AsyncOpenAI, {"api_key": "none"}),
        (openai_sdk.AzureOpenAI, azure),
        (openai_sdk.AsyncAzureOpenAI, azure),
        (anthropic_sdk.Anthropic, {"api_key": "none"}),
        (anthropic_sdk.AsyncAnthropic, {"api_key": "none"}),
        (anthropic_sdk.AnthropicVertex, vertex),
        (anthropic_sdk.AsyncAnthropicVertex, vertex),
        (anthropic_sdk.AnthropicBedrock, {"aws_region": "r"}),
    ):
        client: Any = make
        check_client(client(**options), "openai" if "OpenAI" in make.__name__ else "anthropic")
