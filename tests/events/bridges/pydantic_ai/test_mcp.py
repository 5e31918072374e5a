"""A tool that is on an MCP server is told with the server's name, however its toolset is wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic_ai import Agent, FunctionToolset, RunContext
from pydantic_ai.models.test import TestModel
from pydantic_ai.toolsets import AbstractToolset, CombinedToolset, ToolsetTool, WrapperToolset

from events import ToolCalled, receiver_failed, tool_called
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.tool_calls import mcp_server
from metrics import TOOLS, subscribe

Toolset = AbstractToolset[Any]


@pytest.fixture
def used() -> Iterator[list[ToolCalled]]:
    """Record the uses of tools."""
    with tool_called.captured() as events:
        yield events


class ServerToolset(FunctionToolset[Any]):
    """Stands for pydantic-ai's toolset of an MCP server, which needs a package that may not be installed."""


ServerToolset.__module__ = "pydantic_ai.mcp"


class OwnServerToolset(ServerToolset):
    """A toolset that an application derives from pydantic-ai's."""


def server(kind: type[ServerToolset] = ServerToolset, **options: Any) -> ServerToolset:
    """Return the toolset of a server with one tool."""
    toolset = kind(**options)

    @toolset.tool_plain
    async def look_up() -> str:
        return "found"

    return toolset


def local() -> FunctionToolset[Any]:
    """Return a toolset of functions."""
    toolset: FunctionToolset[Any] = FunctionToolset(id="local")

    @toolset.tool_plain
    async def count() -> str:
        return "one"

    return toolset


def dynamic(context: RunContext[Any]) -> Toolset:
    """Return the toolset of a run."""
    return server(id="facts").prefixed("of")


WAYS: dict[str, tuple[Callable[[], Toolset], str]] = {
    "plain": (lambda: server(id="facts"), "look_up"),
    "of its own class": (lambda: server(OwnServerToolset, id="facts"), "look_up"),
    "prefixed": (lambda: server(id="facts").prefixed("p"), "p_look_up"),
    "renamed": (lambda: server(id="facts").renamed({"search": "look_up"}), "search"),
    "filtered": (lambda: server(id="facts").filtered(lambda _, tool: bool(tool.name)), "look_up"),
    "wrapped": (lambda: WrapperToolset(WrapperToolset(server(id="facts"))), "look_up"),
    "combined": (lambda: CombinedToolset([local(), server(id="facts")]), "look_up"),
    "combined and prefixed": (lambda: CombinedToolset([local(), server(id="facts")]).prefixed("p"), "p_look_up"),
    "prefixed twice": (lambda: CombinedToolset([server(id="facts").prefixed("q")]).prefixed("p"), "p_q_look_up"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_tool_has_the_name_of_its_server(way: str, used: list[ToolCalled]) -> None:
    make, name = WAYS[way]
    await Agent(instrument(TestModel()), toolsets=[make()]).run("x")
    assert (name, "facts", "success") in [(each.tool_name, each.mcp_server, each.status) for each in used]
    assert {each.mcp_server for each in used if each.tool_name.endswith("count")} <= {None}


async def test_a_toolset_that_is_made_for_each_run_has_the_name_of_its_server(used: list[ToolCalled]) -> None:
    agent = Agent(instrument(TestModel()))
    agent.toolset(dynamic)
    await agent.run("x")
    assert [(each.tool_name, each.mcp_server) for each in used] == [("of_look_up", "facts")]


async def test_a_server_without_an_id_is_called_what_it_calls_itself(used: list[ToolCalled]) -> None:
    named, nameless = server(), server()
    named.server_info = type("Implementation", (), {"name": "weather"})  # type: ignore[attr-defined]  # as pydantic-ai's
    for toolset in (named, nameless):
        await Agent(instrument(TestModel()), toolsets=[toolset]).run("x")
    assert [each.mcp_server for each in used] == ["weather", "unknown"]


async def test_uses_are_counted_by_server_and_tool() -> None:
    registry = CollectorRegistry()
    with subscribe(TOOLS, registry, namespace="x"):
        await Agent(instrument(TestModel()), toolsets=[server(id="facts"), local()]).run("x")
        counted = {
            (sample.labels["mcp_server"], sample.labels["tool_name"]): sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "x_tool_calls_total" and sample.labels["status"] == "success"
        }
    assert counted == {("facts", "look_up"): 1.0, ("none", "count"): 1.0}


@pytest.mark.sdk("fastmcp")
async def test_a_real_server_is_named_by_its_id_or_by_what_it_calls_itself(used: list[ToolCalled]) -> None:
    """Asked through pydantic-ai's own client, in this process."""
    import fastmcp
    from pydantic_ai.mcp import MCPToolset

    application = fastmcp.FastMCP("weather")

    def forecast(city: str) -> str:
        return f"rain in {city}"

    application.tool(forecast)
    agents = [
        Agent(instrument(TestModel(call_tools=["forecast"])), toolsets=[MCPToolset(application)]),
        Agent(instrument(TestModel(call_tools=["forecast"])), toolsets=[MCPToolset(application, id="forecasts")]),
        Agent(instrument(TestModel(call_tools=["w_forecast"])), toolsets=[MCPToolset(application).prefixed("w")]),
    ]
    for agent in agents:
        await agent.run("x")
    assert [(each.tool_name, each.mcp_server, each.status) for each in used] == [
        ("forecast", "weather", "success"),
        ("forecast", "forecasts", "success"),
        ("w_forecast", "weather", "success"),
    ]


def tool_of(toolset: Toolset) -> ToolsetTool[Any]:
    """Return a tool, of which nothing but the toolset is read."""
    return ToolsetTool(toolset=toolset, tool_def=Any, max_retries=1, args_validator=Any)  # type: ignore[arg-type]


def test_a_tool_of_no_toolset_that_is_known_has_no_server() -> None:
    assert mcp_server(tool_of(local())) is None
    assert mcp_server(tool_of(CombinedToolset([local(), server(id="facts")]))) is None


@pytest.mark.lenient
def test_a_toolset_that_cannot_be_asked_is_reported() -> None:
    with receiver_failed.captured() as failures:
        assert mcp_server(tool_of(object())) is None  # type: ignore[arg-type]  # what another version may have
    assert [(failure.signal, failure.receiver) for failure in failures] == [("tool_called", "pydantic_ai")]
