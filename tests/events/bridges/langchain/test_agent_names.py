"""Which runs are agents, by their names."""

from __future__ import annotations

from typing import Any

import pytest

from events import agent_run
from events.bridges.langchain.agent_names import is_in_agent, is_node, name_of_agent, name_of_graph
from events.bus.scope import get_effective_scope

PLAIN: dict[str, Any] = {"node": False, "around": None, "called_by_tool": False, "outermost": False, "agents": None}
GRAPH = {"ls_integration": "langgraph"}


@pytest.mark.parametrize(
    ("name", "metadata", "more", "agent"),
    [
        ("chain", {}, {"outermost": True}, None),
        ("writer", {"lc_agent_name": "writer"}, {"outermost": True}, "writer"),
        ("page", {"lc_agent_name": "writer"}, {"outermost": True}, "writer"),
        ("lambda", {"lc_agent_name": "writer"}, {"around": "writer"}, None),
        ("model", {"lc_agent_name": "model"}, {"around": "model", "node": True}, None),
        ("critic", {"lc_agent_name": "critic"}, {"around": "writer"}, "critic"),
        ("writer", {"lc_agent_name": "writer"}, {"around": "writer", "called_by_tool": True}, "writer"),
        ("lambda", {"lc_agent_name": "writer"}, {"around": "writer", "called_by_tool": True}, None),
        ("team", GRAPH, {"outermost": True}, "team"),
        ("LangGraph", GRAPH, {"outermost": True}, None),
        ("team", GRAPH, {}, None),
        ("team", GRAPH, {"outermost": True, "agents": {"writer"}}, None),
        ("writer", GRAPH, {"node": True, "agents": {"writer"}}, "writer"),
        ("x", {"lc_agent_name": "writer"}, {"agents": {"writer"}}, "writer"),
        ("x", {"lc_agent_name": "critic"}, {"agents": {"writer"}}, None),
        ("x", {"lc_agent_name": 3}, {}, None),
    ],
)
def test_a_run_is_an_agent_by_its_name(name: str, metadata: Any, more: dict[str, Any], agent: str | None) -> None:
    assert name_of_agent(name, metadata, **{**PLAIN, **more}) == agent


def test_a_node_is_known_by_its_tag() -> None:
    assert is_node(["a", "graph:step:3"])
    assert not is_node(["seq:step:1"])
    assert not is_node(None)


def test_the_name_that_each_graph_has_is_none() -> None:
    assert name_of_graph("team") == "team"
    assert name_of_graph("LangGraph") is None
    assert name_of_graph("") is None


def test_the_nearest_agent_is_the_one_around() -> None:
    with agent_run(agent_name="outer"), agent_run(agent_name="inner"):
        assert is_in_agent(get_effective_scope(), "inner")
        assert not is_in_agent(get_effective_scope(), "outer")
    assert not is_in_agent(None, "outer")
