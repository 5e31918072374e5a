"""What the reader of an agent's stream asks is the reader's own, however it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any

import pytest

from events import agent_run, documents_retrieved, query_executed
from tests.support.langchain_models import State, agent, chat_model, graph
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, calls_tool, says
from tests.support.recorded_calls import Recorded

pytestmark = [pytest.mark.slow, pytest.mark.models("langchain", "langgraph", "langchain_openai")]

QUESTION = {"messages": [("human", "hi")]}
READERS = "gpt-4o"
ANSWERS = says(usage=Usage(prompt=10, completion=2))
USES_TOOL = calls_tool("look", {"text": "x"}, usage=Usage(prompt=10, completion=2))


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """Run a model's server, which has an agent use its tool once."""

    def behave(request: ChatRequest) -> Reply:
        has_used = any(message["role"] == "tool" for message in request.body["messages"])
        return ANSWERS if has_used or request.body["model"] == READERS else USES_TOOL

    with OpenAIServer(behave) as server:
        yield server


async def look(text: str) -> str:
    """Look something up."""
    return text


def look_at_once(text: str) -> str:
    """Look something up."""
    return text


look_at_once.__name__ = "look"


async def directly(model: Any) -> None:
    await model.ainvoke("y")


async def in_a_task(model: Any) -> None:
    await asyncio.create_task(model.ainvoke("y"))


async def gathered(model: Any) -> None:
    await asyncio.gather(model.ainvoke("y"), model.ainvoke("z"))


async def in_a_thread(model: Any) -> None:
    await asyncio.to_thread(model.invoke, "y")


@pytest.mark.parametrize("around", [None, "outer"])
@pytest.mark.parametrize("mode", ["updates", "messages"])
@pytest.mark.parametrize("ask", [directly, in_a_task, gathered, in_a_thread])
def test_a_call_of_the_reader_is_not_the_agents(
    ask: Callable[[Any], Awaitable[None]], mode: str, around: str | None, server: OpenAIServer, told: Recorded
) -> None:
    async def read() -> None:
        reader = chat_model(server, model=READERS)
        async for _ in agent(server, "writer", [look]).astream(QUESTION, stream_mode=mode):
            await ask(reader)

    async def read_around() -> None:
        if around is None:
            await read()
        else:
            with agent_run(agent_name=around):
                await read()

    asyncio.run(read_around())
    own, others = ([call for call in told.calls if (call.model == READERS) is is_own] for is_own in (True, False))
    assert {call.agent_name for call in own} == {around or "unknown"}
    assert [call.agent_name for call in others] == ["writer", "writer"]
    assert [(tool.tool_name, tool.agent_name) for tool in told.tools] == [("look", "writer")]
    agents = [(run.agent_name, run.llm_calls, run.own_prompt_tokens) for run in told.agents]
    assert agents[0] == ("writer", 2, 20)
    assert len(told.calls) == server.tally.requests
    assert told.is_paired()


def test_a_call_of_the_readers_in_a_thread_with_its_context_is_not_the_agents(
    server: OpenAIServer, told: Recorded
) -> None:
    reader = chat_model(server, model=READERS)
    with ThreadPoolExecutor(1) as threads:
        for _ in agent(server, "writer", [look_at_once]).stream(QUESTION):
            threads.submit(copy_context().run, reader.invoke, "y").result()
    assert {call.agent_name for call in told.calls if call.model == READERS} == {"unknown"}
    assert [(run.agent_name, run.llm_calls, run.tool_calls) for run in told.agents] == [("writer", 2, 1)]


@pytest.mark.parametrize("in_task", [False, True])
def test_a_tool_and_a_lookup_of_the_reader_are_not_the_agents(
    in_task: bool, server: OpenAIServer, told: Recorded
) -> None:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.tools import tool

    class Handbook(BaseRetriever):  # type: ignore[misc]  # it has no types here
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
            return [Document(query)]

    @tool  # type: ignore[untyped-decorator]  # the same
    async def own(text: str) -> str:
        """Look something up for the reader."""
        return text

    async def read() -> None:
        async for _ in agent(server, "writer", [look]).astream(QUESTION):
            for asked in (own.ainvoke({"text": "x"}), Handbook().ainvoke("x")):
                await (asyncio.create_task(asked) if in_task else asked)

    with documents_retrieved.captured() as lookups:
        asyncio.run(read())
    assert {lookup.agent_name for lookup in lookups} == {"unknown"}
    assert {(use.tool_name, use.agent_name) for use in told.tools} == {("own", "unknown"), ("look", "writer")}
    assert [run.tool_calls for run in told.agents] == [1]


def test_an_agent_of_the_reader_is_not_in_the_other_one(server: OpenAIServer, told: Recorded) -> None:
    async def read() -> None:
        second = agent(server, "second", [look])
        async for _ in agent(server, "first", [look]).astream(QUESTION):
            await second.ainvoke(QUESTION)

    asyncio.run(read())
    assert {(run.agent_name, run.llm_calls) for run in told.agents} == {("first", 2), ("second", 2)}


def test_a_node_that_goes_on_while_the_reader_has_the_word_is_in_its_agent(told: Recorded) -> None:
    async def read() -> None:
        has_word, is_done = asyncio.Event(), asyncio.Event()

        async def work(state: State) -> State:
            from langgraph.config import get_stream_writer

            get_stream_writer()("part")
            await has_word.wait()
            query_executed.emit(operation="select", table="campaigns", duration=0.0)
            await asyncio.create_task(query())
            is_done.set()
            return state

        async def query() -> None:
            query_executed.emit(operation="select", table="campaigns", duration=0.0)

        async for _ in graph({"work": work}, "worker").astream({"text": "x"}, stream_mode="custom"):
            has_word.set()
            await is_done.wait()
            query_executed.emit(operation="select", table="campaigns", duration=0.0)

    with query_executed.captured() as queries:
        asyncio.run(read())
    assert [each.agent_name for each in queries] == ["worker", "worker", "unknown"]
    assert [run.status for run in told.agents] == ["success"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_queries_of_a_checkpointer_are_the_agents(asynchronous: bool, told: Recorded) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    class Saver(InMemorySaver):  # type: ignore[misc]  # the same
        def put(self, *args: Any, **more: Any) -> Any:
            query_executed.emit(operation="insert", table="checkpoints", duration=0.0)
            return super().put(*args, **more)

    work = graph({"work": lambda state: state, "more": lambda state: state}, "worker", checkpointer=Saver())
    config = {"configurable": {"thread_id": "1"}}

    async def read() -> None:
        async for _ in work.astream({"text": "x"}, config):
            pass

    with query_executed.captured() as queries:
        if asynchronous:
            asyncio.run(read())
        else:
            list(work.stream({"text": "x"}, config))
    assert {each.agent_name for each in queries} == {"worker"}
    assert told.agents[0].status == "success"


def test_a_task_that_the_reader_does_not_wait_for_is_its_own_in_an_empty_context(
    server: OpenAIServer, told: Recorded
) -> None:
    async def read() -> None:
        reader = chat_model(server, model=READERS)
        tasks = [
            asyncio.create_task(reader.ainvoke("y"), context=Context())
            async for _ in agent(server, "writer", [look]).astream(QUESTION)
        ]
        await asyncio.gather(*tasks)

    asyncio.run(read())
    assert {call.agent_name for call in told.calls if call.model == READERS} == {"unknown"}
    assert [run.llm_calls for run in told.agents] == [2]
