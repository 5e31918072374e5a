"""The HTTP client of each provider's SDK is found, so that its own retries are attempts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters, create_async_httpx2_client
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from events import LLMAttempted, LLMCalled, llm_attempted, llm_called, receiver_failed
from events.bridges.model_calls.response_headers import retry_after
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.http_client import HTTP_CLIENTS, observe_model
from tests.support.model_adapters import SERVERS, model_at
from tests.support.openai_server import ChatRequest, OpenAIServer, fails, says, sends

pytestmark = pytest.mark.slow  # importing the SDKs takes seconds

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
PROVIDERS = ("openai", "openai-responses", "anthropic", "gemini", "ollama")


class ResponsesServer(OpenAIServer):
    """OpenAI's Responses (https://platform.openai.com/docs/api-reference/responses/object)."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        return ChatRequest(body["model"], [], bool(body.get("stream")), body, headers)


def response() -> dict[str, Any]:
    text = {"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [text]}
    usage: dict[str, Any] = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5-mini",
            "output": [message], "usage": usage, **settings}  # fmt: skip


def answer(provider: str, how: str) -> Any:
    if provider != "openai-responses":
        return says("one two three")
    if how == "plain":
        return sends(json.dumps(response()).encode())
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response(), "status": "in_progress", "output": []}},
        {"type": "response.completed", "response": response()},
    ]
    frames = (f"event: {each['type']}\ndata: {json.dumps({**each, 'sequence_number': 1})}\n\n" for each in events)
    return sends("".join(frames).encode(), "text/event-stream")


def model_of(provider: str, server: OpenAIServer, client: Any) -> Model:
    if provider == "openai-responses":
        openai = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
        return OpenAIResponsesModel("gpt-5-mini", provider=openai)
    if provider == "gemini":  # its SDK retries where it is told to
        from google.genai.types import HttpRetryOptions
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        retries = HttpRetryOptions(attempts=3, initial_delay=0.02, max_delay=0.05)
        url = server.base_url.removesuffix("/v1")
        google = GoogleProvider(base_url=url, api_key="none", http_client=client, retry_options=retries)
        return GoogleModel("gemini-2.5-flash", provider=google)
    return model_at(provider, server, client)


async def ask(model: Model, how: str) -> None:
    if how == "plain":
        await model.request(PROMPT, None, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass


@pytest.fixture
async def parts() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("how", ["plain", "streamed"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_retries_of_each_sdk_are_attempts(provider: str, how: str, parts: AsyncExitStack) -> None:
    server = parts.enter_context({**SERVERS, "openai-responses": ResponsesServer}[provider]())
    server.behaviour = [fails(429, retry_after=0.02), fails(503, retry_after=0.02), answer(provider, how)]
    client = await parts.enter_async_context(create_async_httpx2_client())
    attempts: list[LLMAttempted] = parts.enter_context(llm_attempted.captured())
    calls: list[LLMCalled] = parts.enter_context(llm_called.captured())
    await ask(instrument(model_of(provider, server, client)), how)
    assert [(each.outcome, each.status_code, each.retry_reason) for each in attempts] == [
        ("rate_limited", 429, None), ("error", 503, "rate_limited"), ("success", 200, "provider_5xx"),
    ]  # fmt: skip
    assert [(call.status, call.attempts, call.completion_tokens) for call in calls] == [("success", 3, 7)]
    assert calls[0].backoff == pytest.approx(sum(each.backoff or 0 for each in attempts))
    assert server.tally.requests == 3


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_retries_that_are_exhausted_are_attempts(provider: str, parts: AsyncExitStack) -> None:
    server = parts.enter_context({**SERVERS, "openai-responses": ResponsesServer}[provider]())
    server.behaviour = fails(503, retry_after=0.02)
    client = await parts.enter_async_context(create_async_httpx2_client())
    attempts = parts.enter_context(llm_attempted.captured())
    with suppress(AgentRunError):
        await ask(instrument(model_of(provider, server, client)), "plain")
    assert [(each.error_type, each.status_code) for each in attempts] == [("provider_5xx", 503)] * 3


class BedrockServer(OpenAIServer):
    """Bedrock's Converse (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html)."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        return ChatRequest("nova", [], path.endswith("stream"), body, headers)


@pytest.mark.sdk("boto3")
async def test_the_retries_of_bedrocks_sdk_are_attempts(parts: AsyncExitStack) -> None:
    import boto3
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    message = {"role": "assistant", "content": [{"text": "Hello."}]}
    usage = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
    body = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}}
    server = parts.enter_context(BedrockServer([fails(429), fails(503), sends(json.dumps(body).encode())]))
    endpoint = server.base_url.removesuffix("/v1")
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=endpoint, **keys)
    attempts = parts.enter_context(llm_attempted.captured())
    model = instrument(BedrockConverseModel("amazon.nova-lite-v1:0", provider=BedrockProvider(bedrock_client=client)))
    await ask(model, "plain")
    await ask(model, "plain")
    assert [(each.outcome, each.status_code, each.retry_reason) for each in attempts] == [
        ("rate_limited", 429, None), ("error", 503, "rate_limited"), ("success", 200, "provider_5xx"),
        ("success", 200, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        *(({"retry-after": each}, None) for each in ("-5", "nan", "inf", "1e9", "soon", "", "٣", "9" * 400)),
        ({}, None),
    ],
)
def test_the_wait_that_a_provider_asks_for_is_in_its_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == (None if seconds is None else pytest.approx(seconds, rel=0.05))


def test_the_wait_until_a_date_is_from_now() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1))
    assert retry_after({"retry-after": later}) == pytest.approx(3600, rel=0.05)


@pytest.mark.parametrize("path", HTTP_CLIENTS)
async def test_a_client_is_found_where_an_sdk_has_it(path: str, parts: AsyncExitStack) -> None:
    client = await parts.enter_async_context(httpx2.AsyncClient())
    sdk: Any = client
    for name in reversed(path.split(".")):
        sdk = SimpleNamespace(**{name: sdk})
    observe_model(SimpleNamespace(client=sdk))  # type: ignore[arg-type]  # a model of which only this is read
    assert "handle_async_request" in vars(client._transport)  # where it is observed


@pytest.mark.lenient
@pytest.mark.parametrize("client", [None, object(), SimpleNamespace(_client=object()), SimpleNamespace(_client=None)])
def test_an_sdk_without_such_a_client_is_left_alone(client: Any) -> None:
    with receiver_failed.captured() as failures:
        observe_model(SimpleNamespace(client=client))  # type: ignore[arg-type]  # as above
    assert failures == []


@pytest.mark.lenient
async def test_a_client_that_cannot_be_observed_is_reported_and_used(parts: AsyncExitStack) -> None:
    class Sealed(httpx2.MockTransport):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "handle_async_request":
                raise AttributeError(name)
            super().__setattr__(name, value)

    client = await parts.enter_async_context(httpx2.AsyncClient(transport=Sealed(lambda _: httpx2.Response(200))))
    with receiver_failed.captured() as failures:
        observe_model(SimpleNamespace(client=SimpleNamespace(_client=client)))  # type: ignore[arg-type]  # as above
    assert [(failure.signal, failure.error) for failure in failures] == [("llm_attempted", "AttributeError")]
    assert (await client.get("http://localhost")).status_code == 200
