"""One use of a tool is told once, by the outermost bridge, with what those inside know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from events import ToolCalled, agent_run, receiver_failed, tool_called
from events.bridges.model_calls.tool_use import ToolUse, is_idle, is_same_tool, use_under_way
from events.bus.fields import Status


@pytest.fixture
def told() -> Iterator[list[ToolCalled]]:
    """Record the uses of tools."""
    with tool_called.captured() as events:
        yield events


def nest(outer: ToolUse, inner: tuple[str, str, str | None], status: Status = "success", error: str = "") -> ToolUse:
    """Return the use inside of another, which has ended."""
    bridge, name, server = inner
    with outer.in_effect():
        inside = ToolUse(bridge, name, mcp_server=server)
        inside.finish(status, error)
    return inside


def test_a_use_is_told_once_with_its_status_and_time(told: list[ToolCalled]) -> None:
    use = ToolUse("a", "look_up", mcp_server="facts")
    use.finish("timeout", "TimeoutError")
    use.finish()
    assert [(each.tool_name, each.status, each.error, each.mcp_server) for each in told] == [
        ("look_up", "timeout", "TimeoutError", "facts")
    ]
    assert 0 <= told[0].duration < 5


def test_a_tool_without_a_name_is_unknown(told: list[ToolCalled]) -> None:
    ToolUse("a", None).finish()
    assert told[0].tool_name == "unknown"


@pytest.mark.parametrize("name", ["look_up", "facts_look_up", "facts.look_up", "mcp_facts__look_up"])
def test_the_bridge_around_tells_what_a_client_of_mcp_sees_too(name: str, told: list[ToolCalled]) -> None:
    around = ToolUse("agents", name)
    nest(around, ("mcp", "look_up", "facts"))
    around.finish()
    assert [(each.tool_name, each.mcp_server, each.status) for each in told] == [(name, "facts", "success")]


def test_a_renamed_tool_is_known_by_being_on_a_server(told: list[ToolCalled]) -> None:
    around = ToolUse("agents", "search", mcp_server="unknown")
    nest(around, ("mcp", "look_up", "facts"))
    around.finish()
    assert [(each.tool_name, each.mcp_server) for each in told] == [("search", "facts")]


def test_the_name_that_the_bridge_around_has_for_a_server_stays(told: list[ToolCalled]) -> None:
    around = ToolUse("agents", "look_up", mcp_server="mine")
    nest(around, ("mcp", "look_up", "facts"))
    around.finish()
    assert [each.mcp_server for each in told] == ["mine"]


def test_a_failure_that_only_the_client_sees_is_told(told: list[ToolCalled]) -> None:
    """As one that is text for the model."""
    around = ToolUse("agents", "look_up")
    nest(around, ("mcp", "look_up", "facts"), "error", "MCPError")
    around.finish()
    assert [(each.status, each.error) for each in told] == [("error", "MCPError")]


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (("error", ""), ("error", "MCPError"), ("error", "MCPError")),
        (("error", "ModelRetry"), ("error", "MCPError"), ("error", "ModelRetry")),
        (("cancelled", ""), ("error", "MCPError"), ("cancelled", "")),
        (("timeout", "ToolTimeoutError"), ("cancelled", "CancelledError"), ("timeout", "ToolTimeoutError")),
    ],
)
def test_how_the_bridge_around_saw_a_use_end_stays(
    outer: tuple[Status, str], inner: tuple[Status, str], expected: tuple[str, str], told: list[ToolCalled]
) -> None:
    around = ToolUse("agents", "look_up")
    nest(around, ("mcp", "look_up", "facts"), *inner)
    around.finish(*outer)
    assert [(each.status, each.error) for each in told] == [expected]


def test_of_a_use_that_is_tried_again_inside_the_last_time_counts(told: list[ToolCalled]) -> None:
    around = ToolUse("agents", "look_up")
    nest(around, ("mcp", "look_up", "facts"), "error", "MCPError")
    nest(around, ("mcp", "look_up", "facts"))
    around.finish()
    assert [(each.status, each.error) for each in told] == [("success", "")]


def test_three_bridges_tell_one_use(told: list[ToolCalled]) -> None:
    around = ToolUse("tracer", "look_up")
    with around.in_effect():
        middle = ToolUse("agents", "look_up")
        nest(middle, ("mcp", "look_up", "facts"), "error")
        middle.finish()
    around.finish()
    assert [(each.mcp_server, each.status) for each in told] == [("facts", "error")]


def test_a_tool_that_another_tool_asks_is_a_use_of_its_own(told: list[ToolCalled]) -> None:
    around = ToolUse("agents", "research")
    nest(around, ("mcp", "search", "web"))
    around.finish()
    assert [(each.tool_name, each.mcp_server) for each in told] == [("search", "web"), ("research", None)]


def test_what_the_same_bridge_sees_inside_is_a_use_of_its_own(told: list[ToolCalled]) -> None:
    """As of an agent that a tool asks, and that has a tool of the same name."""
    around = ToolUse("agents", "search")
    nest(around, ("agents", "search", None))
    around.finish()
    assert len(told) == 2


def test_what_a_use_leaves_running_makes_uses_of_its_own(told: list[ToolCalled]) -> None:
    around = ToolUse("agents", "look_up")
    with around.in_effect():
        around.finish()
        ToolUse("mcp", "look_up", mcp_server="facts").finish()
    assert len(told) == 2


def test_a_tool_that_was_not_run_is_not_told(told: list[ToolCalled]) -> None:
    use = ToolUse("agents", "delete")
    use.drop()
    use.finish()
    assert told == []


async def test_the_marker_is_that_of_the_running_task(told: list[ToolCalled]) -> None:
    async def use_tool(name: str) -> None:
        around = ToolUse("agents", name)
        with around.in_effect():
            await asyncio.sleep(0)
            ToolUse("mcp", name, mcp_server=f"of {name}").finish()
        around.finish()

    await asyncio.gather(*(use_tool(name) for name in "abc"))
    assert {each.tool_name: each.mcp_server for each in told} == {"a": "of a", "b": "of b", "c": "of c"}


def test_a_use_that_callbacks_begin_and_end_is_in_effect_in_between(told: list[ToolCalled]) -> None:
    around = ToolUse("agents", "look_up")
    around.enter()
    ToolUse("mcp", "look_up", mcp_server="facts").finish()
    around.finish()
    dropped = ToolUse("agents", "look_up")
    dropped.enter()
    copy_context().run(dropped.drop)
    ToolUse("mcp", "look_up", mcp_server="others").finish()
    assert [each.mcp_server for each in told] == ["facts", "others"]


def test_a_use_belongs_to_the_agent_that_started_it(told: list[ToolCalled]) -> None:
    with agent_run(agent_name="a"):
        use = ToolUse("agents", "look_up")
    with agent_run(agent_name="b"):
        use.finish()
    assert [each.agent_name for each in told] == ["a"]


@pytest.mark.lenient
def test_a_receiver_that_fails_does_not_harm_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(tool_called, "emit", fail)
    with receiver_failed.captured() as failures:
        ToolUse("agents", "look_up").finish()
    assert [(failure.signal, failure.receiver) for failure in failures] == [("tool_called", "agents")]


@pytest.mark.lenient
def test_nobody_listens() -> None:
    assert is_idle()
    with tool_called.captured():
        assert not is_idle()
    with agent_run(agent_name="a"):
        assert not is_idle()


@pytest.mark.parametrize(("outer", "inner"), [("research", "search"), ("search", "web_search"), ("search", "look_up")])
def test_two_tools_have_two_names(outer: str, inner: str) -> None:
    assert not is_same_tool(outer, inner)


def test_a_use_that_is_known_later_is_that_which_it_began_in(told: list[ToolCalled]) -> None:
    outer = ToolUse("outer", "search")
    outer.enter()
    around = use_under_way()
    outer.finish()
    assert use_under_way() is None
    ToolUse("inner", "search", around=around).finish()
    ToolUse("inner", "other", around=around).finish()
    assert [each.tool_name for each in told] == ["search", "other"]


def test_what_a_server_asks_for_is_its_own() -> None:
    """A gateway's tool asks others on servers of their own, and goes on where one of them fails."""
    with tool_called.captured() as called:
        served = ToolUse("mcp_server", "report", mcp_server="gateway", is_served=True)
        with served.in_effect():
            for status in ("success", "error"):
                ToolUse("mcp", "rows", mcp_server="upstream").finish(status)
        served.finish()
    assert [(use.tool_name, use.status, use.mcp_server) for use in called] == [
        ("rows", "success", "upstream"),
        ("rows", "error", "upstream"),
        ("report", "success", "gateway"),
    ]
