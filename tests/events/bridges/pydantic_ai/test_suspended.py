"""A response that is polled for is one call with one attempt, from its first request until the answer is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic_ai import Agent
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelRequest, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.models.test import TestModel
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
)
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.suspended import SuspendedRequests
from metrics import LLM, subscribe
from tests.support.job_server import POLLS, BackgroundServer
from tests.support.samples import summed
from tests.support.wait import until

COST = (1000 * 0.15 + 200 * 0.60) / 1e6  # https://platform.openai.com/docs/pricing
PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Think for long.")]


@pytest.fixture(autouse=True)
def poll_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydantic_ai.models.openai._responses_model._OPENAI_BACKGROUND_POLL_INTERVAL", 0.01)


@pytest.fixture
def server() -> Iterator[BackgroundServer]:
    with BackgroundServer() as running:
        yield running


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


def background(server: BackgroundServer) -> Model:
    return OpenAIResponsesModel(
        "gpt-4o-mini",
        provider=OpenAIProvider(base_url=server.base_url, api_key="none"),
        settings=OpenAIResponsesModelSettings(openai_background=True),
    )


WRAPPED: dict[str, Callable[[Model], Model]] = {
    "alone": instrument,
    "limited": lambda model: instrument(ConcurrencyLimitedModel(model, 1)),
    "first of a chain": lambda model: instrument(FallbackModel(model, TestModel())),
    "member of a chain": lambda model: FallbackModel(instrument(model), TestModel()),
}


@pytest.mark.parametrize("how", WRAPPED)
async def test_a_response_that_is_polled_for_is_one_call(
    how: str,
    server: BackgroundServer,
    calls: list[LLMCalled],
    attempts: list[LLMAttempted],
    finished: list[AgentFinished],
) -> None:
    agent, registry = Agent(WRAPPED[how](background(server))), CollectorRegistry()
    with (
        subscribe(LLM, registry, namespace="sparklio"),
        llm_call_started.captured() as started,
        agent_run(agent_name="writer"),
    ):
        await agent.run("Think for long.")
        samples = [sample for family in registry.collect() for sample in family.samples]
    assert len(server.paths) == 1 + POLLS + 1
    [call], [attempt] = calls, attempts
    assert [each.call_id for each in started] == [call.call_id] == [attempt.call_id]
    assert (call.status, call.attempts, call.prompt_tokens, call.completion_tokens) == ("success", 1, 1000, 200)
    assert call.cost == pytest.approx(COST)
    assert call.duration is not None
    assert call.duration >= 0.03
    assert attempt.duration == pytest.approx(call.duration, abs=0.05)
    [agent_event] = finished
    assert (agent_event.llm_calls, agent_event.own_prompt_tokens) == (1, 1000)
    assert (agent_event.llm_time or 0.0) >= 0.03
    assert summed(samples, "llm_requests_total", "status") == {("success",): 1}
    assert summed(samples, "llm_active_requests", "model") == {}


@pytest.mark.parametrize("how", WRAPPED)
async def test_a_stream_that_is_resumed_is_one_call(
    how: str,
    server: BackgroundServer,
    calls: list[LLMCalled],
    attempts: list[LLMAttempted],
    finished: list[AgentFinished],
) -> None:
    agent = Agent(WRAPPED[how](background(server)))
    with agent_run(agent_name="writer"):
        async with agent.run_stream("Think for long.") as stream:
            assert await stream.get_output() == "An answer."
    assert len(server.paths) == 2
    [call], [attempt] = calls, attempts
    assert (call.status, call.streamed, call.attempts, call.prompt_tokens) == ("success", True, 1, 1000)
    assert call.cost == pytest.approx(COST)
    assert call.time_to_first_token is not None
    assert attempt.outcome == "success"
    assert finished[0].own_prompt_tokens == 1000


async def test_a_job_that_fails_is_a_call_that_failed(
    server: BackgroundServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    server.final_status = "failed"
    with pytest.raises(AgentRunError):
        await Agent(instrument(background(server))).run("Think for long.")
    assert [call.status for call in calls] == ["error"]
    assert [attempt.outcome for attempt in attempts] == ["error"]


async def test_a_job_that_is_cancelled_ends_its_call(
    server: BackgroundServer, calls: list[LLMCalled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "has_ended", lambda: False)
    running = asyncio.create_task(Agent(instrument(background(server))).run("Think for long."))
    await until(lambda: len(server.paths) > 2)
    assert not calls
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [call.status for call in calls] == ["cancelled"]


async def test_a_job_that_another_process_began_is_a_call_without_a_time(
    server: BackgroundServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    first = background(server)
    pending = await first.request(PROMPT, first.settings, ModelRequestParameters())
    messages = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json([*PROMPT, pending]))
    model = instrument(background(server))
    for _ in range(POLLS + 1):
        answer: Any = await model.request(messages, model.settings, ModelRequestParameters())
    assert isinstance(answer, ModelResponse)
    assert answer.state == "complete"
    assert [(call.status, call.duration, call.prompt_tokens) for call in calls] == [("success", None, 1000)]
    assert [attempt.duration for attempt in attempts] == [None]


async def test_of_too_many_jobs_the_oldest_is_given_up(
    server: BackgroundServer, calls: list[LLMCalled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SuspendedRequests, "MAX_REQUESTS", 0)
    model = instrument(background(server))
    await model.request(PROMPT, model.settings, ModelRequestParameters())
    assert [call.status for call in calls] == ["cancelled"]
