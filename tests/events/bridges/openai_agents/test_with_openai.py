"""With the bridge to the openai SDK beside it, each call is told once, exactly, and is of the agent that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from events.bridges.openai import instrument
from tests.events.bridges.openai_agents.conftest import Told
from tests.support.openai_server import OpenAIServer, Usage, calls_tool, fails, says, stalls
from tests.support.wait import until

pytestmark = [pytest.mark.models("agents"), pytest.mark.slow]


def client_of(server: OpenAIServer, **options: Any) -> Any:
    """Return an instrumented client."""
    import openai

    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", **{"max_retries": 0, **options})
    instrument(client)
    return client


@pytest.fixture(params=["chat", "responses"])
def both(request: pytest.FixtureRequest, sdk: Any) -> Any:
    """Return, for both APIs, the server and a function that makes an agent."""
    server: OpenAIServer = request.getfixturevalue("server" if request.param == "chat" else "responses_server")

    def make(name: str = "writer", tools: tuple[Any, ...] = (), **options: Any) -> Any:
        kind = sdk.OpenAIChatCompletionsModel if request.param == "chat" else sdk.OpenAIResponsesModel
        settings = sdk.ModelSettings(include_usage=True)
        model = kind("m", client_of(server, **options))
        return sdk.Agent(name, model=model, tools=list(tools), model_settings=settings)

    return server, make


async def stream(sdk: Any, agent: Any) -> None:
    async for _ in sdk.Runner.run_streamed(agent, "x").stream_events():
        pass


async def run(sdk: Any, agent: Any) -> None:
    await sdk.Runner.run(agent, "x")


EITHER = pytest.mark.parametrize("ask", [run, stream])
Ask = Callable[[Any, Any], Awaitable[None]]


def outcomes(told: Told) -> list[tuple[str, str | None, str]]:
    return [(call.status, call.error_type, call.agent_name) for call in told.calls]


@EITHER
async def test_a_call_is_exact(ask: Ask, both: Any, sdk: Any, told: Told) -> None:
    server, make = both
    server.behaviour = says(usage=Usage(prompt=90, completion=30, cached=40, reasoning=10), model="m-2026")
    await ask(sdk, make())
    [call], [started], [attempt], [agent] = told.calls, told.calls_started, told.attempts, told.agents
    assert (call.model, call.response_model, call.provider, call.agent_name) == (
        "m",
        "m-2026",
        "openai-compatible",
        "writer",
    )
    assert (call.prompt_tokens, call.completion_tokens, call.cache_read_tokens, call.reasoning_tokens) == (
        90,
        30,
        40,
        10,
    )
    assert (call.streamed, call.time_to_first_token is not None) == (ask is stream, ask is stream)
    assert (started.call_id, started.model, started.agent_name) == (call.call_id, "m", "writer")
    assert (attempt.call_id, attempt.status_code, attempt.outcome) == (call.call_id, 200, "success")
    assert (agent.prompt_tokens, agent.completion_tokens, agent.llm_calls) == (90, 30, 1)


@EITHER
@pytest.mark.parametrize("code", [400, 401, 429, 500])
async def test_an_error_is_exact(code: int, ask: Ask, both: Any, sdk: Any, told: Told) -> None:
    import openai

    server, make = both
    server.behaviour = fails(code)
    with pytest.raises(openai.APIStatusError):
        await ask(sdk, make())
    expected = {400: "invalid_request", 401: "auth", 429: "rate_limited", 500: "provider_5xx"}[code]
    assert outcomes(told) == [("error", expected, "writer")]
    assert [(each.status_code, each.error_type) for each in told.attempts] == [(code, expected)]
    assert [(each.status, each.error_type) for each in told.agents] == [("error", expected)]


@EITHER
async def test_a_retry_is_an_attempt(ask: Ask, both: Any, sdk: Any, told: Told) -> None:
    server, make = both
    server.behaviour = [fails(500, retry_after=0.1), says()]
    await ask(sdk, make(max_retries=1))
    assert outcomes(told) == [("success", None, "writer")]
    assert [each.status_code for each in told.attempts] == [500, 200]
    assert told.calls[0].attempts == server.tally.requests == 2
    assert (told.agents[0].backoff_time or 0) > 0


@EITHER
async def test_a_timeout(ask: Ask, both: Any, sdk: Any, told: Told) -> None:
    import openai

    server, make = both
    server.behaviour = stalls()
    with pytest.raises(openai.APITimeoutError):
        await ask(sdk, make(timeout=0.3))
    assert outcomes(told) == [("timeout", "timeout", "writer")]


@EITHER
async def test_a_run_that_is_cancelled(ask: Ask, both: Any, sdk: Any, told: Told) -> None:
    server, make = both
    server.behaviour = stalls()
    running = asyncio.ensure_future(ask(sdk, make()))
    await until(lambda: server.tally.requests)
    running.cancel()
    await asyncio.wait([running])
    await until(lambda: told.agents)
    assert outcomes(told) == [("cancelled", "cancelled", "writer")]


async def test_a_stream_that_breaks_off(both: Any, sdk: Any, told: Told) -> None:
    server, make = both
    server.behaviour = says(break_after=3)
    with pytest.raises(Exception, match=r".*"):
        await stream(sdk, make())
    assert outcomes(told) == [("error", "connection", "writer")]


async def test_a_stream_that_its_reader_leaves(both: Any, sdk: Any, told: Told) -> None:
    server, make = both
    server.behaviour = says(stall_after=5)
    result = sdk.Runner.run_streamed(make(), "x")
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            result.cancel()
    await until(lambda: told.calls)
    assert outcomes(told) == [("cancelled", "cancelled", "writer")]


@EITHER
async def test_an_answer_without_usage(ask: Ask, both: Any, sdk: Any, told: Told) -> None:
    server, make = both
    server.behaviour = says(usage=None)
    await ask(sdk, make())
    assert [(call.status, call.usage_source, call.prompt_tokens) for call in told.calls] == [("success", "none", None)]


@EITHER
async def test_tools_and_their_calls_are_of_the_agent(ask: Ask, both: Any, sdk: Any, told: Told) -> None:
    async def look_up(city: str) -> str:
        return f"rain in {city}"

    server, make = both
    server.behaviour = [calls_tool("look_up", {"city": "Oslo"}), says()]
    await ask(sdk, make(tools=(sdk.function_tool(look_up),)))
    assert outcomes(told) == [("success", None, "writer")] * 2
    assert [(each.tool_name, each.agent_name) for each in told.tools] == [("look_up", "writer")]
    [agent] = told.agents
    assert (agent.llm_calls, agent.tool_calls) == (2, 1)
    assert (agent.prompt_tokens, agent.completion_tokens) == told.tokens
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens)


async def test_twenty_at_once(both: Any, sdk: Any, told: Told) -> None:
    server, make = both
    server.behaviour = says(usage=Usage(prompt=50, completion=10), delay=0.05)
    agents = [make(f"agent {number % 4}") for number in range(20)]
    await asyncio.gather(*((stream if number % 2 else run)(sdk, agent) for number, agent in enumerate(agents)))
    assert len(told.calls) == len(told.attempts) == len(told.calls_started) == server.tally.completed == 20
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens) == (1000, 200)
    assert {(each.prompt_tokens, each.llm_calls) for each in told.agents} == {(50, 1)}
    assert {started.call_id for started in told.calls_started} == {call.call_id for call in told.calls}
    assert sum(call.streamed for call in told.calls) == 10


async def test_a_run_without_a_trace_has_its_calls_and_no_agents(both: Any, sdk: Any, told: Told) -> None:
    _, make = both
    await sdk.Runner.run(make(), "x", run_config=sdk.RunConfig(tracing_disabled=True))
    assert outcomes(told) == [("success", None, "unknown")]
    assert told.agents == []
