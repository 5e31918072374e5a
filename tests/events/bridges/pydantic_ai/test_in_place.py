"""A model that agents have already emits the events of its requests, until that is undone."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider

from events import LLMCalled, llm_attempted, llm_called, tool_called
from events.bridges.pydantic_ai import instrument, instrument_in_place, is_instrumented
from tests.support.openai_server import OpenAIServer, calls_tool, fails, says

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(says("Fine.")) as server:
        yield server


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as events:
        yield events


def model_at(server: OpenAIServer, name: str = "m") -> OpenAIChatModel:
    provider = OpenAIProvider(base_url=server.base_url, api_key="none")
    return OpenAIChatModel(name, provider=provider, settings={"max_retries": 0})


async def test_an_agent_that_has_the_model_need_not_be_made_anew(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    model = model_at(server)
    agent = Agent(model)
    with instrument_in_place(model) as handle:
        assert handle.model is model
        assert isinstance(model, OpenAIChatModel)
        assert (await agent.run("a label")).output == "Fine."
    assert type(model) is OpenAIChatModel
    await agent.run("a label")
    assert [(call.model, call.status, call.streamed) for call in calls] == [("m", "success", False)]
    handle.undo()


async def test_a_stream_and_the_uses_of_tools_are_emitted_too(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    agent = Agent(model_at(server))

    @agent.tool_plain
    def look_up() -> str:
        return "found"

    server.behaviour = [calls_tool("look_up", {}), says("Fine.")]
    with instrument_in_place(agent), tool_called.captured() as used:
        async with agent.run_stream("a label") as stream:
            assert [piece async for piece in stream.stream_text(delta=True)]
    assert [call.streamed for call in calls] == [True, True]
    assert [tool.tool_name for tool in used] == ["look_up"]


async def test_what_is_set_on_the_model_later_holds(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    model = model_at(server)
    with instrument_in_place(model), OpenAIServer(says("Other.")) as other:
        model._provider = model_at(other)._provider
        assert (await Agent(model).run("a label")).output == "Other."
    assert len(calls) == 1


async def test_a_fallback_has_one_call_and_an_attempt_for_each_member(
    server: OpenAIServer, calls: list[LLMCalled]
) -> None:
    server.behaviour = [fails(503), says("Fine.")]
    model = FallbackModel(model_at(server, "first"), model_at(server, "second"))
    with instrument_in_place(model), llm_attempted.captured() as attempts:
        await Agent(model).run("a label")
    assert [call.model for call in calls] == ["second"]
    assert [(attempt.model, attempt.outcome) for attempt in attempts] == [("first", "error"), ("second", "success")]
    assert type(model.models[0]) is OpenAIChatModel


async def test_a_wrapper_of_pydantic_ai_s_is_one_call(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    model = WrapperModel(model_at(server))
    with instrument_in_place(model):
        await Agent(model).run("a label")
    assert [call.model for call in calls] == ["m"]


async def test_twice_is_once(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    model = model_at(server)
    with instrument_in_place(model):
        instrument_in_place(model)
        await Agent(instrument(model)).run("a label")
    assert len(calls) == 1


def test_what_is_instrumented_is_known(server: OpenAIServer) -> None:
    model = model_at(server)
    agent = Agent(model)
    assert not is_instrumented(agent)
    with instrument_in_place(agent):
        assert is_instrumented(model)
        assert is_instrumented(agent)
    assert not is_instrumented(model)
    assert is_instrumented(instrument(model))


async def test_a_copy_is_a_model_of_its_own(server: OpenAIServer, calls: list[LLMCalled]) -> None:
    model = model_at(server)
    with instrument_in_place(model), OpenAIServer(says("Other.")) as other:
        copied = copy.copy(model)
        copied._provider = model_at(other)._provider
        assert (await Agent(copied).run("a label")).output == "Other."
    assert calls == []


@pytest.mark.parametrize("model", ["openai:gpt-4o", None, OpenAIChatModel])
def test_something_else_than_a_model_is_refused(model: Model) -> None:
    with pytest.raises(TypeError, match=r"instrument\(\) takes a"):
        instrument_in_place(model)
    with pytest.raises(TypeError, match="price"):
        instrument_in_place(OpenAIChatModel("m", provider=OpenAIProvider(api_key="none")), price=3)  # type: ignore[arg-type]
