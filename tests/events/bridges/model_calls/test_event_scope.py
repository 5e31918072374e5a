"""What began outside of all is told so, wherever it ends; and what began inside of an agent is the agent's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from events import agent_finished, agent_run, documents_retrieved, llm_called, tool_called
from events.bridges.model_calls.document_retrieval import Lookup
from events.bridges.model_calls.model_call import CallEnd, start_call
from events.bridges.model_calls.tool_use import ToolUse


def begin_call() -> Callable[[], None]:
    call = start_call("bridge", model="m", provider="p", is_exact=True)
    assert call is not None
    return lambda: call.finish(CallEnd())


def begin_use() -> Callable[[], None]:
    return ToolUse("bridge", "search").finish


def begin_lookup() -> Callable[[], None]:
    return Lookup("bridge", "handbook").finish


BEGINNINGS: pytest.MarkDecorator = pytest.mark.parametrize(
    ("begin", "signal"),
    [(begin_call, llm_called), (begin_use, tool_called), (begin_lookup, documents_retrieved)],
    ids=["call", "tool", "lookup"],
)


@BEGINNINGS
def test_what_began_outside_of_all_is_not_of_the_agent_in_which_it_ends(begin: Any, signal: Any) -> None:
    with signal.captured() as told, agent_finished.captured() as agents:
        finish = begin()
        with agent_run(agent_name="writer"):
            finish()
    assert [event.agent_name for event in told] == ["unknown"]
    assert [(agent.llm_calls, agent.tool_calls) for agent in agents] == [(0, 0)]


@BEGINNINGS
def test_what_began_inside_of_an_agent_is_of_it_where_it_ends_outside(begin: Any, signal: Any) -> None:
    with signal.captured() as told:
        with agent_run(agent_name="writer"):
            finish = begin()
        finish()
    assert [event.agent_name for event in told] == ["writer"]
