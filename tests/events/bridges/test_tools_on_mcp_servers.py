"""A tool on an MCP server is told once, by the bridge to the agents' library that calls it through the SDK's client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_ai import Agent, FunctionToolset
from pydantic_ai.models.test import TestModel

from events import ToolCalled, tool_called
from events.bridges.langchain import instrument as instrument_langchain
from events.bridges.mcp import instrument as instrument_mcp
from events.bridges.pydantic_ai import instrument as instrument_model
from tests.support.mcp_tools import NAME, Served, make_server

pytestmark = [pytest.mark.models("mcp"), pytest.mark.slow]


@pytest.fixture
def told() -> Iterator[list[ToolCalled]]:
    """Record the uses of tools."""
    with tool_called.captured() as events:
        yield events


def used(told: list[ToolCalled]) -> list[tuple[str, str, str | None]]:
    return [(each.tool_name, each.status, each.mcp_server) for each in told]


async def test_by_an_agent_of_pydantic_ai(told: list[ToolCalled]) -> None:
    from mcp import Client

    served = Served()
    toolset: FunctionToolset[Any] = FunctionToolset()
    with instrument_mcp():
        async with Client(make_server(served)) as client:

            async def forecast(city: str) -> str:
                return str((await client.call_tool("forecast", {"city": city})).content)

            async def history(city: str) -> str:
                return str((await client.call_tool("history", {"city": city})).content)

            for tool in (forecast, history):
                toolset.add_function(tool)
            agent = Agent(instrument_model(TestModel()), toolsets=[toolset.prefixed("weather")])
            await agent.run("x")
    assert sorted(served.tools) == ["forecast", "history"]
    assert sorted(used(told)) == [("weather_forecast", "success", NAME), ("weather_history", "error", NAME)]


@pytest.mark.models("langchain_core")
async def test_by_langchain(told: list[ToolCalled]) -> None:
    from langchain_core.tools import StructuredTool
    from mcp import Client

    served = Served()
    with instrument_mcp(), instrument_langchain():
        async with Client(make_server(served)) as client:

            async def call(city: str) -> str:
                """Ask the server."""
                result = await client.call_tool("forecast", {"city": city})
                return str(result.content)

            async def research(city: str) -> str:
                """Ask the server's tool of another name."""
                return str((await client.call_tool("history", {"city": city})).content)

            await StructuredTool.from_function(coroutine=call, name="weather_forecast").ainvoke({"city": "Oslo"})
            await StructuredTool.from_function(coroutine=research).ainvoke({"city": "Oslo"})
            await client.call_tool("forecast", {"city": "Oslo"})
    assert served.tools == ["forecast", "history", "forecast"]
    assert used(told) == [
        ("weather_forecast", "success", NAME),
        ("history", "error", NAME),
        ("research", "success", None),
        ("forecast", "success", NAME),
    ]
