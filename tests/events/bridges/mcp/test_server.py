"""The calls that a server serves are told where it is asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from events import ToolCalled, tool_called
from events.bridges.mcp import instrument, instrument_server
from tests.support.asgi_server import running_server
from tests.support.mcp_tools import NAME, Served, make_server
from tests.support.wait import until


@pytest.fixture
def told() -> Iterator[list[ToolCalled]]:
    """Record the uses of tools."""
    with tool_called.captured() as events:
        yield events


class StandIn:
    """A server, of which nothing but the name and the middleware is used."""

    def __init__(self) -> None:
        self.name = "facts"
        self.middleware: list[Any] = []

    async def serve(self, method: str, result: Any, params: Any = None) -> Any:
        [serve] = self.middleware

        async def call_next(context: Any) -> Any:
            if isinstance(result, BaseException):
                raise result
            return result

        return await serve(SimpleNamespace(method=method, params=params), call_next)


async def test_calls_of_tools_are_told_and_other_messages_are_not(told: list[ToolCalled]) -> None:
    server = StandIn()
    with instrument_server(server):
        assert await server.serve("tools/list", {"tools": []}) == {"tools": []}
        await server.serve("tools/call", {"content": []}, {"name": "look_up"})
        await server.serve("tools/call", {"content": [], "isError": True}, {"name": "look_up"})
        with pytest.raises(ValueError, match="no"):
            await server.serve("tools/call", ValueError("no"))
    assert server.middleware == []
    assert [(each.tool_name, each.status, each.error, each.mcp_server) for each in told] == [
        ("look_up", "success", "", "facts"),
        ("look_up", "error", "", "facts"),
        ("unknown", "error", "ValueError", "facts"),
    ]


@pytest.mark.lenient
async def test_nothing_is_recorded_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.bridges.mcp.server.ToolUse", None)
    server = StandIn()
    instrument_server(server)
    assert await server.serve("tools/call", {"content": []}, {"name": "look_up"}) == {"content": []}


def test_a_server_is_instrumented_once() -> None:
    server = StandIn()
    handle = instrument_server(server, name="mine")
    assert instrument_server(server) is handle
    assert len(server.middleware) == 1
    handle.undo()
    handle.undo()
    assert server.middleware == []


def test_what_is_no_server_is_refused() -> None:
    with pytest.raises(TypeError, match="takes an MCPServer or a Server of mcp 2"):
        instrument_server(SimpleNamespace(name="facts"))


@pytest.mark.slow
@pytest.mark.models("mcp")
async def test_a_real_server_tells_what_it_serves(told: list[ToolCalled]) -> None:
    """To a client that is not instrumented, and that cancels one of its calls."""
    from mcp import Client

    served = Served()
    server = make_server(served)
    with instrument_server(server):
        async with running_server(server.streamable_http_app(), lifespan="on") as url, Client(f"{url}/mcp") as client:
            await client.call_tool("forecast", {"city": "Oslo"})
            await client.call_tool("history", {"city": "Oslo"})
            calling = asyncio.create_task(client.call_tool("wait", {}))
            await until(lambda: "wait" in served.tools)
            calling.cancel()
            await asyncio.wait([calling])
            await until(lambda: len(told) == 3)
    assert served.tools == ["forecast", "history", "wait"]
    assert [(each.tool_name, each.status, each.mcp_server) for each in told] == [
        ("forecast", "success", NAME),
        ("history", "error", NAME),
        ("wait", "cancelled", NAME),
    ]


@pytest.mark.slow
@pytest.mark.models("mcp")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_server_in_the_process_of_its_client_is_told_once(mode: Any, told: list[ToolCalled]) -> None:
    from mcp import Client

    server = make_server()
    with instrument(), instrument_server(server):
        async with Client(server, mode=mode) as client:
            await client.call_tool("forecast", {"city": "Oslo"})
    assert [(each.tool_name, each.status, each.mcp_server) for each in told] == [("forecast", "success", NAME)]
