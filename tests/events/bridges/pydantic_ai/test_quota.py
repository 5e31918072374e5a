"""A quota that is used up is told apart from too many requests in every attempt, also those that the SDK retries."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import pytest
import trio
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.moonshotai import MoonshotAIProvider
from pydantic_ai.providers.openai import OpenAIProvider

from events import LLMAttempted, LLMCalled, llm_attempted, llm_called, receiver_failed
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.error_bodies import exceeds_quota
from tests.support.openai_server import OpenAIServer, Reply, fails, says
from tests.support.provider_servers import GeminiServer
from tests.support.responses_server import ResponsesServer

PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Say something.")]


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


@pytest.fixture
def attempts() -> Iterator[list[LLMAttempted]]:
    with llm_attempted.captured() as captured:
        yield captured


async def ask(model: Model, *, streamed: bool) -> None:
    if not streamed:
        await model.request(PROMPT, None, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass


def chat(server: OpenAIServer) -> Model:
    return OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))


def responses(server: OpenAIServer) -> Model:
    return OpenAIResponsesModel("gpt-4o-mini", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))


def moonshot(server: OpenAIServer) -> Model:
    client = OpenAIProvider(base_url=server.base_url, api_key="none").client
    return OpenAIChatModel("kimi-k2", provider=MoonshotAIProvider(openai_client=client))


def gzipped(reply: Reply) -> Reply:
    return replace(reply, body=gzip.compress(reply.body or b""), headers={**reply.headers, "Content-Encoding": "gzip"})


QUOTA = fails(429, "You exceeded your current quota.", retry_after=0.01, code="insufficient_quota")
LIMITED = fails(429, "Rate limit reached, see the quota of a minute.", retry_after=0.01, code="rate_limit_exceeded")
# fmt: off
USED_UP: dict[str, tuple[Any, Any, Reply]] = {
    # https://platform.openai.com/docs/guides/error-codes
    "chat": (OpenAIServer, chat, QUOTA),
    "gzipped": (OpenAIServer, chat, gzipped(QUOTA)),
    "by type": (OpenAIServer, chat, fails(429, retry_after=0.01, type="insufficient_quota")),
    "spending": (OpenAIServer, chat, fails(429, retry_after=0.01, code="project_spend_limit_exceeded")),
    "responses": (ResponsesServer, responses, QUOTA),
    # https://docs.z.ai/api-reference/api-code
    "Z.ai": (OpenAIServer, chat, fails(429, retry_after=0.01, code="1113")),
    # https://forum.moonshot.ai/t/429-insufficient-balance/244
    "Moonshot": (OpenAIServer, moonshot, fails(429, retry_after=0.01, type="exceeded_current_quota_error")),
}
# fmt: on


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", USED_UP)
async def test_every_attempt_says_that_the_quota_is_used_up(
    name: str, streamed: bool, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server_class, make_model, reply = USED_UP[name]
    with server_class(reply) as server:
        with pytest.raises(ModelAPIError, match=r"quota|failure"):
            await ask(instrument(make_model(server)), streamed=streamed)
        assert server.tally.requests == 3
    assert [attempt.error_type for attempt in attempts] == ["quota_exceeded"] * 3
    assert [attempt.outcome for attempt in attempts] == ["error"] * 3
    assert [attempt.retry_reason for attempt in attempts] == [None, "quota_exceeded", "quota_exceeded"]
    assert calls[0].error_type == "quota_exceeded"


@pytest.mark.parametrize("streamed", [False, True])
async def test_too_many_requests_are_no_quota(
    streamed: bool, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    with OpenAIServer([LIMITED, gzipped(LIMITED), says()]) as server:
        await ask(instrument(chat(server)), streamed=streamed)
    assert [attempt.outcome for attempt in attempts] == ["rate_limited", "rate_limited", "success"]
    assert calls[0].status == "success"


async def test_geminis_quota_of_a_day_is_used_up(calls: list[LLMCalled], attempts: list[LLMAttempted]) -> None:
    """https://ai.google.dev/gemini-api/docs/rate-limits."""
    violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]
    error = {"code": 429, "message": "Too much.", "status": "RESOURCE_EXHAUSTED", "details": details}
    reply = Reply(status=429, usage=None, body=json.dumps({"error": error}).encode())
    with GeminiServer(reply) as server:
        model = GoogleModel("gemini-2.5-flash", provider=GoogleProvider(api_key="none", base_url=server.address))
        with pytest.raises(ModelAPIError):
            await ask(instrument(model), streamed=False)
    assert {attempt.error_type for attempt in attempts} == {calls[0].error_type} == {"quota_exceeded"}


