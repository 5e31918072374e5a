"""Each request that a provider's SDK sends is an attempt: its own retries, with their waits, statuses and limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters, create_async_httpx2_client
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.retries import AsyncHTTPX2TenacityTransport, RetryConfig, wait_retry_after
from pydantic_ai.settings import ModelSettings
from tenacity import retry_if_exception_type, stop_after_attempt

from events import LLMAttempted, LLMCalled, llm_attempted, llm_called
from events.bridges.pydantic_ai import instrument, observe_http_client, record_response_headers
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, fails, says, stalls
from tests.support.wait import until

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
WAIT = 0.02
LIMITED = Reply(
    status=429,
    usage=None,
    headers={"Retry-After": str(WAIT), "x-ratelimit-remaining-requests": "0", "x-ratelimit-limit-requests": "60"},
    body=b'{"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}',
)
ANSWER = says("one two three", headers={"x-ratelimit-remaining-requests": "59", "x-ratelimit-limit-requests": "60"})


async def plain(model: Model, **settings: Any) -> None:
    await model.request(PROMPT, ModelSettings(**settings), ModelRequestParameters())  # type: ignore[typeddict-item]


async def streamed(model: Model, **settings: Any) -> None:
    parameters = ModelRequestParameters()
    async with model.request_stream(PROMPT, ModelSettings(**settings), parameters) as events:  # type: ignore[typeddict-item]
        async for _ in events:
            pass


HOW = pytest.mark.parametrize("send", [plain, streamed])


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def calls() -> Any:
    with llm_called.captured() as captured:
        yield captured


@pytest.fixture
def attempts() -> Any:
    with llm_attempted.captured() as captured:
        yield captured


@pytest.fixture
async def clients() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def chat(server: OpenAIServer, client: Any = None, name: str = "gpt-4o-mini") -> Model:
    provider = OpenAIProvider(base_url=server.base_url, api_key="none", http_client=client)
    return OpenAIChatModel(name, provider=provider)


def check_adds_up(call: LLMCalled, attempts: Sequence[LLMAttempted]) -> None:
    """Check that the attempts and the waits between them are the call's, in number and in time."""
    assert call.attempts == len(attempts)
    assert [each.attempt for each in attempts] == list(range(1, len(attempts) + 1))
    waited = sum(each.backoff or 0 for each in attempts)
    assert call.backoff == pytest.approx(waited)
    assert sum(each.duration or 0.0 for each in attempts) + waited == pytest.approx(call.duration)


