"""How a call of a tool ended: by what was raised, or by what the result says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from events import ToolCalled, tool_called
from events.bridges.mcp.tool_results import finish_with_error, finish_with_result
from events.bridges.model_calls.tool_use import ToolUse


class MCPError(Exception):
    """Stands for the SDK's error, of which nothing but the code is read."""

    def __init__(self, code: int) -> None:
        self.code = code


@pytest.fixture
def told() -> Iterator[list[ToolCalled]]:
    """Record the uses of tools."""
    with tool_called.captured() as events:
        yield events


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MCPError(-32001), "timeout"),
        (MCPError(-32000), "error"),
        (MCPError(-32602), "error"),
        (TimeoutError(), "timeout"),
        (ValueError(), "error"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_what_was_raised_is_told(error: BaseException, status: str, told: list[ToolCalled]) -> None:
    finish_with_error(ToolUse("mcp", "t"), error)
    assert [(each.status, each.error) for each in told] == [(status, type(error).__name__)]


@pytest.mark.parametrize(
    ("result", "statuses"),
    [
        (SimpleNamespace(is_error=False, result_type="complete"), ["success"]),
        (SimpleNamespace(is_error=True, result_type="complete"), ["error"]),
        (SimpleNamespace(result_type="input_required"), []),
        (SimpleNamespace(result_type="a task of an extension"), ["success"]),
        ({"content": []}, ["success"]),
        ({"content": [], "isError": True}, ["error"]),
        ({"resultType": "input_required"}, []),
        (None, ["success"]),
    ],
)
def test_a_result_may_be_an_error_or_ask_for_input(result: object, statuses: list[str], told: list[ToolCalled]) -> None:
    finish_with_result(ToolUse("mcp", "t"), result)
    assert [(each.status, each.error) for each in told] == [(status, "") for status in statuses]
