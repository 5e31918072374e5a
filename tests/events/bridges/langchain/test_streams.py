"""Streams through LangChain in all its ways: who reads them is outside, and the first token is that of the model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from events import tool_called
from tests.support.langchain_models import SERVERS, agent, chat_model
from tests.support.openai_server import OpenAIServer, Usage, calls_tool, says
from tests.support.recorded_calls import Recorded, sums_of

pytestmark = [pytest.mark.slow, pytest.mark.models("langchain", "langgraph", "langchain_openai", "langchain_anthropic")]

USAGE = Usage(prompt=100, completion=20)
QUESTION = {"messages": [("human", "hi")]}


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[OpenAIServer]:
    """Run a server of each protocol."""
    with SERVERS[request.param](says("Five words in this answer.", usage=USAGE, pause=0.01)) as server:
        yield server


@pytest.fixture
def chat_server() -> Iterator[OpenAIServer]:
    """Run a server of Chat Completions."""
    with OpenAIServer(says("Five words in this answer.", usage=USAGE, pause=0.01)) as server:
        yield server


def emit_outside() -> None:
    """Emit an event of the reader's."""
    tool_called.emit(tool_name="mine", status="success", duration=0.0)


async def read(stream: Any) -> int:
    """Read a stream, with an event of one's own after each of its items; return how many there were."""
    count = 0
    async for _ in stream:
        emit_outside()
        count += 1
    return count


@pytest.mark.filterwarnings("ignore:.*is in beta")
@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_events_of_the_newest_protocol_are_a_stream(asynchronous: bool, server: OpenAIServer, told: Recorded) -> None:
    model = chat_model(server)
    if asynchronous:

        async def ask() -> None:
            stream = await model.astream_events("hi", version="v3")
            await read(stream.text)

        asyncio.run(ask())
    else:
        for _ in model.stream_events("hi", version="v3").text:
            emit_outside()
    [call] = told.calls
    assert (call.status, call.streamed, call.completion_tokens) == ("success", True, 20)
    assert call.time_to_first_token is not None
    assert call.duration is not None
    assert 0.01 < call.time_to_first_token < call.duration
    assert told.is_paired()


@pytest.mark.parametrize("mode", ["values", "updates", "messages", "custom", "tasks", "debug"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_reader_of_any_mode_of_a_graph_is_outside(
    mode: str, asynchronous: bool, chat_server: OpenAIServer, told: Recorded
) -> None:
    runnable = agent(chat_server, "streaming")
    if asynchronous:
        asyncio.run(read(runnable.astream(QUESTION, stream_mode=mode)))
    else:
        for _ in runnable.stream(QUESTION, stream_mode=mode):
            emit_outside()
    assert {tool.agent_name for tool in told.tools} <= {"unknown"}
    assert [(run.agent_name, run.llm_calls, run.tool_calls) for run in told.agents] == [("streaming", 1, 0)]
    assert told.calls[0].streamed == (mode == "messages")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_reader_of_a_chain_is_outside(asynchronous: bool, chat_server: OpenAIServer, told: Recorded) -> None:
    from langchain_core.runnables import RunnableLambda

    chain = RunnableLambda(str) | chat_model(chat_server) | (lambda message: message.content)
    named = chain.with_config(metadata={"lc_agent_name": "chain"})
    if asynchronous:
        asyncio.run(read(named.astream("hi")))
    else:
        for _ in named.stream("hi"):
            emit_outside()
    assert {tool.agent_name for tool in told.tools} == {"unknown"}
    assert [(run.llm_calls, run.tool_calls) for run in told.agents] == [(1, 0)]
    assert [call.agent_name for call in told.calls] == ["chain"]


def test_events_of_an_agent_have_its_tools_in_it(chat_server: OpenAIServer, told: Recorded) -> None:
    def add(one: int, other: int) -> int:
        """Add two numbers."""
        return one + other

    chat_server.behaviour = [calls_tool("add", {"one": 1, "other": 2}, usage=USAGE), says(usage=USAGE)]
    runnable = agent(chat_server, "streaming", [add])
    asyncio.run(read(runnable.astream_events(QUESTION, version="v2")))
    used = [tool for tool in told.tools if tool.tool_name == "add"]
    assert [tool.agent_name for tool in used] == ["streaming"]
    assert {tool.agent_name for tool in told.tools if tool.tool_name == "mine"} == {"unknown"}
    assert [(run.llm_calls, run.tool_calls) for run in told.agents] == [(2, 1)]
    assert told.is_paired()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_reader_who_leaves_an_agent_cancels_it_and_its_call(
    asynchronous: bool, chat_server: OpenAIServer, told: Recorded
) -> None:
    chat_server.behaviour = says("a b c d e f g h", usage=USAGE, pause=0.05)
    runnable = agent(chat_server, "left")
    if asynchronous:

        async def leave() -> None:
            stream = runnable.astream(QUESTION, stream_mode="messages")
            async for _ in stream:
                break
            await stream.aclose()

        asyncio.run(leave())
    else:
        stream = runnable.stream(QUESTION, stream_mode="messages")
        next(stream)
        stream.close()
    assert [run.status for run in told.agents] == ["cancelled"]
    assert len(told.calls) == 1
    assert told.is_paired()


def test_twenty_streams_at_once_are_told_apart(chat_server: OpenAIServer, told: Recorded) -> None:
    model = chat_model(chat_server)

    async def ask() -> None:
        await asyncio.gather(*[read(model.astream("hi")) for _ in range(20)])

    asyncio.run(ask())
    assert told.sums() == sums_of(chat_server.tally) == (20, 2000, 400)
    assert all(call.time_to_first_token is not None for call in told.calls)
