"""The calls to models as the SDK's traces have them, where no other bridge tells them, equal the server's tally."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from events import agent_run
from tests.events.bridges.openai_agents.conftest import Told
from tests.support.openai_server import OpenAIServer, Usage, fails, says, stalls
from tests.support.responses_server import ResponsesServer
from tests.support.wait import until

pytestmark = [pytest.mark.models("agents"), pytest.mark.slow]

Make = Callable[..., Any]


class Slogan(BaseModel):
    """A typed output."""

    text: str


async def stream(sdk: Any, agent: Any, **options: Any) -> Any:
    """Run an agent whose answers are streamed, to the end."""
    result = sdk.Runner.run_streamed(agent, "x", **options)
    async for _ in result.stream_events():
        pass
    return result


async def test_a_plain_call_has_its_tokens(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = says(usage=Usage(prompt=90, completion=30, cached=40, reasoning=10), model="m-2026")
    await sdk.Runner.run(sdk.Agent("writer", model=model()), "x")
    [call] = told.calls
    assert (call.model, call.response_model, call.provider, call.status) == ("m", None, "openai-compatible", "success")
    assert (call.prompt_tokens, call.completion_tokens) == (90, 30)
    assert (call.cache_read_tokens, call.reasoning_tokens, call.usage_source) == (40, 10, "provider")
    assert (call.agent_name, call.attempts, call.cost) == ("writer", 1, None)
    assert [(each.model, each.call_id) for each in told.calls_started] == [("m", call.call_id)]
    assert [(each.outcome, each.status_code) for each in told.attempts] == [("success", None)]
    assert 0 < (call.duration or 0) < 30


async def test_a_part_that_the_provider_does_not_count_is_unknown(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    await sdk.Runner.run(sdk.Agent("writer", model=model()), "x")
    assert (told.calls[0].cache_read_tokens, told.calls[0].reasoning_tokens) == (None, None)


async def test_a_stream_has_its_tokens_where_it_asks_for_them(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    settings = sdk.ModelSettings(include_usage=True)
    result = await stream(sdk, sdk.Agent("writer", model=model(), model_settings=settings))
    await stream(sdk, sdk.Agent("writer", model=model()))
    assert result.final_output == says().text
    assert [(call.status, call.usage_source, call.prompt_tokens) for call in told.calls] == [
        ("success", "provider", 11),
        ("success", "none", None),
    ]
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens)


async def test_a_typed_output(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = says('{"text": "Ahoy"}')
    result = await sdk.Runner.run(sdk.Agent("writer", model=model(), output_type=Slogan), "x")
    assert result.final_output == Slogan(text="Ahoy")
    assert [(call.status, call.prompt_tokens) for call in told.calls] == [("success", 11)]


async def test_an_answer_without_usage(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = says(usage=None)
    await sdk.Runner.run(sdk.Agent("writer", model=model()), "x")
    assert [(call.status, call.usage_source, call.prompt_tokens) for call in told.calls] == [("success", "none", None)]


ERRORS = {
    400: ("BadRequestError", "invalid_request"),
    401: ("AuthenticationError", "auth"),
    429: ("RateLimitError", "rate_limited"),
    500: ("InternalServerError", "provider_5xx"),
}


@pytest.mark.parametrize("code", [400, 401, 429, 500])
async def test_an_error_is_known_by_its_class(
    code: int, sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    import openai

    server.behaviour = fails(code)
    agent = sdk.Agent("writer", model=model())
    for run in (sdk.Runner.run(agent, "x"), stream(sdk, agent)):
        with pytest.raises(openai.APIStatusError):
            await run
    expected = ("error", *ERRORS[code])
    assert [(call.status, call.error, call.error_type) for call in told.calls] == [expected] * 2
    assert [(each.status, each.error, each.error_type) for each in told.agents] == [expected] * 2


async def test_attempts_of_the_provider_s_sdk_are_not_seen(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    server.behaviour = [fails(500), says()]
    await sdk.Runner.run(sdk.Agent("writer", model=model(max_retries=1)), "x")
    assert (server.tally.requests, len(told.calls), len(told.attempts)) == (2, 1, 1)
    assert told.calls[0].status == "success"


async def test_a_timeout_of_the_provider_s_sdk(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    import openai

    server.behaviour = stalls()
    with pytest.raises(openai.APITimeoutError):
        await sdk.Runner.run(sdk.Agent("writer", model=model(timeout=0.3)), "x")
    assert [(call.status, call.error_type) for call in told.calls] == [("timeout", "timeout")]
    assert [(each.status, each.error) for each in told.agents] == [("timeout", "APITimeoutError")]


async def test_a_run_that_is_cancelled(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = stalls()
    running = asyncio.create_task(sdk.Runner.run(sdk.Agent("writer", model=model()), "x"))
    await until(lambda: server.tally.requests)
    running.cancel()
    await asyncio.wait([running])
    assert [(call.status, call.error_type) for call in told.calls] == [("cancelled", "cancelled")]
    assert [each.status for each in told.agents] == ["cancelled"]


async def test_a_stream_that_breaks_off(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = says(break_after=3)
    with pytest.raises(Exception, match=r".*"):
        await stream(sdk, sdk.Agent("writer", model=model()))
    assert [(call.status, call.error_type) for call in told.calls] == [("error", "connection")]


async def test_a_stream_that_its_reader_leaves(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = says(stall_after=3)
    result = sdk.Runner.run_streamed(sdk.Agent("writer", model=model()), "x")
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            result.cancel()
    await until(lambda: told.agents)
    assert [call.status for call in told.calls] == ["cancelled"]


async def test_twenty_at_once(sdk: Any, server: OpenAIServer, model: Make, told: Told) -> None:
    server.behaviour = says(usage=Usage(prompt=50, completion=10), delay=0.05)
    settings = sdk.ModelSettings(include_usage=True)
    agents = [sdk.Agent(f"agent {number % 4}", model=model(), model_settings=settings) for number in range(20)]
    await asyncio.gather(
        *(stream(sdk, agent) if number % 2 else sdk.Runner.run(agent, "x") for number, agent in enumerate(agents))
    )
    assert len(told.calls) == len(told.attempts) == server.tally.completed == 20
    assert told.tokens == (server.tally.prompt_tokens, server.tally.completion_tokens) == (1000, 200)
    assert {(each.prompt_tokens, each.llm_calls) for each in told.agents} == {(50, 1)}
    assert len({call.call_id for call in told.calls}) == 20


async def test_an_error_that_is_being_handled_already_is_not_that_of_a_call(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    """As that of a first agent, after which another one is asked."""
    server.behaviour = [fails(500), says()]
    agent = sdk.Agent("writer", model=model())
    try:
        await sdk.Runner.run(agent, "x")
    except Exception:
        await sdk.Runner.run(agent, "x")
    assert [call.status for call in told.calls] == ["error", "success"]
    assert [each.status for each in told.agents] == ["error", "success"]


def responses(sdk: Any, server: ResponsesServer, **options: Any) -> Any:
    """Return a model of the Responses API."""
    import openai

    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    return sdk.OpenAIResponsesModel("m", client)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_response_names_its_model_at_the_end(
    streamed: bool, sdk: Any, responses_server: ResponsesServer, told: Told
) -> None:
    responses_server.behaviour = says(usage=Usage(prompt=90, completion=30, cached=40, reasoning=10))
    agent = sdk.Agent("writer", model=responses(sdk, responses_server))
    await (stream(sdk, agent) if streamed else sdk.Runner.run(agent, "x"))
    [call] = told.calls
    assert (call.model, call.response_model, call.provider, call.finish_reason) == ("m", "m", "unknown", "stop")
    assert (call.prompt_tokens, call.completion_tokens, call.cache_read_tokens, call.reasoning_tokens) == (
        90,
        30,
        40,
        10,
    )
    assert [each.call_id for each in told.calls_started] == [call.call_id]
    assert (responses_server.tally.prompt_tokens, responses_server.tally.completion_tokens) == told.tokens
    assert told.agents[0].prompt_tokens == 90


async def test_a_response_whose_data_is_not_in_the_trace_has_tokens_and_no_model(
    sdk: Any, responses_server: ResponsesServer, told: Told
) -> None:
    agent = sdk.Agent("writer", model=responses(sdk, responses_server))
    await sdk.Runner.run(agent, "x", run_config=sdk.RunConfig(trace_include_sensitive_data=False))
    assert [(call.model, call.prompt_tokens, call.status) for call in told.calls] == [("unknown", 11, "success")]


async def test_a_response_that_fails(sdk: Any, responses_server: ResponsesServer, told: Told) -> None:
    import openai

    responses_server.behaviour = fails(429)
    with pytest.raises(openai.RateLimitError):
        await sdk.Runner.run(sdk.Agent("writer", model=responses(sdk, responses_server)), "x")
    assert [(call.model, call.status, call.error_type) for call in told.calls] == [("unknown", "error", "rate_limited")]


async def test_calls_outside_of_an_agent_s_span_are_told_with_the_names_around(
    sdk: Any, server: OpenAIServer, model: Make, told: Told
) -> None:
    """As those of a program that asks a model of the SDK by itself."""
    usage = {"input_tokens": 5, "output_tokens": 2}
    with agent_run(agent_name="mine"), sdk.trace("by hand"), sdk.generation_span(model="m", usage=usage):
        pass
    [call] = told.calls
    assert (call.model, call.provider, call.agent_name, call.prompt_tokens) == ("m", "unknown", "mine", 5)
