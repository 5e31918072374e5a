"""Remote models are streamed inside of the studio, so that their first tokens are seen; what is around them holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from app.agents import AgentFailed, AgentTimedOut, execute
from app.llm.factory import open_model
from app.llm.streaming import StreamingModel
from app.settings import Settings
from events import AgentFinished, LLMAttempted, LLMCalled, agent_finished, llm_attempted, llm_called
from events.bridges.pydantic_ai import instrument
from tests.backend.agents.conftest import BRIEF
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, fails, says, sends, sends_completion, stalls

pytestmark = pytest.mark.slow

CANNOT_STREAM = fails(
    400,
    "Your organization must be verified to stream this model.",
    type="invalid_request_error",
    param="stream",
    code="unsupported_value",
)
"""As OpenAI says it: https://help.openai.com/en/articles/10910291-api-organization-verification"""


EVENTS = "text/event-stream"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    """Record the calls of models."""
    with llm_called.captured() as seen:
        yield seen


@pytest.fixture
def attempts() -> Iterator[list[LLMAttempted]]:
    """Record the attempts at calls."""
    with llm_attempted.captured() as seen:
        yield seen


@pytest.fixture
def finished() -> Iterator[list[AgentFinished]]:
    """Record the ends of agents."""
    with agent_finished.captured() as seen:
        yield seen


@asynccontextmanager
async def opened(server: OpenAIServer, **settings: Any) -> AsyncIterator[Model]:
    """Open the studio's model at the server."""
    values: dict[str, Any] = {"llm": "openai:m", "llm_base_url": server.base_url, "llm_retries": 0, **settings}
    llm = await open_model(Settings(**values))
    try:
        yield llm.model
    finally:
        await llm.close()


async def ask(model: Model) -> str:
    """Run an agent and return its answer."""
    return (await execute("copywriter", BRIEF, model=model, library=FakeLibrary())).text


async def test_a_remote_models_first_token_and_the_time_between_tokens_are_seen(
    server: OpenAIServer, calls: list[LLMCalled], finished: list[AgentFinished]
) -> None:
    server.behaviour = replace(says("Hear nothing but music."), delay=0.1, pause=0.02)
    async with opened(server) as model:
        assert await ask(model) == "Hear nothing but music."
    assert server.tally.streams == server.tally.requests == 1
    [call], [agent] = calls, finished
    assert call.time_to_first_token is not None
    assert 0.1 <= call.time_to_first_token < (call.duration or 0.0)
    assert call.time_per_output_token is not None
    assert (call.prompt_tokens, call.completion_tokens, call.agent_name) == (11, 7, "copywriter")
    assert agent.llm_time == pytest.approx(call.duration, abs=0.1)


