"""The pydantic-ai bridge: who is named, billed and retried where a call takes several attempts, and how streams end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from openai import AsyncAzureOpenAI
from prometheus_client import CollectorRegistry
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.azure import AzureProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from events import agent_finished, agent_run, llm_attempted, llm_called, llm_usage_billed
from events.bridges.pydantic_ai import instrument
from metrics import LLM, subscribe
from tests.support.chat_dialects import AzureServer
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, fails, says, sends, stalls
from tests.support.samples import samples

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
NO_RETRIES = ModelSettings(max_retries=0)
LONG = says("much", usage=Usage(10_000, 500), finish="length")


class CutResponsesServer(OpenAIServer):
    """A stream of Responses without its end (https://platform.openai.com/docs/api-reference/responses-streaming)."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        return ChatRequest(body["model"], [], True, body, headers)

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        response: dict[str, Any] = {"id": "r", "object": "response", "created_at": 1, "status": "in_progress"}
        response |= {
            "model": reply.model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        item = {"type": "message", "id": "m", "status": "in_progress", "role": "assistant", "content": []}
        place = {"item_id": "m", "output_index": 0, "content_index": 0}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_text.delta", **place, "delta": "Half a", "logprobs": []},
        ]
        for sequence_number, event in enumerate(events):
            yield f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': sequence_number})}\n\n"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def chat(server: OpenAIServer, name: str = "gpt-4o-mini") -> Model:
    provider = OpenAIProvider(base_url=server.base_url, api_key="none")
    return OpenAIChatModel(name, provider=provider, settings=NO_RETRIES)


def azure(server: AzureServer, name: str = "gpt-4o") -> Model:
    endpoint = server.base_url.removesuffix("/v1")
    client = AsyncAzureOpenAI(azure_endpoint=endpoint, api_key="none", api_version="2024-06-01", max_retries=0)
    return OpenAIChatModel(name, provider=AzureProvider(openai_client=client), settings=NO_RETRIES)


async def ask(model: Model) -> None:
    with suppress(Exception):
        await model.request(PROMPT, NO_RETRIES, ModelRequestParameters())


async def stream(model: Model, leave_after: int | None = None) -> None:
    with suppress(Exception):
        async with model.request_stream(PROMPT, NO_RETRIES, ModelRequestParameters()) as events:
            seen = 0
            async for _ in events:
                seen += 1
                if seen == leave_after:
                    break


def was_cut(response: ModelResponse) -> bool:
    """Return whether an answer was too long, as the example of pydantic-ai's documentation has it."""
    return response.finish_reason == "length"


def models_of(registry: CollectorRegistry, family: str, label: str = "model") -> set[str]:
    return {labels[label] for labels, _ in samples(registry, family)}


async def test_errors_and_answers_of_a_model_have_one_label(server: OpenAIServer) -> None:
    server.behaviour = [says(model="gpt-4o-mini-2024-07-18"), fails(500)]
    registry = CollectorRegistry()
    with subscribe(LLM, registry, namespace="sparklio"):
        await ask(instrument(chat(server)))
        await stream(instrument(chat(server)))
        for family in ("llm_requests_total", "llm_errors_total", "llm_attempts_total", "llm_tokens_total",
                       "llm_finish_reasons_total"):  # fmt: skip
            assert models_of(registry, family) == {"gpt-4o-mini"}, family
        assert [labels for labels, _ in samples(registry, "llm_model_info")] == [
            {"model": "gpt-4o-mini", "response_model": "gpt-4o-mini-2024-07-18", "provider": "openai"}
        ]


async def test_the_same_name_at_another_provider_is_a_fallback(server: OpenAIServer) -> None:
    server.behaviour = fails(429, code="rate_limit_exceeded")
    with AzureServer() as other, llm_attempted.captured() as attempts, llm_called.captured() as calls:
        await ask(instrument(FallbackModel(chat(server, "gpt-4o"), azure(other))))
    second = attempts[1]
    assert (second.retry_reason, second.fallback_reason, second.backoff) == (None, "rate_limited", None)
    assert (second.from_model, second.from_provider, second.to_model, second.provider) == (
        "gpt-4o", "openai", "gpt-4o", "azure",
    )  # fmt: skip
    assert [(call.model, call.provider) for call in calls] == [("gpt-4o", "azure")]


async def test_a_call_that_fails_at_its_last_member_stands_under_that_members_provider(server: OpenAIServer) -> None:
    server.behaviour = fails(500)
    with AzureServer(fails(500)) as other, llm_called.captured() as calls:
        await ask(instrument(FallbackModel(chat(server, "gpt-4o"), azure(other, "gpt-4.1"))))
    assert [(call.model, call.provider, call.status) for call in calls] == [("gpt-4.1", "azure", "error")]


@pytest.mark.slow
@pytest.mark.parametrize("wrapped", [True, False], ids=["members instrumented", "members as they are"])
async def test_an_answer_that_a_chain_rejects_is_billed_to_the_member_that_gave_it(
    server: OpenAIServer, wrapped: bool
) -> None:
    server.behaviour = lambda request: LONG if request.model == "long" else says(usage=Usage(100, 5))
    members = [instrument(chat(server, name)) if wrapped else chat(server, name) for name in ("long", "short")]
    registry = CollectorRegistry()
    with (
        subscribe(LLM, registry, namespace="sparklio"),
        llm_called.captured() as calls,
        llm_usage_billed.captured() as bills,
    ):
        await ask(instrument(FallbackModel(*members, fallback_on=[was_cut])))
        series = list(samples(registry, "llm_tokens_total"))
    assert [(call.model, call.prompt_tokens, call.attempts, call.itemized) for call in calls] == [
        ("short", 10_100, 2, True)
    ]
    assert [(bill.model, bill.prompt_tokens, bill.call_id) for bill in bills] == [
        ("long", 10_000, calls[0].call_id), ("short", 100, calls[0].call_id),
    ]  # fmt: skip
    assert {(labels["model"], labels["token_type"]): value for labels, value in series} == {
        ("long", "prompt"): 10_000, ("long", "completion"): 500, ("short", "prompt"): 100, ("short", "completion"): 5,
    }  # fmt: skip


class BestOfThree(WrapperModel):
    async def request(self, *request: Any) -> ModelResponse:
        return (await asyncio.gather(*(self.wrapped.request(*request) for _ in range(3))))[-1]


class Rejecting(WrapperModel):
    """Asks again until an answer is whole."""

    async def request(self, *request: Any) -> ModelResponse:
        while was_cut(response := await self.wrapped.request(*request)):
            pass
        return response


@pytest.mark.parametrize(
    ("wrapper", "replies", "retries"), [(BestOfThree, says(), 0), (Rejecting, [LONG, LONG, says()], 2)]
)
async def test_every_answer_that_a_wrapper_asks_for_is_billed(
    server: OpenAIServer, wrapper: type[WrapperModel], replies: Any, retries: int
) -> None:
    """Without a second event: one model was billed. Attempts at the same time are no retries of one another."""
    server.behaviour = replies
    with (
        llm_called.captured() as calls,
        llm_attempted.captured() as attempts,
        llm_usage_billed.captured() as bills,
    ):
        await ask(instrument(wrapper(instrument(chat(server)))))
    assert [(call.prompt_tokens, call.completion_tokens, call.attempts) for call in calls] == [
        (server.tally.prompt_tokens, server.tally.completion_tokens, 3)
    ]
    assert bills == []
    assert sum(attempt.retry_reason is not None for attempt in attempts) == retries


@pytest.mark.slow
async def test_an_attempt_that_outlives_its_call_is_billed_all_the_same(server: OpenAIServer) -> None:
    late: list[asyncio.Task[ModelResponse]] = []

    class FirstOfTwo(WrapperModel):
        async def request(self, *request: Any) -> ModelResponse:
            late.append(asyncio.create_task(self.wrapped.request(*request)))
            await asyncio.sleep(0)
            return await self.wrapped.request(*request)

    server.behaviour = [says(delay=0.3), says()]
    with llm_called.captured() as calls, llm_usage_billed.captured() as bills:
        await ask(instrument(FirstOfTwo(instrument(chat(server)))))
        await late[0]
        billed = [each.prompt_tokens or 0 for each in calls] + [each.prompt_tokens or 0 for each in bills]
    assert (len(calls), sum(billed)) == (1, server.tally.prompt_tokens)


@pytest.mark.slow
async def test_a_timeout_of_a_model_or_a_task_is_its_agents(server: OpenAIServer) -> None:
    server.behaviour = stalls()
    settings = ModelSettings(timeout=0.1, max_retries=0)

    async def single() -> None:
        with agent_run(agent_name="copywriter"):
            await Agent(instrument(chat(server))).run("x", model_settings=settings)

    async def chain() -> None:
        with agent_run(agent_name="chain"):
            fallback = FallbackModel(chat(server, "a"), chat(server, "b"))
            await Agent(instrument(fallback)).run("x", model_settings=settings)

    async def group() -> None:
        with agent_run(agent_name="planner"):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.wait_for(asyncio.sleep(9), 0.01))

    with agent_finished.captured() as finished:
        for work in (single, chain, group):
            await asyncio.gather(asyncio.create_task(work()), return_exceptions=True)
    assert [(run.agent_name, run.status, run.error_type) for run in finished] == [
        (name, "timeout", "timeout") for name in ("copywriter", "chain", "planner")
    ]


