"""LangChain's runs are told once where a tracer of LangChain, of the SDK or of both is watched too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from events import documents_retrieved
from events.bridges.langchain import instrument as instrument_langchain
from events.bridges.openai import instrument as instrument_openai
from events.bridges.opentelemetry import instrument as instrument_provider
from tests.support.langchain_models import agent, chat_model
from tests.support.openai_server import OpenAIServer, Reply, Usage, fails, says
from tests.support.recorded_calls import Recorded, recorded_calls, sums_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.models(
        "langchain",
        "langgraph",
        "langchain_openai",
        "opentelemetry.sdk",
        "openinference.instrumentation.langchain",
        "openinference.instrumentation.openai",
    ),
]

USAGE = Usage(prompt=100, completion=20)
QUESTION = {"messages": [("human", "hi")]}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """Run a model's server."""
    with OpenAIServer(says(usage=USAGE)) as server:
        yield server


@pytest.fixture(params=["langchain", "openai", "both"])
def provider(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Trace LangChain, the SDK of OpenAI, or both."""
    from openinference.instrumentation.langchain import LangChainInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    kinds = {"langchain": [LangChainInstrumentor], "openai": [OpenAIInstrumentor]}
    instrumentors = [kind() for kind in kinds.get(request.param) or [LangChainInstrumentor, OpenAIInstrumentor]]
    provider = TracerProvider()
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)
    yield provider
    for instrumentor in instrumentors:
        instrumentor.uninstrument()
    provider.shutdown()


@pytest.fixture(params=["LangChain first", "tracer first"])
def told(request: pytest.FixtureRequest, provider: Any) -> Iterator[Recorded]:
    """Record what is emitted, with the bridges switched on in either order."""
    bridges: list[Callable[[], AbstractContextManager[Any]]] = [
        lambda: instrument_langchain(price=None),
        lambda: instrument_provider(provider, price=None),
    ]
    with ExitStack() as stack:
        events = stack.enter_context(recorded_calls())
        for bridge in bridges if request.param == "LangChain first" else reversed(bridges):
            stack.enter_context(bridge())
        yield events


def invoke(model: Any) -> None:
    model.invoke("hi")


def ainvoke(model: Any) -> None:
    asyncio.run(model.ainvoke("hi"))


def stream(model: Any) -> None:
    list(model.stream("hi"))


def batch(model: Any) -> None:
    model.batch(["hi"] * 20)


def abatch(model: Any) -> None:
    asyncio.run(model.abatch(["hi"] * 20))


@pytest.mark.parametrize("is_exact_too", [False, True])
@pytest.mark.parametrize("ask", [invoke, ainvoke, stream, batch, abatch])
def test_each_call_is_told_once(
    ask: Callable[[Any], None], is_exact_too: bool, server: OpenAIServer, told: Recorded
) -> None:
    model = chat_model(server)
    with ExitStack() as stack:
        for client in (model.root_client, model.root_async_client) if is_exact_too else ():
            stack.enter_context(instrument_openai(client, price=None))
        ask(model)
    assert told.sums() == sums_of(server.tally)
    assert told.is_paired()


def test_an_error_is_told_once(server: OpenAIServer, told: Recorded) -> None:
    server.behaviour = fails(429)
    with pytest.raises(Exception, match="scripted failure"):
        invoke(chat_model(server))
    assert [(call.status, call.error_type) for call in told.calls] == [("error", "rate_limited")]


def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


async def add_async(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


add_async.__name__ = "add"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_and_its_tools_are_told_once(asynchronous: bool, server: OpenAIServer, told: Recorded) -> None:
    calls = (("add", {"one": 1, "other": 2}), ("add", {"one": 3, "other": 4}))
    server.behaviour = [Reply(tool_calls=calls, usage=USAGE), says(usage=USAGE)]
    runnable = agent(server, "adder", [add_async if asynchronous else add])
    if asynchronous:
        asyncio.run(runnable.ainvoke(QUESTION))
    else:
        runnable.invoke(QUESTION)
    assert [(tool.tool_name, tool.agent_name) for tool in told.tools] == [("add", "adder")] * 2
    assert [(run.agent_name, run.llm_calls, run.tool_calls, run.prompt_tokens) for run in told.agents] == [
        ("adder", 2, 2, 200)
    ]
    assert told.sums() == sums_of(server.tally)
    assert told.is_paired()


@pytest.mark.usefixtures("told")
def test_a_lookup_is_told_once() -> None:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

    class Handbook(BaseRetriever):  # type: ignore[misc]  # it has no types here
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
            return [Document("a")]

    with documents_retrieved.captured() as lookups:
        Handbook().invoke("x")
        asyncio.run(Handbook().ainvoke("x"))
    assert [lookup.documents for lookup in lookups] == [1, 1]
