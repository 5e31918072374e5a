"""An agent around an instrumented model has its phases and its tools' uses, by nothing but the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, FunctionToolset, ModelRetry
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ToolFailed
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider

from events import AgentFinished, ToolCalled, agent_finished, agent_run, llm_called, receiver_failed, tool_called
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.tool_calls import ObservedToolset
from tests.support.openai_server import OpenAIServer, Reply, calls_tool, fails, says

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """Run a model's server."""
    with OpenAIServer([]) as server:
        yield server


@pytest.fixture
def finished() -> Iterator[list[AgentFinished]]:
    """Record the ends of agents."""
    with agent_finished.captured() as events:
        yield events


@pytest.fixture(autouse=True)
def used() -> Iterator[list[ToolCalled]]:
    """Record the uses of tools."""
    with tool_called.captured() as events:
        yield events


def model_at(server: OpenAIServer, name: str = "m") -> OpenAIChatModel:
    """Return a model of the server, whose SDK does not retry."""
    provider = OpenAIProvider(base_url=server.base_url, api_key="none")
    return OpenAIChatModel(name, provider=provider, settings={"max_retries": 0})


def agent_with_tool(model: Model, seconds: float = 0.2) -> Agent:
    """Return an agent with a tool that takes some seconds."""
    agent = Agent(model)

    @agent.tool_plain
    async def look_up() -> str:
        await asyncio.sleep(seconds)
        return "found"

    return agent


async def test_the_phases_of_an_agent_are_those_of_its_model_and_tools(
    server: OpenAIServer, finished: list[AgentFinished]
) -> None:
    server.behaviour = [calls_tool("look_up", {}, delay=0.1), says(delay=0.2)]
    with agent_run(agent_name="a"):
        await agent_with_tool(instrument(model_at(server)), 0.15).run("x")
    [end] = finished
    phases = [end.llm_time or 0.0, end.tool_time or 0.0, end.backoff_time or 0.0, end.self_time or 0.0]
    assert sum(phases) == pytest.approx(end.duration, abs=1e-6)
    assert phases[0] >= 0.3
    assert phases[2] == pytest.approx(0.0, abs=0.05)


async def test_an_agent_waits_while_its_sdk_does(server: OpenAIServer, finished: list[AgentFinished]) -> None:
    """Attempts that an SDK sends again by itself are told as they fail, not all at the end of the call."""
    server.behaviour = [replace(fails(429, retry_after=0.4), delay=0.2), says(delay=0.2)]
    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))
    with agent_run(agent_name="a"):
        await Agent(instrument(model)).run("x")
    [end] = finished
    assert (end.llm_time or 0.0) >= 0.4
    assert 0.35 <= (end.backoff_time or 0.0) <= end.duration - 0.4


async def test_an_agents_tools_are_told_by_the_bridge_alone(
    server: OpenAIServer, finished: list[AgentFinished], used: list[ToolCalled]
) -> None:
    """Plain, streamed, and of a chain whose members are instrumented too."""
    model = model_at(server)
    for asked in (instrument(model), instrument(FallbackModel(model, model_at(server, "b"))), nested(model)):
        for streamed in (False, True):
            used.clear()
            server.behaviour = [calls_tool("look_up", {}), says()]
            agent = agent_with_tool(asked, 0.05)
            with agent_run(agent_name="a"):
                if streamed:
                    async with agent.run_stream("x") as stream:
                        await stream.get_output()
                else:
                    await agent.run("x")
            assert [(each.tool_name, each.status, each.error, each.agent_name, each.mcp_server) for each in used] == [
                ("look_up", "success", "", "a", None)
            ]
            assert 0.05 <= used[0].duration < 5
            assert (finished[-1].tool_calls, finished[-1].llm_calls) == (1, 2)
            assert (finished[-1].tool_time or 0) >= 0.05


