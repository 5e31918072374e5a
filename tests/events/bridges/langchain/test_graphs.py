"""Graphs of LangGraph in their odder shapes: branches, retries, hand-overs, people, and threads without a context."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Annotated, Any, TypedDict

import pytest

from events import current_span, tool_called
from tests.support.langchain_models import State, agent, chat_model, graph
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, calls_tool, fails, says, stalls
from tests.support.recorded_calls import Recorded, sums_of
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.models("langchain", "langgraph", "langchain_openai")]

USAGE = Usage(prompt=100, completion=20)
QUESTION = {"messages": [("human", "hi")]}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """Run a model's server."""
    with OpenAIServer(says(usage=USAGE)) as server:
        yield server


def invoke(runnable: Any, question: Any = QUESTION, **config: Any) -> Any:
    return runnable.invoke(question, config)


def ainvoke(runnable: Any, question: Any = QUESTION, **config: Any) -> Any:
    return asyncio.run(runnable.ainvoke(question, config))


WAYS = (invoke, ainvoke)


class Texts(TypedDict, total=False):
    """The state of a graph whose branches add to it."""

    texts: Annotated[list[str], operator.add]


def fan(branches: dict[str, Any], name: str | None) -> Any:
    """Return a graph that runs all branches at once."""
    from langgraph.graph import END, START, StateGraph

    builder = StateGraph(Texts)
    for branch, run in branches.items():
        builder.add_node(branch, run)
        builder.add_edge(START, branch)
        builder.add_edge(branch, END)
    return builder.compile(name=name)


@pytest.mark.parametrize("run", WAYS)
def test_branches_at_once_are_each_in_their_agent(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = says(usage=USAGE, delay=0.05)
    model = chat_model(server)

    def ask(state: Texts) -> Texts:
        tool_called.emit(tool_name="mine", status="success", duration=0.0)
        return {"texts": [str(model.invoke("hi").content)]}

    branches = {f"branch{number}": graph_of(ask, f"agent{number}") for number in range(5)}
    run(fan(branches, "team"), {"texts": []})
    inner = [each for each in told.agents if each.agent_name != "team"]
    assert sorted(each.agent_name for each in inner) == [f"agent{number}" for number in range(5)]
    assert [(each.llm_calls, each.tool_calls, each.prompt_tokens) for each in inner] == [(1, 1, 100)] * 5
    assert [(each.llm_calls, each.own_prompt_tokens) for each in told.agents[-1:]] == [(5, 0)]
    assert sorted(call.agent_name for call in told.calls) == sorted(each.agent_name for each in inner)
    assert current_span() is None


def graph_of(run: Any, name: str) -> Any:
    """Return a graph of one node, whose state is that of a graph with branches."""
    from langgraph.graph import END, START, StateGraph

    builder = StateGraph(Texts)
    builder.add_node("only", run)
    builder.add_edge(START, "only")
    builder.add_edge("only", END)
    return builder.compile(name=name)


@pytest.mark.parametrize("run", WAYS)
def test_tools_at_once_that_ask_agents_have_each_its_own(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    def reply(request: ChatRequest) -> Reply:
        if len(request.messages) > 1:
            return says(usage=USAGE)
        if request.messages[0]["content"] == "hi":
            calls = tuple(("ask", {"text": f"question {number}"}) for number in range(4))
            return Reply(tool_calls=calls, usage=USAGE)
        return says(usage=USAGE, delay=0.02)

    inner = agent(server, "inner")

    def ask(text: str) -> str:
        """Ask the other agent."""
        return str(inner.invoke({"messages": [("human", text)]})["messages"][-1].content)

    server.behaviour = reply
    run(agent(server, "outer", [ask]))
    assert [(each.agent_name, each.llm_calls, each.own_prompt_tokens) for each in told.agents] == [
        *[("inner", 1, 100)] * 4,
        ("outer", 6, 200),
    ]
    assert [tool.agent_name for tool in told.tools] == ["outer"] * 4
    assert told.sums() == sums_of(server.tally)


@pytest.mark.parametrize("run", WAYS)
def test_a_node_that_is_tried_again_calls_again(run: Callable[..., Any], server: OpenAIServer, told: Recorded) -> None:
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import RetryPolicy

    model = chat_model(server)
    server.behaviour = [fails(500), says(usage=USAGE)]
    builder = StateGraph(State)
    builder.add_node(
        "ask",
        lambda state: {"text": str(model.invoke("hi").content)},
        retry_policy=RetryPolicy(initial_interval=0.01, retry_on=lambda _: True),
    )
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    run(builder.compile(name="patient"), {"text": "x"})
    assert [call.status for call in told.calls] == ["error", "success"]
    assert [(each.status, each.llm_calls) for each in told.agents] == [("success", 2)]


@pytest.mark.parametrize("run", WAYS)
def test_an_agent_that_hands_over_has_done_its_work(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    from langgraph.graph import END, START, MessagesState, StateGraph
    from langgraph.types import Command

    def hand_over() -> Any:
        """Hand over to the other agent."""
        return Command(goto="second", graph=Command.PARENT)

    from langchain_core.tools import tool

    server.behaviour = [calls_tool("hand_over", {}, usage=USAGE), says(usage=USAGE)]
    builder = StateGraph(MessagesState)
    builder.add_node("first", agent(server, "first", [tool(hand_over)]), destinations=("second",))
    builder.add_node("second", agent(server, "second"))
    builder.add_edge(START, "first")
    builder.add_edge("second", END)
    run(builder.compile(name="swarm"))
    assert [(each.agent_name, each.status) for each in told.agents] == [
        ("first", "success"), ("second", "success"), ("swarm", "success"),
    ]  # fmt: skip
    assert [(tool.tool_name, tool.status) for tool in told.tools] == [("hand_over", "success")]


def test_an_approval_of_a_tool_is_no_time_of_it(server: OpenAIServer, told: Recorded) -> None:
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    def delete(name: str) -> str:
        """Delete something."""
        return "done"

    server.behaviour = [calls_tool("delete", {"name": "x"}, usage=USAGE), says(usage=USAGE)]
    careful = agent(
        server,
        "careful",
        [delete],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"delete": True})],
        checkpointer=InMemorySaver(),
    )
    config = {"configurable": {"thread_id": "1"}}
    careful.invoke(QUESTION, config)
    assert told.tools == []
    threading.Event().wait(0.2)
    careful.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert [(each.status, each.llm_calls, each.tool_calls) for each in told.agents] == [
        ("success", 1, 0), ("success", 1, 1),
    ]  # fmt: skip
    assert all(tool.duration < 0.2 for tool in told.tools)
    assert told.sums() == sums_of(server.tally)


