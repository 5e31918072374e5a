"""The spans of what the bridges to libraries of agents emit: each under what it is done for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer, Reply, Usage, says
from tests.support.recorded_spans import RecordedSpans
from traces import trace_events

pytestmark = pytest.mark.slow

USAGE = Usage(prompt=100, completion=20)
TWO_TOOLS = Reply(tool_calls=(("add", {"one": 1, "other": 2}), ("add", {"one": 3, "other": 4})), usage=USAGE)
QUESTION = {"messages": [("human", "hi")]}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer([TWO_TOOLS, says(usage=USAGE)]) as server:
        yield server


@pytest.fixture
def provider() -> Iterator[RecordedSpans]:
    provider = RecordedSpans()
    with trace_events(provider):
        yield provider


def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


def shape(provider: RecordedSpans) -> list[tuple[str, str | None]]:
    """Return the kind of each span by its first word, with that of the span around it; all have ended."""
    names = {span.context.span_id: span.name.split()[0] for span in provider.spans}
    assert len(provider.ended) == len(provider.spans)
    return sorted((names[span.context.span_id], names.get(span.parent_id or 0)) for span in provider.spans)


EXPECTED = [
    ("attempt", "chat"),
    ("attempt", "chat"),
    ("chat", "invoke_agent"),
    ("chat", "invoke_agent"),
    ("execute_tool", "invoke_agent"),
    ("execute_tool", "invoke_agent"),
    ("invoke_agent", "request"),
    ("request", None),
]


@pytest.mark.models("langchain", "langgraph", "langchain_openai")
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_an_agent_of_langchain(server: OpenAIServer, provider: RecordedSpans, way: str) -> None:
    from events.bridges.langchain import instrument
    from tests.support.langchain_models import agent

    async def read(graph: Any) -> None:
        async for _ in graph.astream(QUESTION):
            pass

    with instrument(price=None), provider.start_as_current_span("request"):
        graph = agent(server, "adder", [add])
        match way:
            case "ainvoke":
                asyncio.run(graph.ainvoke(QUESTION))
            case "astream":
                asyncio.run(read(graph))
            case "stream":
                for _ in graph.stream(QUESTION):
                    pass
            case _:
                graph.invoke(QUESTION)
    assert shape(provider) == EXPECTED


@pytest.mark.models("agents")
async def test_an_agent_of_the_openai_agents_sdk(server: OpenAIServer, provider: RecordedSpans) -> None:
    import agents
    from openai import AsyncOpenAI

    from events.bridges.openai_agents import instrument

    agents.set_trace_processors([])  # its own would send them to OpenAI
    client = AsyncOpenAI(base_url=server.base_url, api_key="none")
    model = agents.OpenAIChatCompletionsModel(model="m", openai_client=client)
    adder: Any = agents.Agent(name="adder", model=model, tools=[agents.function_tool(add)])
    with instrument(price=None), provider.start_as_current_span("request"):
        await agents.Runner.run(adder, "hi")
    await client.close()
    assert shape(provider) == EXPECTED


async def test_an_agent_of_pydantic_ai(server: OpenAIServer, provider: RecordedSpans) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    from events import agent_run
    from events.bridges.pydantic_ai import instrument

    model = instrument(OpenAIChatModel("m", provider=OpenAIProvider(base_url=server.base_url, api_key="none")))
    adder = Agent(model, tools=[add])
    with provider.start_as_current_span("request"), agent_run(agent_name="adder"):
        await adder.run("hi")
    assert shape(provider) == EXPECTED