def nested(model: Model) -> Model:
    """Return a model that is instrumented three times, which a wrapper of somebody else's hides."""
    return instrument(WrapperModel(instrument(WrapperModel(instrument(model)))))


async def test_each_of_many_uses_in_parallel_and_in_turn_is_told_once(
    server: OpenAIServer, finished: list[AgentFinished], used: list[ToolCalled]
) -> None:
    twice = Reply(tool_calls=(("look_up", {}), ("look_up", {})))
    server.behaviour = [twice, calls_tool("look_up", {}), calls_tool("look_up", {}), says()]
    with agent_run(agent_name="a"):
        await agent_with_tool(instrument(model_at(server)), 0.2).run("x")
    assert len(used) == finished[0].tool_calls == 4
    assert 0.6 <= (finished[0].tool_time or 0) < sum(each.duration for each in used)  # two of them side by side


async def test_agents_that_share_a_model_and_a_toolset_tell_their_own_uses(
    server: OpenAIServer, used: list[ToolCalled]
) -> None:
    toolset, model = FunctionToolset(), instrument(model_at(server))

    @toolset.tool_plain
    async def look_up() -> str:
        return "found"

    agents = [Agent(model, toolsets=[toolset]) for _ in range(2)]
    for _ in range(2):
        for number, agent in enumerate(agents):
            server.behaviour = [calls_tool("look_up", {}), says()]
            with agent_run(agent_name=f"agent {number}"):
                await agent.run("x")
    assert [each.agent_name for each in used] == ["agent 0", "agent 1"] * 2


async def test_an_agent_that_is_a_tool_of_another_counts_as_one_and_tells_its_own(
    server: OpenAIServer, finished: list[AgentFinished], used: list[ToolCalled]
) -> None:
    model = instrument(model_at(server))
    inner, outer = agent_with_tool(model, 0.1), Agent(model)

    @outer.tool_plain
    async def delegate() -> str:
        with agent_run(agent_name="inner"):
            return (await inner.run("y")).output

    server.behaviour = [calls_tool("delegate", {}), calls_tool("look_up", {}), says(), says()]
    with agent_run(agent_name="outer"):
        await outer.run("x")
    assert [(each.agent_name, each.tool_name) for each in used] == [("inner", "look_up"), ("outer", "delegate")]
    assert [(end.agent_name, end.tool_calls, end.llm_calls) for end in finished] == [("inner", 1, 2), ("outer", 2, 4)]
    for end in finished:
        phases = [end.llm_time or 0.0, end.tool_time or 0.0, end.backoff_time or 0.0, end.self_time or 0.0]
        assert sum(phases) == pytest.approx(end.duration, abs=1e-6)
        assert phases[1] >= 0.1


class Facts(BaseModel):
    """A typed output."""

    facts: str