async def test_a_refusal_is_the_same_whichever_provider_refused(server: OpenAIServer) -> None:
    """pydantic-ai makes an answer of Azure's error, and an error of OpenAI's; nobody bills either."""
    refusal = fails(400, "The response was filtered", code="content_filter", type=None, param="prompt")
    server.behaviour = refusal
    with AzureServer(refusal) as other, llm_called.captured() as calls, llm_attempted.captured() as attempts:
        for model in (chat(server), azure(other), FallbackModel(azure(other, "a"), azure(other, "b"))):
            await ask(instrument(model))
        await stream(instrument(azure(other)))
    assert {(each.status, each.error_type, each.usage_source, each.estimated_prompt_tokens) for each in calls} == {
        ("error", "content_filtered", "none", None)
    }
    assert {(each.outcome, each.error_type) for each in attempts} == {("error", "content_filtered")}
    assert len(calls) == 4


@pytest.mark.slow
async def test_a_stream_that_ends_without_an_end_is_no_success() -> None:
    with CutResponsesServer() as server, llm_called.captured() as calls:
        provider = OpenAIProvider(base_url=server.base_url, api_key="none")
        responses = OpenAIResponsesModel("gpt-5-mini", provider=provider)
        await stream(instrument(responses))
        await stream(instrument(FallbackModel(responses, responses)))
    with OpenAIServer() as server, llm_called.captured() as chat_calls:
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        half = {**chunk, "choices": [{"index": 0, "delta": {"content": "Half a"}, "finish_reason": None}]}
        server.behaviour = sends(f"data: {json.dumps(half)}\n\n".encode(), "text/event-stream")
        await stream(instrument(chat(server)))
    assert [(call.status, call.error_type) for call in (*calls, *chat_calls)] == [("error", "invalid_response")] * 3


