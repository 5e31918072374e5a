"""The calls of tools by clients of the real SDK: on stdio, on HTTP over loopback, and in this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from events import ToolCalled, agent_finished, agent_run, tool_called
from events.bridges.mcp import instrument
from tests.support.asgi_server import running_server
from tests.support.mcp_tools import NAME, Served, make_server
from tests.support.wait import until

pytestmark = [pytest.mark.models("mcp"), pytest.mark.slow]

ROOT = Path(__file__).parents[4]


@pytest.fixture
def told() -> Iterator[list[ToolCalled]]:
    """Record the uses of tools."""
    with tool_called.captured() as events:
        yield events


@asynccontextmanager
async def connected(transport: str, served: Served | None = None) -> AsyncIterator[Any]:
    """Connect a client to a server; that on stdio is a process of its own."""
    from mcp import Client, StdioServerParameters
    from mcp.client.streamable_http import streamable_http_client

    if transport == "stdio":
        # `python -m`: the server's process is told nothing but where the module is.
        started = StdioServerParameters(
            command=sys.executable,
            args=["-m", "tests.support.mcp_tools"],
            cwd=ROOT,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        async with Client(started) as client:
            yield client
    elif transport == "http":
        application = make_server(served).streamable_http_app()
        async with (
            running_server(application, lifespan="on") as url,
            Client(streamable_http_client(f"{url}/mcp")) as client,
        ):
            yield client
    else:
        async with Client(make_server(served), mode="legacy" if transport == "memory streams" else "auto") as client:
            yield client


@pytest.mark.parametrize("transport", ["stdio", "http", "memory", "memory streams"])
async def test_each_call_is_told_once_with_the_name_of_the_server(transport: str, told: list[ToolCalled]) -> None:
    with instrument():
        async with connected(transport) as client:
            await client.call_tool("forecast", {"city": "Oslo"})
            await client.session.call_tool("forecast", {"city": "Rome"})
            assert (await client.call_tool("history", {"city": "Oslo"})).is_error
            await client.call_tool(name="nothing", arguments={})
    assert [(each.tool_name, each.status, each.error, each.mcp_server) for each in told] == [
        ("forecast", "success", "", NAME),
        ("forecast", "success", "", NAME),
        ("history", "error", "", NAME),
        ("nothing", "error", "", NAME),
    ]
    assert all(0 < each.duration < 30 for each in told)


@pytest.mark.parametrize("transport", ["http", "memory", "memory streams"])
async def test_twenty_calls_at_once_are_those_that_the_server_served(transport: str, told: list[ToolCalled]) -> None:
    served = Served()
    with instrument():
        async with connected(transport, served) as client:
            calls = [("history" if number % 4 == 0 else "forecast") for number in range(20)]
            await asyncio.gather(*(client.call_tool(name, {"city": "Oslo"}) for name in calls))
    assert sorted(each.tool_name for each in told) == sorted(served.tools)
    assert sum(each.status == "error" for each in told) == 5


@pytest.mark.parametrize("transport", ["stdio", "http", "memory"])
async def test_a_call_whose_time_is_over_is_a_timeout(transport: str, told: list[ToolCalled]) -> None:
    from mcp import MCPError

    with instrument():
        async with connected(transport) as client:
            with pytest.raises(MCPError):
                await client.call_tool("wait", {}, read_timeout_seconds=0.3)
    assert [(each.tool_name, each.status, each.error) for each in told] == [("wait", "timeout", "MCPError")]
    assert 0.25 <= told[0].duration < 20


@pytest.mark.parametrize("transport", ["http", "memory"])
async def test_a_call_that_is_cancelled_is_told_as_such(transport: str, told: list[ToolCalled]) -> None:
    served = Served()
    with instrument():
        async with connected(transport, served) as client:
            calling = asyncio.create_task(client.call_tool("wait", {}))
            await until(lambda: served.tools)
            calling.cancel()
            await asyncio.wait([calling])
    assert [(each.tool_name, each.status, each.error) for each in told] == [("wait", "cancelled", "CancelledError")]


async def test_a_time_limit_around_a_call_cancels_it(told: list[ToolCalled]) -> None:
    with instrument():
        async with connected("memory") as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.call_tool("wait", {})
    assert [(each.tool_name, each.status) for each in told] == [("wait", "cancelled")]


async def test_the_calls_of_a_group_of_sessions_have_the_names_that_the_servers_know(told: list[ToolCalled]) -> None:
    from mcp.client.session_group import ClientSessionGroup

    group = ClientSessionGroup(component_name_hook=lambda name, server: f"{server.name}.{name}")
    with instrument():
        async with connected("memory streams") as client:
            await group.connect_with_session(client.server_info, client.session)
            await group.call_tool(f"{NAME}.forecast", {"city": "Oslo"})
    assert [(each.tool_name, each.mcp_server, each.status) for each in told] == [("forecast", NAME, "success")]


async def test_progress_is_reported_to_the_program_as_before(told: list[ToolCalled]) -> None:
    steps = []

    async def on_progress(progress: float, _total: float | None, _message: str | None) -> None:
        steps.append(progress)

    with instrument():
        async with connected("http") as client:
            result = await client.call_tool("count", {"steps": 3}, progress_callback=on_progress)
    assert (result.structured_content, steps) == ({"result": 3}, [1, 2, 3])
    assert [(each.tool_name, each.status) for each in told] == [("count", "success")]


async def test_a_connection_that_is_closed_meanwhile_is_an_error(told: list[ToolCalled]) -> None:
    from mcp import ClientSession, MCPError
    from mcp.shared.memory import create_client_server_memory_streams

    with instrument():
        async with (
            create_client_server_memory_streams() as ((read, write), (_, server_write)),
            ClientSession(read, write) as session,
        ):
            calling = asyncio.create_task(session.call_tool("forecast", {"city": "Oslo"}))
            await asyncio.sleep(0)
            await server_write.aclose()
            with pytest.raises(MCPError):
                await calling
    assert [(each.status, each.error, each.mcp_server) for each in told] == [("error", "MCPError", "unknown")]


async def test_one_session_alone_may_be_told_under_a_name_of_ones_own(told: list[ToolCalled]) -> None:
    async with connected("memory") as watched, connected("memory") as other:
        with instrument(watched, name="forecasts"):
            for client in (watched, other):
                await client.call_tool("forecast", {"city": "Oslo"})
        await watched.call_tool("forecast", {"city": "Oslo"})
        assert "call_tool" not in vars(watched.session)
    assert [each.mcp_server for each in told] == ["forecasts"]


@pytest.mark.parametrize("class_first", [True, False])
async def test_a_session_that_is_instrumented_twice_tells_its_calls_once(
    class_first: bool, told: list[ToolCalled]
) -> None:
    async with connected("memory") as client:
        if class_first:
            every, one = instrument(), instrument(client.session, name="mine")
        else:
            one, every = instrument(client.session, name="mine"), instrument()
        assert instrument() is every
        assert instrument(client) is one
        await client.call_tool("forecast", {"city": "Oslo"})
        one.undo()
        await client.call_tool("forecast", {"city": "Oslo"})
        every.undo()
        every.undo()
        await client.call_tool("forecast", {"city": "Oslo"})
    assert [each.mcp_server for each in told] == ["mine", NAME]


async def test_an_undone_class_is_as_it_was() -> None:
    from mcp import ClientSession

    before = vars(ClientSession)["call_tool"]
    with instrument():
        assert vars(ClientSession)["call_tool"] is not before
    assert vars(ClientSession)["call_tool"] is before


async def test_what_somebody_else_put_in_place_since_stays() -> None:
    async with connected("memory") as client:
        handle = instrument(client)

        async def other(*_: Any) -> str:
            return "other"

        client.session.call_tool = other
        handle.undo()
        assert await client.session.call_tool("forecast", {}) == "other"


@pytest.mark.lenient
async def test_nothing_is_recorded_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.bridges.mcp.client.ToolUse", None)
    with instrument():
        async with connected("memory") as client:
            assert not (await client.call_tool("forecast", {"city": "Oslo"})).is_error


async def test_calls_are_those_of_the_agent_around(told: list[ToolCalled]) -> None:
    with instrument(), agent_finished.captured() as finished:
        async with connected("http") as client:
            with agent_run(agent_name="forecaster"):
                await client.call_tool("forecast", {"city": "Oslo"})
    assert [each.agent_name for each in told] == ["forecaster"]
    assert finished[0].tool_calls == 1


async def test_a_call_that_asks_for_input_is_told_when_it_is_over(told: list[ToolCalled]) -> None:
    """Its rounds are one use, with the answers of the person in between."""
    from mcp import Client
    from mcp.server.lowlevel import Server
    from mcp_types import (
        CallToolResult,
        ElicitRequest,
        ElicitRequestFormParams,
        ElicitResult,
        InputRequiredResult,
        ListToolsResult,
    )

    asked = []

    async def serve(_context: Any, params: Any) -> Any:
        asked.append(params.name)
        if params.input_responses is None:
            question = ElicitRequestFormParams(
                message="sure?", requested_schema={"type": "object", "properties": {"sure": {"type": "boolean"}}}
            )
            return InputRequiredResult(input_requests={"q": ElicitRequest(params=question)}, request_state="s")
        return CallToolResult(content=[])

    async def answer(_context: Any, _params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"sure": True})

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[])

    server = Server("shop", on_call_tool=serve, on_list_tools=list_tools)
    with instrument():
        async with Client(server, elicitation_callback=answer) as client:
            await client.call_tool("buy", {})
    assert asked == ["buy", "buy"]
    assert [(each.tool_name, each.status, each.mcp_server) for each in told] == [("buy", "success", "shop")]


def test_what_is_no_session_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes a ClientSession or an mcp\.Client that is connected, not 'x'"):
        instrument("x")
    with pytest.raises(TypeError, match=r"instrument\(session, name='x'\)"):
        instrument(name="x")
