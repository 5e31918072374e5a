"""Spans that libraries write: pydantic-ai, anthropic and mcp by themselves, LangChain by OpenInference."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from events import agent_run, llm_called
from events.bridges import anthropic as anthropic_bridge
from events.bridges import langchain as langchain_bridge
from events.bridges import mcp as mcp_bridge
from events.bridges import openai as openai_bridge
from events.bridges import pydantic_ai as pydantic_ai_bridge
from events.bridges.opentelemetry import GenAISpanProcessor, instrument
from tests.support.langchain_models import agent, chat_model
from tests.support.mcp_tools import Served, make_server
from tests.support.openai_server import OpenAIServer, Usage, calls_tool, fails, says
from tests.support.provider_servers import AnthropicServer
from tests.support.recorded_calls import Recorded, recorded_calls, sums_of
from tests.support.sdk_calls import MESSAGES, ask
from tests.support.tracing import LANGCHAIN, OPENAI, Tracers, make_provider
from tests.support.wait import until

pytestmark = pytest.mark.models("opentelemetry.sdk.trace", "openinference.instrumentation", "langchain", "mcp")

DETAILS = Usage(prompt=100, completion=50, cached=40, reasoning=20)


@pytest.fixture(scope="module")
def tracers() -> Iterator[Tracers]:
    tracers = Tracers({**OPENAI, **LANGCHAIN})
    yield tracers
    tracers.stop()


@pytest.fixture
def provider() -> Any:
    return make_provider()


@pytest.fixture
def recorded(provider: Any) -> Iterator[Recorded]:
    with instrument(provider, price=None), recorded_calls() as recorded:
        yield recorded


def runs_of(recorded: Recorded) -> list[tuple[str, int, int, int, int | None]]:
    """Return each agent's run with its calls, tools, and prompt tokens, of all and its own."""
    return [
        (run.agent_name, run.llm_calls, run.tool_calls, run.prompt_tokens, run.own_prompt_tokens)
        for run in recorded.agents
    ]


@pytest.mark.parametrize("beside", ["alone", "official", "OpenInference", "direct"])
async def test_pydantic_ai(tracers: Tracers, beside: str, request: pytest.FixtureRequest) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider, processor = make_provider(), GenAISpanProcessor(price=None)
    provider.add_span_processor(processor)
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
    request.addfinalizer(lambda: Agent.instrument_all(False))
    names = [beside] if beside in OPENAI else []
    with OpenAIServer() as server, tracers.seen_by(processor, names), recorded_calls() as recorded:
        asked = OpenAIProvider(base_url=server.base_url, api_key="none")
        model: Any = OpenAIChatModel("gpt-4o-mini", provider=asked)
        if beside == "direct":
            model = pydantic_ai_bridge.instrument(model)
        writer, boss = Agent(model, name="writer"), Agent(model, name="boss")

        @boss.tool_plain
        async def delegate(task: str) -> str:
            return (await writer.run(task)).output

        server.behaviour = [calls_tool("delegate", {"task": "a slogan"}), says(), says(usage=DETAILS)]
        await boss.run("Do it.")
        server.behaviour = fails(401)
        with pytest.raises(Exception, match="401"):
            await writer.run("Do it.")
        processor.shutdown()
        assert recorded.sums() == sums_of(server.tally)
    assert recorded.is_paired()
    assert runs_of(recorded) == [("writer", 1, 0, 11, 11), ("boss", 3, 1, 122, 111), ("writer", 1, 0, 0, 0)]
    assert [tool.tool_name for tool in recorded.tools] == ["delegate"]
    assert [call.agent_name for call in recorded.calls] == ["boss", "writer", "boss", "writer"]
    assert [call.error_type for call in recorded.calls] == [None, None, None, "auth"]
    assert recorded.calls[2].cache_read_tokens == DETAILS.cached


