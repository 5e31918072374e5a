"""Agents and graphs of LangChain: each run once, with what it spent, and nothing of what is outside of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from events import agent_run, current_span, tool_called
from events.bridges.langchain import instrument
from tests.support.langchain_models import State, agent, chat_model, graph
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, calls_tool, fails, says, stalls
from tests.support.recorded_calls import Recorded, recorded_calls, sums_of
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


def stream(runnable: Any, question: Any = QUESTION, **config: Any) -> Any:
    return list(runnable.stream(question, config, stream_mode=["messages", "updates"]))


def astream(runnable: Any, question: Any = QUESTION, **config: Any) -> Any:
    async def read() -> list[Any]:
        return [part async for part in runnable.astream(question, config, stream_mode=["messages", "updates"])]

    return asyncio.run(read())


WAYS = (invoke, ainvoke, stream, astream)


def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


TWO_TOOLS = Reply(tool_calls=(("add", {"one": 1, "other": 2}), ("add", {"one": 3, "other": 4})), usage=USAGE)


@pytest.mark.parametrize("run", WAYS)
def test_an_agent_has_its_calls_tools_and_tokens(run: Callable[..., Any], server: OpenAIServer, told: Recorded) -> None:
    server.behaviour = [TWO_TOOLS, says(usage=USAGE)]
    run(agent(server, "adder", [add]))
    [finished] = told.agents
    assert (finished.agent_name, finished.status) == ("adder", "success")
    assert (finished.llm_calls, finished.tool_calls, finished.prompt_tokens, finished.completion_tokens) == (
        2,
        2,
        200,
        40,
    )
    assert told.sums() == sums_of(server.tally)
    assert told.is_paired()
    assert {call.agent_name for call in told.calls} == {tool.agent_name for tool in told.tools} == {"adder"}
    assert [(tool.tool_name, tool.status) for tool in told.tools] == [("add", "success")] * 2
    assert current_span() is None


@pytest.mark.parametrize("run", WAYS)
def test_a_tool_that_fails_is_an_error_of_the_tool(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = [calls_tool("fail", {"reason": "secret"}), says()]
    with pytest.raises(ValueError, match="secret"):
        run(agent(server, "failing", [fail]))
    assert [(tool.status, tool.error) for tool in told.tools] == [("error", "ValueError")]
    assert [(run.status, run.error, run.llm_calls) for run in told.agents] == [("error", "ValueError", 1)]
    assert "secret" not in repr((told.agents, told.tools))


@pytest.mark.parametrize("run", [invoke, ainvoke])
def test_an_agent_whose_model_fails_has_the_type_of_the_error(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = fails(429)
    with pytest.raises(Exception, match="scripted failure"):
        run(agent(server, "limited"))
    assert [(run.status, run.error_type) for run in told.agents] == [("error", "rate_limited")]


def ask_inner(server: OpenAIServer, *, asynchronous: bool = False) -> Any:
    """Return a tool that asks another agent."""
    inner = agent(server, "inner")

    async def ask_async(text: str) -> str:
        """Ask the other agent."""
        answer = await inner.ainvoke({"messages": [("human", text)]})
        return str(answer["messages"][-1].content)

    def ask(text: str) -> str:
        """Ask the other agent."""
        return str(inner.invoke({"messages": [("human", text)]})["messages"][-1].content)

    if asynchronous:
        ask_async.__name__ = "ask"
        return ask_async
    return ask


@pytest.mark.parametrize("run", WAYS)
def test_an_agent_that_asks_another_has_its_tokens_too(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    server.behaviour = [calls_tool("ask", {"text": "x"}, usage=USAGE), says(usage=USAGE), says(usage=USAGE)]
    run(agent(server, "outer", [ask_inner(server, asynchronous=run in (ainvoke, astream))]))
    inner, outer = told.agents
    assert (inner.agent_name, inner.llm_calls, inner.prompt_tokens, inner.own_prompt_tokens) == ("inner", 1, 100, 100)
    assert (outer.agent_name, outer.llm_calls, outer.prompt_tokens, outer.own_prompt_tokens) == ("outer", 3, 300, 200)
    assert [tool.agent_name for tool in told.tools] == ["outer"]
    assert [call.agent_name for call in told.calls] == ["outer", "inner", "outer"]
    assert told.sums() == sums_of(server.tally)


@pytest.mark.parametrize("run", WAYS)
def test_agents_that_are_nodes_of_a_graph_are_inside_of_it(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    team = graph({"writer": agent(server, "writer"), "reviewer": agent(server, "critic")}, "team")
    run(team)
    assert [run.agent_name for run in told.agents] == ["writer", "critic", "team"]
    assert [run.own_prompt_tokens for run in told.agents] == [100, 100, 0]
    assert told.agents[-1].prompt_tokens == 200
    assert [run.agent_name for run in told.agents_started] == ["team", "writer", "critic"]


@pytest.mark.parametrize("run", WAYS)
def test_a_graph_without_a_name_is_no_agent(run: Callable[..., Any], server: OpenAIServer, told: Recorded) -> None:
    run(graph({"writer": agent(server, "writer"), "plain": agent(server, None)}))
    assert [run.agent_name for run in told.agents] == ["writer"]
    assert [call.agent_name for call in told.calls] == ["writer", "unknown"]


@pytest.mark.parametrize("run", WAYS)
def test_a_named_graph_inside_of_one_without_a_name_is_an_agent(
    run: Callable[..., Any], server: OpenAIServer, told: Recorded
) -> None:
    model = chat_model(server)
    inner = graph({"ask": lambda state: {"text": model.invoke("hi").content}}, "inner")
    run(graph({"first": inner}), {"text": "x"})
    assert [(run.agent_name, run.prompt_tokens) for run in told.agents] == [("inner", 100)]
    assert [call.agent_name for call in told.calls] == ["inner"]
    assert current_span() is None


@pytest.mark.parametrize("run", WAYS)
def test_nodes_may_be_agents_by_name(run: Callable[..., Any], server: OpenAIServer) -> None:
    model = chat_model(server)

    def write(state: State) -> State:
        return {"text": str(model.invoke("hi").content)}

    nodes = graph({"writer": write, "formatter": lambda state: {"text": state["text"].upper()}, "critic": write})
    with recorded_calls() as told, instrument(agents=["writer", "critic"]):
        run(nodes, {"text": "x"})
    assert [(run.agent_name, run.prompt_tokens) for run in told.agents] == [("writer", 100), ("critic", 100)]
    assert [call.agent_name for call in told.calls] == ["writer", "critic"]


def test_any_run_may_be_named_as_an_agent(server: OpenAIServer, told: Recorded) -> None:
    from langchain_core.runnables import RunnableLambda

    model = chat_model(server)
    chain = RunnableLambda(lambda text: f"{text}!") | model | (lambda message: message.content)
    named = chain.with_config(metadata={"lc_agent_name": "chain"})
    invoke(named, "hi")
    ainvoke(named, "hi")
    list(named.stream("hi"))
    assert [(run.agent_name, run.llm_calls) for run in told.agents] == [("chain", 1)] * 3


def test_an_agent_that_the_program_runs_itself_is_not_run_twice(server: OpenAIServer, told: Recorded) -> None:
    with agent_run(agent_name="writer", task="page"):
        invoke(agent(server, "writer"))
    assert [(run.agent_name, run.task, run.prompt_tokens) for run in told.agents] == [("writer", "page", 100)]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_reader_of_a_stream_is_not_inside_the_agent(
    asynchronous: bool, server: OpenAIServer, told: Recorded
) -> None:
    runnable = agent(server, "streaming")
    if asynchronous:

        async def read() -> None:
            async for _ in runnable.astream(QUESTION, stream_mode="updates"):
                tool_called.emit(tool_name="mine", status="success", duration=0.0)

        asyncio.run(read())
    else:
        for _ in runnable.stream(QUESTION, stream_mode="updates"):
            tool_called.emit(tool_name="mine", status="success", duration=0.0)
    assert {tool.agent_name for tool in told.tools} == {"unknown"}
    assert [run.tool_calls for run in told.agents] == [0]


@pytest.mark.parametrize("run", WAYS)
def test_what_a_node_emits_is_inside_the_agent(run: Callable[..., Any], told: Recorded) -> None:
    def work(state: State) -> State:
        tool_called.emit(tool_name="mine", status="success", duration=0.0)
        return state

    run(graph({"work": work, "more": work}, "worker"), {"text": "x"})
    assert [tool.agent_name for tool in told.tools] == ["worker", "worker"]
    assert [run.tool_calls for run in told.agents] == [2]


def test_after_an_agent_the_task_is_outside_again(server: OpenAIServer, told: Recorded) -> None:
    async def ask() -> None:
        for _ in range(3):
            await agent(server, "short").ainvoke(QUESTION)
            tool_called.emit(tool_name="mine", status="success", duration=0.0)
        with agent_run(agent_name="next"):
            tool_called.emit(tool_name="mine", status="success", duration=0.0)
        tool_called.emit(tool_name="mine", status="success", duration=0.0)

    asyncio.run(ask())
    assert [tool.agent_name for tool in told.tools] == ["unknown"] * 3 + ["next", "unknown"]


def test_time_that_a_graph_waits_for_a_person_is_nobodys(server: OpenAIServer, told: Recorded) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command, interrupt

    uses: list[str] = []

    def ask_person(question: str) -> str:
        """Ask a person."""
        uses.append(question)
        return str(interrupt(question))

    server.behaviour = [calls_tool("ask_person", {"question": "ok?"}, usage=USAGE), says(usage=USAGE)]
    asking = agent(server, "asking", [ask_person], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    asking.invoke(QUESTION, config)
    assert [(run.agent_name, run.status, run.llm_calls) for run in told.agents] == [("asking", "success", 1)]
    assert told.tools == []
    waiting = threading.Event()
    waiting.wait(0.3)
    asking.invoke(Command(resume="yes"), config)
    assert [(run.status, run.llm_calls, run.tool_calls) for run in told.agents[1:]] == [("success", 1, 1)]
    assert sum(run.duration for run in told.agents) < 0.3 + max(run.duration for run in told.agents)
    assert all(tool.duration < 0.3 for tool in told.tools)
    assert uses == ["ok?", "ok?"]


def test_an_inner_agent_that_waits_for_a_person_does_not_fail(server: OpenAIServer, told: Recorded) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command, interrupt

    def confirm(question: str) -> str:
        """Ask a person."""
        return str(interrupt(question))

    server.behaviour = [calls_tool("confirm", {"question": "ok?"}, usage=USAGE), says(usage=USAGE)]
    outer = graph({"inner": agent(server, "inner", [confirm])}, "outer", checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    outer.invoke(QUESTION, config)
    outer.invoke(Command(resume="yes"), config)
    assert [(run.agent_name, run.status) for run in told.agents] == [
        ("inner", "success"), ("outer", "success"), ("inner", "success"), ("outer", "success"),
    ]  # fmt: skip
    assert [tool.status for tool in told.tools] == ["success"]
    assert told.sums() == sums_of(server.tally)


@pytest.mark.parametrize("run", WAYS)
def test_a_node_that_raises_fails_its_agent(run: Callable[..., Any], told: Recorded) -> None:
    def broken(state: State) -> State:
        raise KeyError("secret")

    with pytest.raises(KeyError):
        run(graph({"broken": broken}, "outer"), {"text": "x"})
    assert [(run.agent_name, run.status, run.error) for run in told.agents] == [("outer", "error", "KeyError")]
    assert current_span() is None


def test_a_run_that_is_cancelled_is_told_once_with_its_call(server: OpenAIServer, told: Recorded) -> None:
    server.behaviour = stalls()

    async def leave() -> None:
        task = asyncio.create_task(graph({"inner": agent(server, "inner")}, "outer").ainvoke(QUESTION))
        await until(lambda: bool(told.started), within=10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [call.status for call in told.calls] == ["cancelled"]
        assert [(run.agent_name, run.status, run.llm_calls) for run in told.agents] == [
            ("inner", "cancelled", 1), ("outer", "cancelled", 1),
        ]  # fmt: skip

    asyncio.run(leave())


@pytest.mark.parametrize("run", WAYS)
def test_the_time_of_an_agent_is_parted(run: Callable[..., Any], server: OpenAIServer, told: Recorded) -> None:
    def wait() -> str:
        """Wait."""
        threading.Event().wait(0.2)
        return "x"

    server.behaviour = [calls_tool("wait", {}, usage=USAGE, delay=0.1), says(usage=USAGE, delay=0.1)]
    run(agent(server, "waiting", [wait]))
    [finished] = told.agents
    assert finished.llm_time is not None
    assert finished.tool_time is not None
    assert finished.self_time is not None
    assert 0.2 <= finished.llm_time < finished.duration - 0.2
    assert 0.2 <= finished.tool_time < finished.duration - 0.2
    assert finished.llm_time + finished.tool_time + finished.self_time == pytest.approx(finished.duration)


def test_twenty_agents_at_once_are_told_apart(server: OpenAIServer, told: Recorded) -> None:
    def reply(request: ChatRequest) -> Reply:
        return says(usage=USAGE) if len(request.messages) > 1 else TWO_TOOLS

    server.behaviour = reply
    runnable = agent(server, "adder", [add])
    runnable.batch([QUESTION] * 10)
    asyncio.run(runnable.abatch([QUESTION] * 10))
    assert [(run.llm_calls, run.tool_calls, run.prompt_tokens) for run in told.agents] == [(2, 2, 200)] * 20
    assert told.sums() == sums_of(server.tally) == (40, 4000, 800)
    assert told.is_paired()


def test_nothing_is_emitted_after_undo(server: OpenAIServer) -> None:
    with recorded_calls() as told:
        with instrument() as handle:
            assert instrument() is handle
            with pytest.raises(ValueError, match=r"other agents already: call undo\(\) of the handle"):
                instrument(agents=["a"])
            invoke(agent(server, "seen"))
        invoke(agent(server, "unseen"))
        handle.undo()
    assert [run.agent_name for run in told.agents] == ["seen"]


def test_what_is_under_way_is_told_to_its_end_after_undo(server: OpenAIServer) -> None:
    with recorded_calls() as told, instrument() as handle:
        stream = chat_model(server).stream("hi")
        next(stream)
        handle.undo()
        list(stream)
        chat_model(server).invoke("hi")
    assert [(call.status, call.completion_tokens) for call in told.calls] == [("success", 20)]
    assert told.is_paired()


@pytest.mark.parametrize("run", [invoke, ainvoke])
def test_an_agent_that_is_under_way_at_undo_has_all_that_it_does_afterwards(
    run: Callable[..., Any], server: OpenAIServer
) -> None:
    def leave() -> str:
        """Undo."""
        handle.undo()
        return "done"

    server.behaviour = [Reply(tool_calls=(("leave", {}),), usage=USAGE), says(usage=USAGE), says(usage=USAGE)]
    with recorded_calls() as told, instrument() as handle:
        run(agent(server, "leaving", [leave]))
        run(agent(server, "unseen"))
        assert len(handle.tracker.runs) == 0
    assert [(call.status, call.completion_tokens, call.agent_name) for call in told.calls] == [
        ("success", 20, "leaving"), ("success", 20, "leaving"),
    ]  # fmt: skip
    assert [(tool.tool_name, tool.status) for tool in told.tools] == [("leave", "success")]
    assert [(run.agent_name, run.status, run.llm_calls, run.tool_calls) for run in told.agents] == [
        ("leaving", "success", 2, 1)
    ]
    assert told.is_paired()


@pytest.mark.parametrize("run", [invoke, ainvoke])
def test_a_call_that_is_under_way_at_undo_has_its_tokens(run: Callable[..., Any], server: OpenAIServer) -> None:
    with recorded_calls() as told, instrument() as handle:

        def behave(request: ChatRequest) -> Reply:  # the answer to a call that has begun
            handle.undo()
            return says(usage=USAGE)

        server.behaviour = behave
        run(agent(server, "leaving"))
    assert [(call.status, call.prompt_tokens, call.completion_tokens) for call in told.calls] == [("success", 100, 20)]
    assert [(run.status, run.llm_calls) for run in told.agents] == [("success", 1)]
    assert told.is_paired()


def test_a_price_that_looks_the_same_is_another_one_and_the_error_says_what_to_do() -> None:
    with instrument(price=lambda provider, model, usage: 0.5) as handle:
        with pytest.raises(ValueError, match=r"one object: pass that one, such as .* or call undo\(\) of the handle"):
            instrument(price=lambda provider, model, usage: 0.5)
        assert instrument(price=handle.tracker.price) is handle
