"""Agents, the tools that they use and the agents that they ask, as the SDK's traces have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from events.bridges.mcp import instrument as instrument_mcp
from tests.events.bridges.openai_agents.conftest import Told
from tests.support.mcp_tools import Served, make_server
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, calls_tool, says

pytestmark = [pytest.mark.models("agents"), pytest.mark.slow]

Make = Callable[..., Any]


async def look_up(city: str) -> str:
    return f"rain in {city}"


async def fail() -> str:
    raise KeyError("secret")


async def wait() -> str:
    await asyncio.sleep(60)
    return "late"


def tools_of(sdk: Any) -> list[Any]:
    """Return a tool that succeeds, two that fail, and two whose time is over."""
    make = sdk.function_tool
    return [
        make(look_up),
        make(fail),
        make(fail, name_override="crash", failure_error_function=None),
        make(wait, timeout=0.05),
        make(wait, name_override="wait_or_raise", timeout=0.05, timeout_behavior="raise_exception"),
    ]


def used(told: Told) -> list[tuple[str, str, str, str]]:
    return [(each.tool_name, each.status, each.error, each.agent_name) for each in told.tools]


async def run_streamed(sdk: Any, agent: Any) -> None:
    """Run an agent whose answers are streamed, to the end."""
    async for _ in sdk.Runner.run_streamed(agent, "x").stream_events():
        pass


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_has_its_models_tools_and_tokens(
    streamed: bool, sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    server.behaviour = [calls_tool("look_up", {"city": "Oslo"}), says()]
    settings = sdk.ModelSettings(include_usage=True)
    agent = sdk.Agent("forecaster", model=model(), tools=tools_of(sdk), model_settings=settings)
    await (run_streamed(sdk, agent) if streamed else sdk.Runner.run(agent, "x"))
    [started], [finished] = told.agents_started, told.agents
    assert (started.agent_name, started.execution_id) == ("forecaster", finished.execution_id)
    assert (finished.status, finished.llm_calls, finished.tool_calls) == ("success", 2, 1)
    assert (finished.prompt_tokens, finished.completion_tokens) == (22, 14)
    assert used(told) == [("look_up", "success", "", "forecaster")]
    assert told.tools[0].mcp_server is None
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens)
    parts = (finished.llm_time, finished.tool_time, finished.backoff_time, finished.self_time)
    assert sum(part or 0 for part in parts) == pytest.approx(finished.duration, abs=1e-6)
    assert (finished.llm_time or 0) > 0


async def test_tools_in_parallel(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    three = Reply(tool_calls=tuple(("look_up", {"city": city}) for city in ("Oslo", "Rome", "Bonn")))
    server.behaviour = [three, says()]
    await sdk.Runner.run(sdk.Agent("forecaster", model=model(), tools=tools_of(sdk)), "x")
    assert used(told) == [("look_up", "success", "", "forecaster")] * 3
    assert told.agents[0].tool_calls == 3


async def test_a_tool_that_fails_as_a_text_for_the_model_is_an_error(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    server.behaviour = [calls_tool("fail", {}), says()]
    await sdk.Runner.run(sdk.Agent("forecaster", model=model(), tools=tools_of(sdk)), "x")
    assert used(told) == [("fail", "error", "", "forecaster")]
    assert "secret" not in repr(told)
    assert told.agents[0].status == "success"


async def test_a_tool_that_raises_ends_its_agent(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = calls_tool("crash", {})
    with pytest.raises(sdk.UserError):
        await sdk.Runner.run(sdk.Agent("forecaster", model=model(), tools=tools_of(sdk)), "x")
    assert used(told) == [("crash", "error", "KeyError", "forecaster")]
    assert [(each.status, each.error, each.error_type) for each in told.agents] == [("error", "KeyError", "other")]


async def test_a_tool_whose_time_is_over(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    """That of a timeout which the SDK makes a text for the model is not in its trace."""
    agent = sdk.Agent("forecaster", model=model(), tools=tools_of(sdk))
    server.behaviour = [calls_tool("wait", {}), says()]
    await sdk.Runner.run(agent, "x")
    server.behaviour = calls_tool("wait_or_raise", {})
    with pytest.raises(sdk.ToolTimeoutError):
        await sdk.Runner.run(agent, "x")
    assert used(told) == [
        ("wait", "success", "", "forecaster"),
        ("wait_or_raise", "timeout", "ToolTimeoutError", "forecaster"),
    ]
    assert [each.status for each in told.agents] == ["success", "timeout"]


async def test_a_handoff_ends_an_agent_and_starts_the_next(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    server.behaviour = [calls_tool("transfer_to_poet", {}), says()]
    poet = sdk.Agent("poet", model=model())
    await sdk.Runner.run(sdk.Agent("triage", model=model(), handoffs=[poet]), "x")
    assert [(each.agent_name, each.llm_calls, each.prompt_tokens) for each in told.agents] == [
        ("triage", 1, 11),
        ("poet", 1, 11),
    ]
    assert [call.agent_name for call in told.calls] == ["triage", "poet"]
    assert told.tools == []


async def test_an_agent_that_another_one_asks_is_inside_of_it(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    def reply(request: ChatRequest) -> Reply:
        if request.model == "inner":
            return says()
        return says() if any(each["role"] == "tool" for each in request.messages) else calls_tool("ask", {"input": "?"})

    server.behaviour = reply
    inner = sdk.Agent("poet", model=model("inner"))
    outer = sdk.Agent("editor", model=model("outer"), tools=[inner.as_tool("ask", "Asks the poet.")])
    await sdk.Runner.run(outer, "x")
    poet, editor = told.agents
    assert (poet.agent_name, poet.llm_calls, poet.prompt_tokens, poet.own_prompt_tokens) == ("poet", 1, 11, 11)
    assert (editor.agent_name, editor.prompt_tokens, editor.own_prompt_tokens) == ("editor", 33, 22)
    assert (editor.llm_calls, editor.tool_calls) == (3, 1)
    assert [(call.model, call.agent_name) for call in told.calls] == [
        ("outer", "editor"),
        ("inner", "poet"),
        ("outer", "editor"),
    ]
    assert used(told) == [("ask", "success", "", "editor")]
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_guardrail_that_trips_ends_its_agent_with_an_error(
    streamed: bool, sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    async def refuse(*_: Any) -> Any:
        return sdk.GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    guardrail = sdk.InputGuardrail(guardrail_function=refuse)
    server.behaviour = says(delay=0.2)
    agent = sdk.Agent("writer", model=model(), input_guardrails=[guardrail])
    with pytest.raises(sdk.InputGuardrailTripwireTriggered):
        await (run_streamed(sdk, agent) if streamed else sdk.Runner.run(agent, "x"))
    assert [(each.agent_name, each.status) for each in told.agents] == [("writer", "error")]


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_checks_of_guardrails(
    streamed: bool, sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    """One trips at the input, so another one that takes longer is cancelled; one at the output fails itself."""

    def decide(triggered: bool) -> Any:
        return sdk.GuardrailFunctionOutput(output_info="secret", tripwire_triggered=triggered)

    async def allow(*_: Any) -> Any:
        return decide(False)

    async def refuse(*_: Any) -> Any:
        await asyncio.sleep(0.05)
        return decide(True)

    async def ponder(*_: Any) -> Any:
        await asyncio.sleep(60)

    async def crash(*_: Any) -> Any:
        raise KeyError("secret")

    async def run(**guardrails: Any) -> None:
        agent = sdk.Agent("writer", model=model(), **guardrails)
        await (run_streamed(sdk, agent) if streamed else sdk.Runner.run(agent, "x"))

    server.behaviour = says(delay=0.2)
    inputs = [sdk.InputGuardrail(guardrail_function=each, name=each.__name__) for each in (allow, refuse, ponder)]
    with pytest.raises(sdk.InputGuardrailTripwireTriggered):
        await run(input_guardrails=inputs)
    outputs = [sdk.OutputGuardrail(guardrail_function=each, name=each.__name__) for each in (allow, crash)]
    with pytest.raises(KeyError):
        await run(output_guardrails=outputs)
    assert {(each.guardrail, each.kind, each.outcome, each.error) for each in told.checks} == {
        ("allow", "input", "passed", ""),
        ("refuse", "input", "triggered", ""),
        ("ponder", "input", "cancelled", ""),
        ("allow", "output", "passed", ""),
        ("crash", "output", "error", "KeyError"),
    }
    assert len(told.checks) == 5
    assert {each.agent_name for each in told.checks if each.kind == "output"} == {"writer"}
    assert min(each.duration for each in told.checks if each.guardrail in ("refuse", "ponder")) >= 0.04
    assert "secret" not in repr(told.checks)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_that_a_guardrail_asks_is_inside_of_the_one_that_it_guards(
    streamed: bool, sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    judge = sdk.Agent("judge", model=model("judge"))

    async def ask(_context: Any, _agent: Any, text: Any) -> Any:
        await sdk.Runner.run(judge, text)
        return sdk.GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    guardrail = sdk.InputGuardrail(guardrail_function=ask)
    settings = sdk.ModelSettings(include_usage=True)
    agent = sdk.Agent("writer", model=model(), input_guardrails=[guardrail], model_settings=settings)
    await (run_streamed(sdk, agent) if streamed else sdk.Runner.run(agent, "x"))
    assert {each.agent_name: (each.prompt_tokens, each.own_prompt_tokens) for each in told.agents} == {
        "judge": (11, 11),
        "writer": (22, 11),
    }


def test_a_run_outside_of_an_event_loop(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    def count(city: str) -> int:
        return len(city)

    server.behaviour = [calls_tool("count", {"city": "Oslo"}), says()]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # the SDK would make one, and leave it open
    try:
        sdk.Runner.run_sync(sdk.Agent("counter", model=model(), tools=[sdk.function_tool(count)]), "x")
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert used(told) == [("count", "success", "", "counter")]
    assert [(each.llm_calls, each.tool_calls, each.prompt_tokens) for each in told.agents] == [(2, 1, 22)]


async def test_runs_in_threads_with_event_loops_of_their_own(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    server.behaviour = says(delay=0.05)

    def run(number: int) -> None:
        asyncio.run(sdk.Runner.run(sdk.Agent(f"agent {number}", model=model()), "x"))

    await asyncio.gather(*(asyncio.to_thread(run, number) for number in range(6)))
    assert sorted(call.agent_name for call in told.calls) == [f"agent {number}" for number in range(6)]
    assert {(each.llm_calls, each.prompt_tokens) for each in told.agents} == {(1, 11)}


async def test_an_agent_that_asks_too_often(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = calls_tool("look_up", {"city": "Oslo"})
    with pytest.raises(sdk.MaxTurnsExceeded):
        await sdk.Runner.run(sdk.Agent("forecaster", model=model(), tools=tools_of(sdk)), "x", max_turns=2)
    assert [(each.status, each.error, each.llm_calls) for each in told.agents] == [("error", "MaxTurnsExceeded", 2)]


async def test_a_tool_that_waits_for_approval_was_not_used(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    async def delete() -> None:
        """Return nothing, as in the trace a tool does that waits."""

    server.behaviour = [calls_tool("delete", {}), says()]
    agent = sdk.Agent("cleaner", model=model(), tools=[sdk.function_tool(delete, needs_approval=True)])
    result = await sdk.Runner.run(agent, "x")
    assert len(result.interruptions) == 1
    assert used(told) == []
    assert [(each.status, each.llm_calls, each.tool_calls) for each in told.agents] == [("success", 1, 0)]
    state = result.to_state()
    state.approve(result.interruptions[0])
    await sdk.Runner.run(agent, state)
    assert used(told) == [("delete", "success", "", "cleaner")]
    assert [(each.status, each.llm_calls, each.tool_calls) for each in told.agents[1:]] == [("success", 1, 1)]
    server.behaviour = [calls_tool("delete", {}), says()]
    result = await sdk.Runner.run(agent, "x")
    state = result.to_state()
    state.reject(result.interruptions[0])
    await sdk.Runner.run(agent, state)
    assert used(told) == [("delete", "success", "", "cleaner")]


@pytest.mark.models("mcp")
@pytest.mark.parametrize("client_too", [False, True])
async def test_a_tool_on_an_mcp_server_is_told_once(
    client_too: bool, sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    from agents.mcp import MCPServerStreamableHttp

    from tests.support.asgi_server import running_server

    served = Served()
    server.behaviour = [
        calls_tool("forecast", {"city": "Oslo"}),
        calls_tool("history", {"city": "Oslo"}),
        says(),
    ]
    application = make_server(served).streamable_http_app()
    async with (
        running_server(application, lifespan="on") as url,
        MCPServerStreamableHttp({"url": f"{url}/mcp"}, name="forecasts") as tools,
    ):
        agent = sdk.Agent("forecaster", model=model(), mcp_servers=[tools])
        with instrument_mcp() if client_too else nullcontext():
            await sdk.Runner.run(agent, "x")
    assert served.tools == ["forecast", "history"]
    failed = "error" if client_too else "success"  # a text for the model, of which the trace has no error
    assert [(each.tool_name, each.status, each.mcp_server) for each in told.tools] == [
        ("forecast", "success", "forecasts"),
        ("history", failed, "forecasts"),
    ]
    assert told.agents[0].tool_calls == 2