class Body(httpx2.AsyncByteStream):
    """A body that breaks off, goes on for long, or stalls before its last piece until it may go on."""

    def __init__(self, pieces: int, *, breaks: bool = False, going_on: asyncio.Event | None = None) -> None:
        self.pieces, self.breaks, self.going_on = pieces, breaks, going_on
        self.sent, self.is_closed = 0, False

    async def __aiter__(self) -> Any:
        for _ in range(self.pieces):
            if self.going_on is not None and self.sent == self.pieces - 1:
                await self.going_on.wait()
            self.sent += 1
            yield b"x" * 1024
        if self.breaks:
            raise httpx2.ReadError("it broke off")

    async def aclose(self) -> None:
        self.is_closed = True


async def test_a_long_body_is_read_ahead_in_part_and_stays_whole() -> None:
    body = Body(1000)
    response = httpx2.Response(429, stream=body)
    assert not await exceeds_quota(response)
    assert body.sent == 65
    assert len(await response.aread()) == 1000 * 1024
    assert body.is_closed


async def test_a_body_that_breaks_off_does_so_for_who_reads_it() -> None:
    body = Body(2, breaks=True)
    response = httpx2.Response(429, stream=body)
    assert not await exceeds_quota(response)
    assert not body.is_closed
    with pytest.raises(httpx2.ReadError, match="it broke off"):
        await response.aread()


async def test_a_body_that_stalls_holds_up_nobody_and_stays_whole() -> None:
    going_on = asyncio.Event()
    body = Body(2, going_on=going_on)
    response = httpx2.Response(429, stream=body)
    async with asyncio.timeout(5):
        assert not await exceeds_quota(response)
    going_on.set()
    assert len(await response.aread()) == 2 * 1024
    assert body.is_closed


@pytest.mark.parametrize("reads", [False, True])
async def test_a_body_that_stalls_can_be_closed(reads: bool) -> None:
    """Also while it is read."""
    body = Body(2, going_on=asyncio.Event())
    response = httpx2.Response(429, stream=body)
    assert not await exceeds_quota(response)
    if reads:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.aread(), 0.05)
    async with asyncio.timeout(5):
        await response.aclose()
    assert body.is_closed


async def test_a_call_that_is_cancelled_while_a_body_is_waited_for_leaves_nothing_behind() -> None:
    body = Body(2, going_on=asyncio.Event())
    response = httpx2.Response(429, stream=body)
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(exceeds_quota(response), 0.02)
    assert asyncio.all_tasks() == before
    assert body.is_closed  # nobody has got the response that could close it


async def test_a_body_in_another_encoding_than_it_says_is_no_failure_of_a_receiver(calls: list[LLMCalled]) -> None:
    reply = replace(QUOTA, headers={**QUOTA.headers, "Content-Encoding": "gzip", "retry-after-ms": "10"})
    with OpenAIServer(reply) as server, receiver_failed.captured() as failures, pytest.raises(ModelAPIError):
        await ask(instrument(chat(server)), streamed=False)
    assert failures == []
    assert calls[0].status == "error"


def test_on_trio_an_attempt_that_is_retried_has_the_reason_of_its_status(
    calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    """What cannot be read with a limit of time is not read ahead."""
    with OpenAIServer([QUOTA, says()]) as server, receiver_failed.captured() as failures:
        trio.run(partial(ask, instrument(chat(server)), streamed=False))
    assert [attempt.outcome for attempt in attempts] == ["rate_limited", "success"]
    assert [call.status for call in calls] == ["success"]
    assert failures == []