async def test_an_output_tool_is_no_use_of_a_tool(server: OpenAIServer, used: list[ToolCalled]) -> None:
    server.behaviour = [calls_tool("look_up", {}), calls_tool("final_result", {"facts": "none"})]
    agent = Agent(instrument(model_at(server)), output_type=Facts)

    @agent.tool_plain
    async def look_up() -> str:
        return "found"

    with agent_run(agent_name="a"):
        assert (await agent.run("x")).output == Facts(facts="none")
    assert [each.tool_name for each in used] == ["look_up"]


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (ModelRetry("again"), "error", "ModelRetry"),
        (ToolFailed("broken"), "error", "ToolFailed"),
        (ValueError("broken"), "error", "ValueError"),
        (TimeoutError(), "timeout", "TimeoutError"),
        (asyncio.CancelledError(), "cancelled", "CancelledError"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
async def test_a_tool_that_fails_is_told_with_the_class_of_its_error(
    error: BaseException, status: str, name: str, server: OpenAIServer, used: list[ToolCalled]
) -> None:
    server.behaviour = [calls_tool("look_up", {}), says()]
    agent = Agent(instrument(model_at(server)))

    @agent.tool_plain
    async def look_up() -> str:
        raise error

    with suppress(type(error)):
        await agent.run("x")
    assert [(each.tool_name, each.status, each.error) for each in used] == [("look_up", status, name)]


async def test_a_tools_own_time_limit_is_a_timeout(server: OpenAIServer, used: list[ToolCalled]) -> None:
    server.behaviour = [calls_tool("look_up", {}), says()]
    agent = Agent(instrument(model_at(server)))

    @agent.tool_plain(timeout=0.05)
    async def look_up() -> str:
        await asyncio.sleep(10)
        return ""

    await agent.run("x")
    assert [(each.status, each.error) for each in used] == [("timeout", "ModelRetry")]


async def test_a_tool_in_a_thread_is_told_too(server: OpenAIServer, used: list[ToolCalled]) -> None:
    server.behaviour = [calls_tool("look_up", {}), says()]
    agent = Agent(instrument(model_at(server)))

    @agent.tool_plain
    def look_up() -> str:
        return "found"

    with agent_run(agent_name="a"):
        await agent.run("x")
    assert [(each.tool_name, each.agent_name) for each in used] == [("look_up", "a")]


@pytest.mark.parametrize("reason", [ApprovalRequired, CallDeferred])
async def test_a_tool_that_is_put_off_was_not_used(
    reason: type[Exception], server: OpenAIServer, used: list[ToolCalled]
) -> None:
    server.behaviour = calls_tool("look_up", {})
    agent = Agent(instrument(model_at(server)), output_type=[str, DeferredToolRequests])

    @agent.tool_plain
    async def look_up() -> str:
        raise reason

    assert isinstance((await agent.run("x")).output, DeferredToolRequests)
    assert not used


async def test_tools_that_emit_by_themselves_count_once(server: OpenAIServer, used: list[ToolCalled]) -> None:
    """The outermost wrapper decides."""
    for model in (model_at(server), FallbackModel(model_at(server), model_at(server, "b")), nested(model_at(server))):
        used.clear()
        server.behaviour = [calls_tool("look_up", {}), says()]
        agent = Agent(instrument(WrapperModel(model), emit_tool_calls=False))

        @agent.tool_plain
        async def look_up() -> str:
            tool_called.emit(tool_name="mine", status="success", duration=0.0)
            return "found"

        await agent.run("x")
        assert [each.tool_name for each in used] == ["mine"]


@pytest.mark.lenient
@pytest.mark.parametrize("missing", ["get_current_run_context", "tool_manager"])
async def test_another_version_without_the_way_to_tools_is_reported_once_and_harms_nothing(
    missing: str, server: OpenAIServer, used: list[ToolCalled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.bridges.pydantic_ai.tool_calls._reported", set())
    if missing == "tool_manager":
        monkeypatch.setattr("events.bridges.pydantic_ai.tool_calls.current_run_context", SimpleNamespace)
    else:
        monkeypatch.delattr("pydantic_ai._run_context.get_current_run_context")
    model = model_at(server)
    with receiver_failed.captured() as failures, llm_called.captured() as calls:
        for _ in range(3):
            server.behaviour = [calls_tool("look_up", {}), says()]
            assert (await agent_with_tool(instrument(model), 0.0).run("x")).output
    assert [(failure.signal, failure.receiver) for failure in failures] == [("tool_called", "pydantic_ai")]
    assert [call.status for call in calls] == ["success"] * 6
    assert not used


async def test_a_request_without_an_agent_has_no_tools(server: OpenAIServer, used: list[ToolCalled]) -> None:
    server.behaviour = says()
    await model_request(instrument(model_at(server)), [ModelRequest.user_text_prompt("x")])
    assert not used


async def test_a_toolset_in_messages_is_named_as_before(server: OpenAIServer) -> None:
    toolset: FunctionToolset[Any] = FunctionToolset(id="facts")
    assert ObservedToolset(toolset).label == toolset.label
