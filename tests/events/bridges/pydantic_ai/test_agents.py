"""An agent around an instrumented model has its phases and its tools' uses, by nothing but the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from events import AgentFinished, agent_finished, agent_run
from events.bridges.pydantic_ai import instrument
from tests.support.openai_server import OpenAIServer, calls_tool, says


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
