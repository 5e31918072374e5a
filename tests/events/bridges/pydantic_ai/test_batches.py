"""Each request that a batch API answers is a call: billed at the batch price, and with no time of the model's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from pydantic_ai import Agent, ConcurrencyLimiter
from pydantic_ai.capabilities import BatchModelRequests
from pydantic_ai.direct import model_request_batch
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.models._batch_codec import BatchJobError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.batch import Batch, BatchRequest
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from events import (
    AgentFinished,
    LLMAttempted,
    LLMCalled,
    agent_finished,
    agent_run,
    llm_attempted,
    llm_call_started,
    llm_called,
    tool_called,
)
from events.bridges.pydantic_ai import instrument
from metrics import LLM, subscribe
from tests.support.job_server import Answers, AnthropicBatchServer, OpenAIBatchServer
from tests.support.openai_server import Usage, fails, says
from tests.support.samples import summed

QUICKLY: dict[str, Any] = {
    "poll_interval": timedelta(milliseconds=5),
    "max_poll_interval": timedelta(milliseconds=5),
    "max_resubmissions": 0,
}


def openai(server: OpenAIBatchServer) -> Model:
    return OpenAIResponsesModel("gpt-4o-mini", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))


def anthropic(server: AnthropicBatchServer) -> Model:
    return AnthropicModel("claude-haiku-4-5", provider=AnthropicProvider(base_url=server.address, api_key="none"))


ANSWER = says("An answer.", usage=Usage(1000, 200, cached=600))
# fmt: off
PROVIDERS: dict[str, tuple[Any, Any, float, Answers]] = {
    # Half the price of plain requests: platform.openai.com/docs/pricing (there the cache makes it no cheaper still),
    # platform.claude.com/docs/en/about-claude/pricing.
    "openai": (OpenAIBatchServer, openai, (1000 * 0.15 + 200 * 0.60) / 2e6, {
        "answered": ANSWER,
        "refused": fails(400, code="invalid_value"),
        "limited": fails(429, code="rate_limit_exceeded"),
        "late": "batch_expired",
        "cancelled": "batch_cancelled",
    }),
    "anthropic": (AnthropicBatchServer, anthropic, (400 * 1.0 + 600 * 0.1 + 200 * 5.0) / 2e6, {
        "answered": ANSWER,
        "refused": fails(400, type="invalid_request_error"),
        "limited": fails(429, type="rate_limit_error"),
        "late": "expired",
        "cancelled": "canceled",
    }),
}
# fmt: on
OUTCOMES = {
    "answered": ("success", None),
    "refused": ("error", "invalid_request"),
    "limited": ("error", "rate_limited"),
    "late": ("timeout", "timeout"),
    "cancelled": ("cancelled", "cancelled"),
}


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


@pytest.fixture
def attempts() -> Iterator[list[LLMAttempted]]:
    with llm_attempted.captured() as captured:
        yield captured


@pytest.fixture
def finished() -> Iterator[list[AgentFinished]]:
    with agent_finished.captured() as captured:
        yield captured


def requests(*prompts: str) -> list[BatchRequest]:
    return [
        BatchRequest(custom_id=str(number), messages=[ModelRequest.user_text_prompt(prompt)])
        for number, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_each_result_of_a_batch_is_a_call_with_its_outcome(
    provider: str, calls: list[LLMCalled], attempts: list[LLMAttempted], finished: list[AgentFinished]
) -> None:
    server_class, make_model, cost, answers = PROVIDERS[provider]
    registry = CollectorRegistry()
    with (
        server_class(answers) as server,
        subscribe(LLM, registry, namespace="sparklio"),
        llm_call_started.captured() as started,
        agent_run(agent_name="writer"),
    ):
        results = await model_request_batch(instrument(make_model(server)), requests(*OUTCOMES), **QUICKLY)
        samples = [sample for family in registry.collect() for sample in family.samples]
    assert [isinstance(result, ModelResponse) for result in results] == [True, False, False, False, False]
    assert [(call.status, call.error_type) for call in calls] == list(OUTCOMES.values())
    assert [attempt.call_id for attempt in attempts] == [call.call_id for call in calls]
    assert [attempt.outcome for attempt in attempts] == ["success", "error", "rate_limited", "timeout", "cancelled"]
    assert {call.model for call in calls} == {make_model(server).model_name}
    answered = calls[0]
    assert answered.cost == pytest.approx(cost)
    assert answered.cost_source == "price_table"
    assert (answered.prompt_tokens, answered.completion_tokens, answered.cache_read_tokens) == (1000, 200, 600)
    assert not any(call.cost or call.prompt_tokens for call in calls[1:])
    # No time is the model's, and nothing is under way while a batch waits.
    assert {call.duration for call in calls} | {attempt.duration for attempt in attempts} == {None}
    assert not started
    assert summed(samples, "llm_request_duration_seconds_count", "model") == {}
    assert summed(samples, "llm_attempt_duration_seconds_count", "outcome") == {}
    # The agent's own.
    [agent] = finished
    assert (agent.llm_calls, agent.own_prompt_tokens) == (5, 1000)
    assert agent.own_cost == pytest.approx(cost)
    assert agent.llm_time == 0


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_agent_that_asks_by_batch_has_its_tokens_and_its_cost(
    provider: str, calls: list[LLMCalled], finished: list[AgentFinished]
) -> None:
    server_class, make_model, cost, answers = PROVIDERS[provider]
    batches = BatchModelRequests(max_requests=1, poll_interval=timedelta(milliseconds=5))
    with server_class(answers) as server:
        agent = Agent(instrument(make_model(server)), capabilities=[batches])
        with agent_run(agent_name="writer"):
            await agent.run("answered")
        with agent_run(agent_name="editor"), pytest.raises(ModelHTTPError):
            await agent.run("refused")
    assert [(call.agent_name, call.status) for call in calls] == [("writer", "success"), ("editor", "error")]
    assert [each.own_cost for each in finished] == [pytest.approx(cost), None]
    assert [each.own_prompt_tokens for each in finished] == [1000, 0]


async def test_the_tools_of_an_agent_that_asks_by_batch_are_seen(calls: list[LLMCalled]) -> None:
    batches = BatchModelRequests(max_requests=1, poll_interval=timedelta(milliseconds=5))
    agent = Agent(instrument(TestModel()), capabilities=[batches])

    @agent.tool_plain
    def look_up(word: str) -> str:
        return word

    with tool_called.captured() as tools:
        await agent.run("Say something.")
    assert [tool.tool_name for tool in tools] == ["look_up"]
    assert [call.status for call in calls] == ["success", "success"]


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_each_request_of_a_batch_that_is_refused_as_a_whole_has_failed(
    provider: str, limited: bool, calls: list[LLMCalled]
) -> None:
    """Once, also where the instrumented model is inside another one."""
    server_class, make_model, _, answers = PROVIDERS[provider]
    with server_class(answers) as server:
        server.refuses = fails(401, code="invalid_api_key")
        asked = instrument(ConcurrencyLimitedModel(make_model(server), 1) if limited else make_model(server))
        with pytest.raises(ModelHTTPError):
            await model_request_batch(asked, requests("answered", "late"), **QUICKLY)
    assert [(call.status, call.error_type) for call in calls] == [("error", "auth")] * 2


async def test_instrumented_models_inside_one_another_count_a_result_once(calls: list[LLMCalled]) -> None:
    server_class, make_model, cost, answers = PROVIDERS["openai"]
    with server_class(answers) as server:
        limited = ConcurrencyLimitedModel(instrument(make_model(server), price=None), ConcurrencyLimiter(1))
        await model_request_batch(instrument(limited), requests("answered"), **QUICKLY)
    [call] = calls
    assert call.cost == pytest.approx(cost)


async def test_each_request_of_a_batch_that_ends_without_results_has_failed_once(calls: list[LLMCalled]) -> None:
    """Whoever waits for one of them asks again for the batch."""

    class Failed(WrapperModel):
        async def batch_results(self, batch: Any) -> Any:
            raise BatchJobError(500, "m")

    asked, batch = instrument(Failed(TestModel())), cast("Batch", SimpleNamespace(id="b", request_count=3))
    for _ in range(2):
        with pytest.raises(BatchJobError):
            await asked.batch_results(batch)
    assert [(call.status, call.error_type) for call in calls] == [("error", "provider_5xx")] * 3


async def test_a_batch_whose_results_cannot_be_asked_for_now_has_not_failed(calls: list[LLMCalled]) -> None:
    class Away(WrapperModel):
        async def batch_results(self, batch: Any) -> Any:
            raise ModelHTTPError(503, "m")

    batch = cast("Batch", SimpleNamespace(id="b", request_count=3))
    with pytest.raises(ModelHTTPError):
        await instrument(Away(TestModel())).batch_results(batch)
    assert calls == []