@pytest.mark.parametrize("run", WAYS)
def test_tasks_of_an_entrypoint_are_in_the_agent_that_it_is_named_as(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    from langgraph.func import entrypoint, task

    model = chat_model(server)

    def ask(text: str) -> str:
        return str(model.invoke(text).content)

    async def ask_async(text: str) -> str:
        return str((await model.ainvoke(text)).content)

    def essay(text: str) -> list[str]:
        return [each.result() for each in [task(ask)(text), task(ask)(text)]]

    async def essay_async(text: str) -> list[str]:
        return list(await asyncio.gather(task(ask_async)(text), task(ask_async)(text)))

    program = entrypoint()(essay if run is invoke else essay_async)
    run(program.with_config(metadata={"lc_agent_name": "essay"}), "hi")
    assert [(each.agent_name, each.llm_calls, each.prompt_tokens) for each in told.agents] == [("essay", 2, 200)]


@pytest.mark.parametrize("run", WAYS)
def test_a_graph_that_does_not_end_fails(run: Callable[..., Any], told: Recorded) -> None:
    from langgraph.errors import GraphRecursionError
    from langgraph.graph import START, StateGraph

    builder = StateGraph(State)
    builder.add_node("again", lambda state: state)
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    with pytest.raises(GraphRecursionError):
        run(builder.compile(name="endless"), {"text": "x"}, recursion_limit=3)
    assert [(each.agent_name, each.status, each.error) for each in told.agents] == [
        ("endless", "error", "GraphRecursionError")
    ]


def test_a_stream_whose_steps_are_read_in_other_contexts_is_in_its_agent(server: OpenAIServer, told: Recorded) -> None:
    model = chat_model(server)
    ask = graph({name: lambda _: {"text": str(model.invoke("hi").content)} for name in ("a", "b", "c")}, "served")
    stream = ask.stream({"text": "x"}, stream_mode="updates")
    while copy_context().run(next, stream, None) is not None:  # as a server does that has a thread for each step
        tool_called.emit(tool_name="mine", status="success", duration=0.0)
    assert [call.agent_name for call in told.calls] == ["served"] * 3
    assert [(each.llm_calls, each.tool_calls) for each in told.agents] == [(3, 0)]
    assert {tool.agent_name for tool in told.tools} == {"unknown"}


def test_branches_that_are_cancelled_are_told_with_their_calls(server: OpenAIServer, told: Recorded) -> None:
    server.behaviour = stalls()
    model = chat_model(server)

    async def ask(state: Texts) -> Texts:
        return {"texts": [str((await model.ainvoke("hi")).content)]}

    team = fan({f"branch{number}": graph_of(ask, f"agent{number}") for number in range(3)}, "team")

    async def leave() -> None:
        task = asyncio.create_task(team.ainvoke({"texts": []}))
        await until(lambda: len(told.started) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert {each.status for each in told.agents} == {call.status for call in told.calls} == {"cancelled"}
        assert [each.llm_calls for each in told.agents if each.agent_name == "team"] == [3]

    asyncio.run(leave())
    assert told.is_paired()


def test_a_branch_that_fails_cancels_the_others(server: OpenAIServer, told: Recorded) -> None:
    server.behaviour = stalls()
    model = chat_model(server)

    async def ask(state: Texts) -> Texts:
        return {"texts": [str((await model.ainvoke("hi")).content)]}

    async def fail(state: Texts) -> Texts:
        await until(lambda: len(told.started) == 1)
        raise KeyError("secret")

    team = fan({"ask": graph_of(ask, "asking"), "fail": fail}, "team")
    with pytest.raises(KeyError):
        ainvoke(team, {"texts": []})
    assert [call.status for call in told.calls] == ["cancelled"]
    assert sorted((each.agent_name, each.status) for each in told.agents) == [
        ("asking", "cancelled"),
        ("team", "error"),
    ]
    assert told.is_paired()