@pytest.mark.parametrize("is_direct", [False, True], ids=["alone", "direct"])
async def test_anthropic(provider: Any, recorded: Recorded, is_direct: bool) -> None:
    with AnthropicServer([says(usage=DETAILS), says(), fails(429), says()]) as server:
        client = MESSAGES.client(server, open_telemetry={"tracer_provider": provider})
        if is_direct:
            anthropic_bridge.instrument(client, price=None)
        await ask(MESSAGES, client)
        await ask(MESSAGES, client, streamed=True)
        with pytest.raises(Exception, match="429"):
            await ask(MESSAGES, client)
        assert recorded.sums() == sums_of(server.tally)
        await ask(MESSAGES, client, streamed=True, leave_after=2)
        gc.collect()
        await until(lambda: len(recorded.calls) == 4)
        client.close()
    assert recorded.is_paired()
    assert [call.status for call in recorded.calls] == ["success", "success", "error", "cancelled"]
    assert [call.error_type for call in recorded.calls] == [None, None, "rate_limited", "cancelled"]
    assert recorded.calls[0].cache_read_tokens == DETAILS.cached
    assert recorded.calls[1].time_to_first_token is not None


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("beside", ["alone", "official", "OpenInference", "OpenLLMetry"])
async def test_langchain(tracers: Tracers, beside: str, is_async: bool) -> None:
    from langchain_core.tools import tool

    def look(place: str) -> str:
        """Look somewhere."""
        return place

    processor = GenAISpanProcessor(price=None)
    names = ["langchain", beside] if beside in OPENAI else ["langchain"]
    with OpenAIServer() as server, tracers.seen_by(processor, names), recorded_calls() as recorded:
        model, looker = chat_model(server), agent(server, "looking_agent", [tool(look)])
        question = {"messages": [("human", "Where?")]}
        server.behaviour = [calls_tool("look", {"place": "here"}), says()]
        if is_async:
            await looker.ainvoke(question)
        else:
            looker.invoke(question)
        server.behaviour = says(delay=0.02)
        if is_async:
            await asyncio.gather(*(model.ainvoke("Hi.") for _ in range(10)))
        else:
            model.batch(["Hi."] * 10)
        server.behaviour = fails(429)
        with pytest.raises(Exception, match="429"):
            model.invoke("Hi.")
        processor.shutdown()
        assert recorded.sums() == sums_of(server.tally)
    assert recorded.is_paired()
    assert runs_of(recorded) == [("looking_agent", 2, 1, 22, 22)]
    assert [use.tool_name for use in recorded.tools] == ["look"]
    assert recorded.calls[-1].error_type == "rate_limited"
    if not is_async or beside == "alone":  # callbacks run in threads, which the SDK's span knows nothing of
        assert [call.agent_name for call in recorded.calls][:2] == ["looking_agent"] * 2


async def test_langchain_beside_its_own_bridge(tracers: Tracers) -> None:
    processor = GenAISpanProcessor(price=None)
    with (
        OpenAIServer(says(delay=0.02)) as server,
        langchain_bridge.instrument(),
        tracers.seen_by(processor, ["langchain", "official"]),
        recorded_calls() as recorded,
    ):
        model = chat_model(server)
        model.invoke("Hi.")
        await asyncio.gather(*(model.ainvoke("Hi.") for _ in range(5)))
        list(model.stream("Hi."))
        await agent(server, "looking_agent").ainvoke({"messages": [("human", "Where?")]})
        processor.shutdown()
        assert recorded.sums() == sums_of(server.tally)
    assert recorded.is_paired()
    assert runs_of(recorded) == [("looking_agent", 1, 0, 11, 11)]


def test_langchain_beside_the_bridge_to_the_sdk(tracers: Tracers) -> None:
    processor = GenAISpanProcessor(price=None)
    with OpenAIServer() as server, tracers.seen_by(processor, ["langchain", "official"]), recorded_calls() as recorded:
        model = chat_model(server)
        with openai_bridge.instrument(model.root_client, price=None):
            model.invoke("Hi.")
            model.batch(["Hi."] * 5)
            list(model.stream("Hi."))
        processor.shutdown()
        assert recorded.sums() == sums_of(server.tally)
    assert recorded.is_paired()
    assert {attempt.status_code for attempt in recorded.attempts} == {200}


@pytest.mark.parametrize("is_direct", [False, True], ids=["alone", "direct"])
async def test_mcp(provider: Any, recorded: Recorded, is_direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import mcp.shared._otel as spans_of_mcp
    from mcp import Client

    monkeypatch.setattr(spans_of_mcp, "_tracer", provider.get_tracer("mcp-python-sdk"))
    served = Served()
    with agent_run(agent_name="forecaster"):
        async with Client(make_server(served)) as client:
            if is_direct:
                mcp_bridge.instrument(client, name="forecasts")
            await client.call_tool("forecast", {"city": "Ulm"})
            await client.call_tool("history", {"city": "Ulm"})
    told = [(tool.tool_name, tool.status, tool.agent_name) for tool in recorded.tools]
    seen = [("forecast", "success", "forecaster"), ("history", "error", "forecaster")]
    assert served.tools == ["forecast", "history"]
    assert told == (seen if is_direct else [])  # a client in memory writes no span, and a server's is of others' tools


async def test_tools_of_a_server_count_where_that_is_wanted(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mcp.shared._otel as spans_of_mcp
    from mcp import Client

    monkeypatch.setattr(spans_of_mcp, "_tracer", provider.get_tracer("mcp-python-sdk"))
    with instrument(provider, server_tools=True), recorded_calls() as recorded:
        async with Client(make_server()) as client:
            await client.call_tool("forecast", {"city": "Ulm"})
            await client.call_tool("history", {"city": "Ulm"})
    assert [(tool.tool_name, tool.status) for tool in recorded.tools] == [("forecast", "success"), ("history", "error")]


def test_what_a_library_says_of_a_call_is_no_message(provider: Any) -> None:
    with instrument(provider), llm_called.captured() as called:
        tracer = provider.get_tracer("a.library")
        secret = "the prompt"
        start = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.input.messages": secret}
        with pytest.raises(ValueError, match=secret), tracer.start_as_current_span("chat m", attributes=start):
            raise ValueError(secret)
    assert called[0].error == "ValueError"
    assert secret not in repr(called)