@HOW
async def test_a_retry_of_the_sdk_is_an_attempt_with_its_status_wait_and_limits(
    send: Any, server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server.behaviour = [LIMITED, fails(503, retry_after=WAIT), ANSWER]
    await send(instrument(chat(server)))
    assert [(each.outcome, each.error_type, each.status_code, each.error) for each in attempts] == [
        ("rate_limited", "rate_limited", 429, ""), ("error", "provider_5xx", 503, ""), ("success", None, 200, ""),
    ]  # fmt: skip
    assert [each.retry_reason for each in attempts] == [None, "rate_limited", "provider_5xx"]
    assert [each.retry_after for each in attempts] == [WAIT, WAIT, None]
    assert [each.remaining_requests for each in attempts] == [0, None, 59]
    assert all((each.backoff or 0) >= WAIT / 2 for each in attempts[1:])
    check_adds_up(calls[0], attempts)
    assert (calls[0].status, calls[0].completion_tokens) == ("success", server.tally.completion_tokens)
    assert server.tally.requests == len(attempts)


@HOW
async def test_a_call_whose_sdk_gave_up_ends_with_the_error_that_was_raised(
    send: Any, server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server.behaviour = LIMITED
    with suppress(AgentRunError):
        await send(instrument(chat(server)))
    assert [(each.outcome, each.error, each.status_code) for each in attempts] == [
        ("rate_limited", "", 429), ("rate_limited", "", 429), ("rate_limited", "ModelRateLimitError", 429),
    ]  # fmt: skip
    assert (calls[0].status, calls[0].error, calls[0].attempts) == ("error", "ModelRateLimitError", 3)
    check_adds_up(calls[0], attempts)


@HOW
async def test_a_call_of_one_request_has_one_attempt_that_lasts_as_long(
    send: Any, server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server.behaviour = [ANSWER, fails(400)]
    model = instrument(chat(server))
    await send(model)
    with suppress(AgentRunError):
        await send(model)
    assert [(each.outcome, each.duration, each.backoff, each.retry_reason) for each in attempts] == [
        (outcome, call.duration, None, None) for outcome, call in zip(("success", "error"), calls, strict=True)
    ]


@pytest.mark.slow  # the SDK waits for half a second
async def test_requests_without_a_response_are_attempts(
    unused_tcp_port: int, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    provider = OpenAIProvider(base_url=f"http://127.0.0.1:{unused_tcp_port}/v1", api_key="none")
    with suppress(AgentRunError):
        await plain(instrument(OpenAIChatModel("gpt-4o-mini", provider=provider)), max_retries=1)
    assert [(each.outcome, each.error_type, each.error, each.status_code) for each in attempts] == [
        ("error", "connection", error, None) for error in ("ConnectError", "ModelConnectionError")
    ]
    check_adds_up(calls[0], attempts)


@pytest.mark.slow  # the SDK waits for half a second
@HOW
async def test_a_request_that_runs_out_of_time_is_retried_as_a_timeout(
    send: Any, server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server.behaviour = [stalls(), ANSWER]
    await send(instrument(chat(server)), timeout=0.2)
    assert [(each.outcome, each.error_type, each.error) for each in attempts] == [
        ("timeout", "timeout", "ReadTimeout"), ("success", None, ""),
    ]  # fmt: skip
    assert (attempts[0].duration or 0.0) >= 0.15
    check_adds_up(calls[0], attempts)


@pytest.mark.slow  # the SDK waits for half a second
async def test_an_answer_whose_body_breaks_off_is_a_lost_connection(
    server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server.behaviour = [says(break_after=150), ANSWER]
    await plain(instrument(chat(server)))
    assert [(each.outcome, each.error_type, each.status_code) for each in attempts] == [
        ("error", "connection", 200), ("success", None, 200),
    ]  # fmt: skip
    check_adds_up(calls[0], attempts)


async def test_a_call_that_is_cancelled_while_its_sdk_waits_has_the_attempts_that_were_made(
    server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="openai")
    server.behaviour = fails(429, retry_after=30)
    asking = asyncio.create_task(plain(instrument(chat(server))))
    await until(lambda: any("Retrying request" in record.message for record in caplog.records))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert [(each.outcome, each.status_code, each.retry_after) for each in attempts] == [("rate_limited", 429, 30)]
    assert [(call.status, call.attempts) for call in calls] == [("cancelled", 1)]


async def test_a_request_that_is_cancelled_under_way_is_a_cancelled_attempt(
    server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server.behaviour = [LIMITED, stalls()]
    asking = asyncio.create_task(plain(instrument(chat(server))))
    await until(lambda: server.tally.requests == 2)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert [each.outcome for each in attempts] == ["rate_limited", "cancelled"]
    check_adds_up(calls[0], attempts)


@HOW
@pytest.mark.parametrize("hooked", [True, False])
async def test_retries_of_a_transport_are_attempts_and_a_response_hook_counts_none_twice(
    send: Any, hooked: bool, server: OpenAIServer, clients: AsyncExitStack, attempts: list[LLMAttempted]
) -> None:
    """As https://ai.pydantic.dev/retries has it."""
    server.behaviour = [LIMITED, fails(502), ANSWER]
    config = RetryConfig(
        retry=retry_if_exception_type(httpx2.HTTPStatusError),
        wait=wait_retry_after(fallback_strategy=lambda _: 0.01, max_wait=1),
        stop=stop_after_attempt(5),
        reraise=True,
    )
    transport = AsyncHTTPX2TenacityTransport(config, validate_response=lambda response: response.raise_for_status())
    client = await clients.enter_async_context(create_async_httpx2_client(transport=transport))
    if hooked:
        client.event_hooks["response"].append(record_response_headers)
    await send(instrument(chat(server, client)))
    assert [(each.outcome, each.status_code, each.remaining_requests) for each in attempts] == [
        ("rate_limited", 429, 0), ("error", 502, None), ("success", 200, 59),
    ]  # fmt: skip


@pytest.mark.slow  # the SDK waits for half a second
async def test_redirects_and_other_requests_of_the_sdk_are_no_attempts(
    clients: AsyncExitStack, attempts: list[LLMAttempted]
) -> None:
    moved = Reply(status=307, usage=None, headers={"Location": "/v1/chat/completions?again"}, body=b"")

    class Redirecting(OpenAIServer):
        def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
            return super().parse_request(path.partition("?")[0], body, headers)

    class Listing(WrapperModel):
        async def request(self, *request: Any) -> ModelResponse:
            await self.wrapped.client.models.list()  # type: ignore[attr-defined]
            return await self.wrapped.request(*request)

    with Redirecting([moved, fails(500), moved, ANSWER]) as redirecting:
        client = await clients.enter_async_context(DefaultAsyncHttpxClient())  # it follows redirects
        await plain(instrument(Listing(chat(redirecting, client))))
    assert [each.outcome for each in attempts] == ["error", "success"]


async def test_members_of_a_chain_that_share_a_client_have_their_own_attempts(
    server: OpenAIServer, clients: AsyncExitStack, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    client = await clients.enter_async_context(create_async_httpx2_client())
    server.behaviour = lambda request: says() if request.model == "b" else fails(500, retry_after=0.01)
    await plain(instrument(FallbackModel(chat(server, client, "a"), chat(server, client, "b"))))
    assert [(each.model, each.retry_reason, each.fallback_reason) for each in attempts] == [
        ("a", None, None), ("a", "provider_5xx", None), ("a", "provider_5xx", None), ("b", None, "provider_5xx"),
    ]  # fmt: skip
    assert (calls[0].model, calls[0].attempts, server.tally.requests) == ("b", 4, 4)


async def test_calls_at_the_same_time_have_their_own_attempts(
    server: OpenAIServer, clients: AsyncExitStack, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    client = await clients.enter_async_context(create_async_httpx2_client())
    refused: set[str] = set()

    def answer(request: ChatRequest) -> Reply:
        if request.model in refused:
            return says()
        refused.add(request.model)
        return LIMITED

    server.behaviour = answer
    models = [instrument(chat(server, client, f"model-{number}")) for number in range(8)]
    await asyncio.gather(
        *(plain(model) for model in models), *(plain(instrument(chat(server, client, "x"))) for _ in "ab")
    )
    assert len(attempts) == server.tally.requests
    for call in calls:
        check_adds_up(call, [each for each in attempts if each.call_id == call.call_id])
    assert {call.attempts for call in calls if call.model != "x"} == {2}


async def test_a_client_that_is_made_anew_is_observed(server: OpenAIServer, attempts: list[LLMAttempted]) -> None:
    """pydantic-ai does so for each event loop, and where the provider was left and is entered again."""
    server.behaviour = [LIMITED, ANSWER, LIMITED, ANSWER]
    model = instrument(chat(server))
    for _ in range(2):
        async with model:
            await plain(model)
    assert len(attempts) == 4


@pytest.mark.parametrize(
    "make_client",
    [DefaultAsyncHttpxClient, lambda: httpx2.AsyncClient(mounts={"all://": httpx2.AsyncHTTPTransport()})],
    ids=["the SDK's own", "mounted transports"],
)
async def test_clients_of_all_kinds_are_observed(
    make_client: Callable[[], Any], server: OpenAIServer, clients: AsyncExitStack, attempts: list[LLMAttempted]
) -> None:
    server.behaviour = [LIMITED, ANSWER]
    client = await clients.enter_async_context(make_client())
    openai = AsyncOpenAI(base_url=server.base_url, api_key="none", http_client=client)
    await plain(instrument(OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=openai))))
    assert len(attempts) == 2


async def test_a_transport_that_a_test_replaces_later_is_the_one_that_sends(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, attempts: list[LLMAttempted]
) -> None:
    """pytest-httpx and its like replace the method of the class, of clients that exist too."""
    model = instrument(chat(server))
    await plain(model)
    sent: list[str] = []

    async def answer(_: Any, request: httpx2.Request) -> httpx2.Response:
        sent.append(request.method)
        return httpx2.Response(418, json={})

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", answer)
    with suppress(AgentRunError):
        await plain(model)
    assert (sent, server.tally.requests) == (["POST"], 1)
    assert [each.status_code for each in attempts] == [200, 418]


async def test_a_client_of_an_unknown_sdk_is_observed_on_request(
    server: OpenAIServer, clients: AsyncExitStack, attempts: list[LLMAttempted]
) -> None:
    client = await clients.enter_async_context(httpx2.AsyncClient())

    class OwnModel(TestModel):
        """A model that sends and retries by itself."""

        async def request(self, *request: Any) -> ModelResponse:
            for _ in range(2):
                await client.post(f"{server.base_url}/chat/completions", json={"model": "own", "messages": []})
            return await super().request(*request)

    server.behaviour = [LIMITED, ANSWER]
    await plain(instrument(OwnModel()))
    observe_http_client(client)
    server.behaviour = [LIMITED, ANSWER]
    await plain(instrument(OwnModel()))
    assert [each.outcome for each in attempts] == ["success", "rate_limited", "success"]