async def test_a_model_without_a_finish_reason_has_an_unknown_one() -> None:
    model = instrument(TestModel(custom_output_text="fine"))
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    answer = {**chunk, "choices": [{"index": 0, "delta": {"content": "all"}, "finish_reason": None}]}
    usage = {**chunk, "choices": [], "usage": Usage().as_json()}
    body = "".join(f"data: {json.dumps(each)}\n\n" for each in (answer, usage)) + "data: [DONE]\n\n"
    with OpenAIServer(sends(body.encode(), "text/event-stream")) as server, llm_called.captured() as calls:
        await ask(model)
        await stream(model)
        await stream(instrument(chat(server)))
    assert [(call.status, call.finish_reason) for call in calls] == [("success", "unknown")] * 3


async def test_the_time_to_the_first_token_of_a_stream_that_was_left_or_failed_is_known(server: OpenAIServer) -> None:
    server.behaviour = [says("one two three", pause=0.01), says("one two three", pause=0.01, break_after=3)]
    with llm_called.captured() as calls:
        await stream(instrument(chat(server)), leave_after=2)
        await stream(instrument(chat(server)))
    assert [call.status for call in calls] == ["cancelled", "error"]
    assert all(call.time_to_first_token for call in calls)


@pytest.mark.slow
async def test_the_time_between_tokens_counts_none_that_were_hidden_or_came_at_once(server: OpenAIServer) -> None:
    words, pause = 10, 0.05
    server.behaviour = [
        says(" w" * words, usage=Usage(100, 1000 + words, reasoning=1000), pause=pause),
        says("w" * 1000, usage=Usage(100, 500), pause=pause),
    ]
    with llm_called.captured() as calls:
        await stream(instrument(chat(server)))
        await stream(instrument(chat(server)))
    hidden, at_once = calls
    assert hidden.time_per_output_token is not None
    assert hidden.time_per_output_token >= 0.8 * pause
    assert at_once.time_per_output_token is None