async def test_a_retry_is_streamed_too(
    server: OpenAIServer, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    """The answer that broke off in the middle as well: nobody has read it yet."""
    server.behaviour = [fails(503, retry_after=0.01), says("one two three", break_after=2), says("Hear.")]
    async with opened(server, llm_retries=2, llm_timeout=20) as model:
        assert await ask(model) == "Hear."
    assert [(each.outcome, each.retry_reason) for each in attempts] == [
        ("error", None),
        ("error", "provider_5xx"),
        ("success", "connection"),
    ]
    assert [(call.status, call.attempts) for call in calls] == [("success", 3)]
    assert server.tally.streams == 3


def without_end() -> Reply:
    """Return a stream that ends without the end of its answer, nor its usage."""
    choices = [{"index": 0, "delta": {"role": "assistant", "content": "He"}, "finish_reason": None}]
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m", "choices": choices}
    return sends(f"data: {json.dumps(chunk)}\n\n".encode(), EVENTS)


async def test_a_server_that_ignores_streams_is_read_as_a_whole_and_asked_so_from_then_on(
    server: OpenAIServer, calls: list[LLMCalled]
) -> None:
    message = {"index": 0, "message": {"role": "assistant", "content": "Hear."}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    whole = {"id": "1", "object": "chat.completion", "created": 1_700_000_000, "model": "m", "choices": [message]}
    server.behaviour = sends(json.dumps({**whole, "usage": usage}).encode())
    async with opened(server) as model:
        assert await ask(model) == "Hear."
        assert await ask(model) == "Hear."
    assert [request.stream for request in server.requests] == [True, False, False]
    assert [(call.status, call.prompt_tokens) for call in calls] == [("success", 11)] * 2


@pytest.mark.parametrize(
    "broken",
    [says("one two three", break_after=2), without_end(), sends(b"data: null\n\n", EVENTS), sends(b"<html>"), stalls()],
    ids=["breaks off", "has no end", "is null", "is no stream", "stalls"],
)
async def test_the_next_model_answers_where_a_stream_fails(
    broken: Reply, server: OpenAIServer, calls: list[LLMCalled]
) -> None:
    server.behaviour = lambda request: broken if request.model == "m" else says("Hear.")
    async with opened(server, llm_fallbacks="openai:b", llm_timeout=1.0) as model:
        assert await ask(model) == "Hear."
    attempts = 3 if broken.body == b"<html>" else 2  # where nothing is in a stream, it is asked for as a whole
    assert [(call.model, call.status, call.attempts) for call in calls] == [("b", "success", attempts)]
    assert calls[0].time_to_first_token is not None


async def test_a_stream_that_does_not_end_in_time_is_a_timeout(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    server.behaviour = says("one two three four", stall_after=3)
    async with opened(server, llm_timeout=0.5) as model:
        with pytest.raises(AgentTimedOut, match="does not answer in time"):
            await ask(model)
    assert [(call.status, call.error_type) for call in calls] == [("timeout", "timeout")]
    assert calls[0].time_to_first_token is not None


async def test_a_stream_without_an_end_is_no_answer(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    server.behaviour = without_end()
    async with opened(server) as model:
        with pytest.raises(AgentFailed):
            await ask(model)
    assert {(call.status, call.error_type) for call in calls} == {("error", "invalid_response")}


async def test_a_provider_that_refuses_to_stream_is_asked_without_from_then_on(
    server: OpenAIServer, calls: list[LLMCalled]
) -> None:
    def answer(request: ChatRequest) -> Reply:
        return CANNOT_STREAM if request.stream else says("Hear.")

    server.behaviour = answer
    async with opened(server) as model:
        assert [await ask(model) for _ in range(2)] == ["Hear.", "Hear."]
    assert [request.stream for request in server.requests] == [True, False, False]
    assert [(call.status, call.attempts, call.time_to_first_token) for call in calls] == [
        ("success", 2, None),
        ("success", 1, None),
    ]


async def test_another_refusal_is_no_reason_to_ask_again(server: OpenAIServer) -> None:
    server.behaviour = fails(400, "Unknown parameter: seed.", param="seed")
    async with opened(server) as model:
        with pytest.raises(AgentFailed):
            await ask(model)
    assert server.tally.requests == 1


class WithoutStreams(Model):
    """A model of a class that has no streams."""

    @property
    def model_name(self) -> str:
        return "plain"

    @property
    def system(self) -> str:
        return "tests"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        return ModelResponse(parts=[TextPart("Hear.")])


async def test_a_model_without_streams_is_asked_without(calls: list[LLMCalled]) -> None:
    model = StreamingModel(instrument(WithoutStreams()))
    for _ in range(2):
        response = await model.request([ModelRequest.user_text_prompt("x")], None, ModelRequestParameters())
        assert response.text == "Hear."
    assert [call.status for call in calls][-2:] == ["success", "success"]


async def test_a_typed_answer_and_a_tool_are_read_from_a_stream(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    """The arguments of a tool come in pieces."""

    def answer(request: ChatRequest) -> Reply:
        tool = request.body["tools"][-1]["function"]["name"]
        call = {"id": "c", "type": "function", "function": {"name": tool, "arguments": '{"verdict": "approved"}'}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return sends_completion({"id": "1", "model": "m", "choices": [choice], "usage": usage})

    server.behaviour = answer
    async with opened(server) as model:
        result = await execute("reviewer", BRIEF, model=model, library=FakeLibrary())
    assert result.output == {"verdict": "approved"}
    assert (calls[0].prompt_tokens, calls[0].completion_tokens, calls[0].finish_reason) == (3, 2, "tool_calls")
    assert calls[0].time_to_first_token is not None