class Judging(WrapperModel):
    """A model whose answers another agent judges."""

    def __init__(self, wrapped: Model, judge: Agent) -> None:
        super().__init__(wrapped)
        self._judge = judge

    async def request(self, *arguments: Any) -> ModelResponse:
        response = await self.wrapped.request(*arguments)
        with suppress(Exception), agent_run(agent_name="judge"):
            await self._judge.run("Is it good?")
        return response


@pytest.mark.parametrize("fails_to_judge", [False, True])
async def test_an_agent_that_a_wrapper_asks_makes_calls_of_its_own(server: OpenAIServer, fails_to_judge: bool) -> None:
    server.behaviour = [says(usage=Usage(100, 20)), fails(503) if fails_to_judge else says(usage=Usage(10, 2))]
    judge = Agent(instrument(with_no_retries(server, "gpt-4.1")))
    model = instrument(Judging(with_no_retries(server, "gpt-4o"), judge))
    with (
        llm_called.captured() as calls,
        llm_attempted.captured() as attempts,
        agent_finished.captured() as ended,
        agent_run(agent_name="writer"),
    ):
        await Agent(model).run("x")
    assert [(call.agent_name, call.model, call.status, call.prompt_tokens) for call in calls] == [
        ("judge", "gpt-4.1", "error" if fails_to_judge else "success", None if fails_to_judge else 10),
        ("writer", "gpt-4o", "success", 100),
    ]
    assert [(each.model, each.retry_reason, each.fallback_reason) for each in attempts] == [
        ("gpt-4.1", None, None),
        ("gpt-4o", None, None),
    ]
    assert [(end.agent_name, end.llm_calls, end.own_prompt_tokens) for end in ended] == [
        ("judge", 1, 0 if fails_to_judge else 10),
        ("writer", 2, 100),
    ]


def with_no_retries(server: OpenAIServer, name: str) -> Model:
    provider = OpenAIProvider(base_url=server.base_url, api_key="none")
    return OpenAIChatModel(name, provider=provider, settings=NO_RETRIES)


async def test_a_chain_inside_pydantic_ais_own_wrapper_shows_its_members(server: OpenAIServer) -> None:
    limited = {"x-ratelimit-limit-requests": "70", "x-ratelimit-remaining-requests": "7"}
    server.behaviour = [fails(500), replace(fails(429), headers=limited)]
    chain = FallbackModel(with_no_retries(server, "gpt-4o"), with_no_retries(server, "gpt-4.1"))
    model = instrument(ConcurrencyLimitedModel(chain, limiter=2))
    with llm_attempted.captured() as attempts, llm_called.captured() as calls, suppress(Exception):
        await model.request(PROMPT, None, ModelRequestParameters())
    assert [(each.model, each.outcome, each.limit_requests) for each in attempts] == [
        ("gpt-4o", "error", None),
        ("gpt-4.1", "rate_limited", 70),
    ]
    assert [(call.model, call.error_type) for call in calls] == [("gpt-4.1", "rate_limited")]


class Chain(FallbackModel):
    """A chain of somebody's own, whose members nobody can wrap."""


async def test_a_rate_limit_of_nobody_known_is_nobodys(server: OpenAIServer) -> None:
    limited = {"x-ratelimit-limit-requests": "70", "x-ratelimit-remaining-requests": "7"}
    server.behaviour = [fails(500), replace(fails(429), headers=limited)]
    model = instrument(Chain(with_no_retries(server, "gpt-4o"), with_no_retries(server, "gpt-4.1")))
    with llm_attempted.captured() as attempts, suppress(Exception):
        await model.request(PROMPT, None, ModelRequestParameters())
    assert [each.limit_requests for each in attempts] == [None]
