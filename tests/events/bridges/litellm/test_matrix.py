"""What is told of calls of LiteLLM equals what the server of the provider counted, whatever becomes of them."""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import re
from pathlib import Path
from typing import Any

import pytest

from events import agent_finished, agent_run
from tests.support.litellm_modes import DEFAULTS, MODES, Mode, ask, read, run
from tests.support.openai_server import OpenAIServer, Usage, calls_tool, fails, says, sends, stalls
from tests.support.wait import until, wait_until

from .conftest import OWN_WARNINGS, Told

pytestmark = [pytest.mark.models("litellm"), pytest.mark.slow, *OWN_WARNINGS]

TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    mode: Mode = request.param
    return mode


def equals_tally(told: Told, server: OpenAIServer) -> bool:
    """Return whether the tokens that were told are those that the server sent."""
    sums = (
        sum(call.prompt_tokens or 0 for call in told.called),
        sum(call.completion_tokens or 0 for call in told.called),
    )
    return sums == (server.tally.prompt_tokens, server.tally.completion_tokens)


def test_a_call_has_its_tokens_and_its_cost(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = says(usage=Usage(1000, 500), model="gpt-4o-mini-2024-07-18")
    ask(mode, litellm, api_base=server.base_url)
    call = told.call
    assert (call.model, call.provider, call.status, call.finish_reason) == ("gpt-4o-mini", "openai", "success", "stop")
    assert call.response_model == "gpt-4o-mini-2024-07-18"
    assert (call.usage_source, call.cost_source, call.streamed) == ("provider", "price_table", False)
    assert call.cost == pytest.approx(1000 * 0.15e-6 + 500 * 0.6e-6)
    assert (told.attempted[0].status_code, told.attempted[0].outcome) == (200, "success")
    assert equals_tally(told, server)


def test_a_model_that_no_list_knows_costs_what_it_is_registered_with_as_the_page_on_prices_says(
    litellm: Any, server: OpenAIServer, told: Told
) -> None:
    """Once, by a name that no other test has: what is registered stays so in the process."""
    page = (Path(__file__).parents[4] / "docs" / "money.md").read_text()
    [registered] = re.findall(r"`litellm\.register_model\((.*?)\)`", page, re.DOTALL)
    server.behaviour = says(usage=Usage(1000, 100))
    ask("sync", litellm, api_base=server.base_url, model="openai/house-7b")
    litellm.register_model(ast.literal_eval(registered))
    ask("sync", litellm, api_base=server.base_url, model="openai/house-7b")
    before, after = told.called
    assert (before.cost, before.cost_source) == (None, "unpriced")
    assert after.cost == pytest.approx(1000 * 2e-7 + 100 * 6e-7)
    assert after.cost_source == "price_table"


def test_a_streamed_call_has_the_tokens_that_its_provider_sent(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode
) -> None:
    server.behaviour = says("One two three four.", usage=Usage(1000, 500), pause=0.02)
    assert "".join(read(mode, litellm, api_base=server.base_url, stream_options={"include_usage": True})) != ""
    call = told.call
    assert (call.status, call.streamed, call.finish_reason, call.usage_source) == ("success", True, "stop", "provider")
    assert call.cost == pytest.approx(1000 * 0.15e-6 + 500 * 0.6e-6)
    assert call.duration is not None
    assert call.time_to_first_token is not None
    assert 0 < call.time_to_first_token < call.duration
    assert equals_tally(told, server)


def test_a_stream_without_an_answer_costs_its_prompt(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode
) -> None:
    server.behaviour = says(usage=Usage(1000, 0))
    read(mode, litellm, api_base=server.base_url, stream_options={"include_usage": True})
    assert told.call.cost == pytest.approx(1000 * 0.15e-6)


def test_tokens_that_litellm_makes_up_for_a_stream_are_not_told(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode
) -> None:
    """It counts by itself where the server sends no usage, and gives its reader a chunk with that."""
    server.behaviour = says("One two three.", usage=None)
    read(mode, litellm, api_base=server.base_url, stream_options={"include_usage": True})
    call = told.call
    assert (call.status, call.usage_source, call.prompt_tokens, call.cost) == ("success", "none", None, None)


def test_a_stream_that_is_not_asked_for_its_tokens_has_none(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode
) -> None:
    """LiteLLM asks OpenAI for them by itself, and no server at another address."""
    server.behaviour = says("One two three.")
    read(mode, litellm, api_base=server.base_url)
    assert (told.call.status, told.call.usage_source) == ("success", "none")
    assert equals_tally(told, server)


def test_an_answer_without_usage_has_none(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = says(usage=None)
    ask(mode, litellm, api_base=server.base_url)
    assert (told.call.status, told.call.usage_source, told.call.prompt_tokens) == ("success", "none", None)


@pytest.mark.parametrize("streamed", [False, True])
def test_cached_and_reasoning_tokens_are_parts(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode, streamed: bool
) -> None:
    server.behaviour = says(usage=Usage(1000, 500, cached=800, reasoning=300))
    if streamed:
        read(mode, litellm, api_base=server.base_url, stream_options={"include_usage": True})
    else:
        ask(mode, litellm, api_base=server.base_url)
    call = told.call
    assert (call.prompt_tokens, call.cache_read_tokens) == (1000, 800)
    assert (call.completion_tokens, call.reasoning_tokens) == (500, 300)
    assert call.cost == pytest.approx(200 * 0.15e-6 + 800 * 0.075e-6 + 500 * 0.6e-6)


@pytest.mark.parametrize("streamed", [False, True])
def test_calls_of_tools_are_a_reason_to_finish(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode, streamed: bool
) -> None:
    server.behaviour = says("", tool_calls=(("search", {"q": "a"}), ("search", {"q": "b"})))
    if streamed:
        read(mode, litellm, api_base=server.base_url, tools=[TOOL], stream_options={"include_usage": True})
        assert told.call.time_to_first_token is not None
    else:
        ask(mode, litellm, api_base=server.base_url, tools=[TOOL])
    assert (told.call.status, told.call.finish_reason) == ("success", "tool_calls")
    assert equals_tally(told, server)


def test_a_structured_answer_is_a_call(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = says('{"name": "Ada"}')
    ask(mode, litellm, api_base=server.base_url, response_format={"type": "json_object"})
    assert told.call.status == "success"
    assert equals_tally(told, server)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"type": "invalid_request_error"}, "invalid_request"),
        (400, {"code": "context_length_exceeded"}, "context_length_exceeded"),
        (
            400,
            {"code": "content_filter", "message": "The response was filtered: content_policy_violation"},
            "content_filtered",
        ),
        (401, {"code": "invalid_api_key"}, "auth"),
        (403, {}, "auth"),
        (404, {}, "invalid_request"),
        (429, {}, "rate_limited"),
        (429, {"code": "insufficient_quota"}, "quota_exceeded"),
        (500, {}, "provider_5xx"),
        (503, {}, "provider_5xx"),
    ],
)
def test_an_error_has_its_type_and_its_code(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode, *, status: int, error: dict[str, Any], kind: str
) -> None:
    server.behaviour = fails(status, **error)
    with pytest.raises(Exception):  # noqa: B017, PT011  # LiteLLM has a class for each
        ask(mode, litellm, api_base=server.base_url)
    call = told.call
    assert (call.status, call.error_type, call.prompt_tokens) == ("error", kind, None)
    assert call.error
    assert [attempt.status_code for attempt in told.attempted] == [status]
    assert told.attempted[0].outcome == ("rate_limited" if kind == "rate_limited" else "error")


def test_retries_are_attempts_with_their_codes(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    """LiteLLM's own, by ``num_retries``."""
    server.behaviour = [fails(500), fails(429, retry_after=0.1), says()]
    ask(mode, litellm, api_base=server.base_url, num_retries=3)
    call = told.call
    assert (call.status, call.attempts) == ("success", 3)
    assert [attempt.status_code for attempt in told.attempted] == [500, 429, 200]
    assert [attempt.retry_reason for attempt in told.attempted] == [None, "provider_5xx", "rate_limited"]
    assert told.attempted[1].retry_after == pytest.approx(0.1)
    assert server.tally.requests == 3
    assert equals_tally(told, server)


def test_retries_of_the_sdk_are_attempts_too(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = [fails(429, retry_after=0.01), fails(500, retry_after=0.01), says()]
    ask(mode, litellm, api_base=server.base_url, max_retries=2)
    assert [attempt.status_code for attempt in told.attempted] == [429, 500, 200]
    assert told.call.status == "success"
    assert server.tally.requests == 3


def test_a_timeout_is_one(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = stalls()
    with pytest.raises(litellm.exceptions.Timeout):
        ask(mode, litellm, api_base=server.base_url, timeout=0.3)
    assert (told.call.status, told.call.error_type) == ("timeout", "timeout")
    assert [attempt.outcome for attempt in told.attempted] == ["timeout"]


def test_a_server_that_is_not_there_is_a_failed_connection(litellm: Any, told: Told, mode: Mode) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  # LiteLLM has several classes for it
        ask(mode, litellm, api_base="http://127.0.0.1:9/v1")
    assert (told.call.status, told.call.error_type) == ("error", "connection")
    assert [attempt.error_type for attempt in told.attempted] == ["connection"]


def test_an_answer_that_is_none_is_invalid(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = sends(b"<html>It works!</html>", "text/html")
    with pytest.raises(Exception):  # noqa: B017, PT011  # the same
        ask(mode, litellm, api_base=server.base_url)
    assert told.call.status == "error"
    assert told.attempted[0].status_code == 200


async def test_a_call_that_is_cancelled_is(litellm: Any, server: OpenAIServer, told: Told) -> None:
    server.behaviour = stalls()
    task = asyncio.create_task(litellm.acompletion(**DEFAULTS, api_base=server.base_url))
    await until(lambda: server.tally.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (told.call.status, told.call.error_type) == ("cancelled", "cancelled")


@pytest.mark.parametrize("include", [True, False])
def test_a_stream_that_breaks_off_is_an_error(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode, include: bool
) -> None:
    server.behaviour = says("One two three four five.", break_after=3)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if include else {}
    with pytest.raises(Exception):  # noqa: B017, PT011  # the same
        read(mode, litellm, api_base=server.base_url, **options)
    call = told.call
    assert (call.status, call.error_type, call.usage_source) == ("error", "connection", "none")
    assert [(attempt.status_code, attempt.outcome) for attempt in told.attempted] == [(200, "error")]


def test_a_stream_that_stalls_is_a_timeout(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = says("One two three four five.", stall_after=3)
    with pytest.raises(Exception):  # noqa: B017, PT011  # the same
        read(mode, litellm, api_base=server.base_url, timeout=0.3)
    assert (told.call.status, told.call.error_type) == ("timeout", "timeout")
    assert [(attempt.status_code, attempt.outcome) for attempt in told.attempted] == [(200, "timeout")]


async def test_a_stream_whose_reader_is_cancelled_is(litellm: Any, server: OpenAIServer, told: Told) -> None:
    server.behaviour = says("One two three four five.", stall_after=3)
    seen: list[Any] = []

    async def read_on() -> None:
        async for chunk in await litellm.acompletion(**DEFAULTS, stream=True, api_base=server.base_url):
            seen.append(chunk)  # noqa: PERF401  # one by one

    task = asyncio.create_task(read_on())
    await until(lambda: len(seen) >= 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (told.call.status, told.call.error_type) == ("cancelled", "cancelled")


def test_a_stream_that_stops_without_an_end_is_an_error(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode
) -> None:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"role": "assistant", "content": "One"}, "finish_reason": None}
    body = f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\ndata: [DONE]\n\n"
    server.behaviour = sends(body.encode(), "text/event-stream")
    with pytest.raises(Exception):  # noqa: B017, PT011  # the same
        read(mode, litellm, api_base=server.base_url)
    assert (told.call.status, told.call.error_type) == ("error", "connection")


def test_a_stream_that_is_refused_is_an_error(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = fails(429)
    with pytest.raises(litellm.RateLimitError):
        read(mode, litellm, api_base=server.base_url)
    assert (told.call.status, told.call.error_type, told.call.streamed) == ("error", "rate_limited", True)


def test_a_stream_whose_reader_leaves_is_cancelled(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    server.behaviour = says("One two three four five.", pause=0.01)
    read(mode, litellm, chunks=2, api_base=server.base_url)

    def is_told() -> bool:
        gc.collect()  # LiteLLM's record of the call and the stream refer to each other
        return bool(told.called)

    wait_until(is_told, within=30)
    call = told.call
    assert (call.status, call.error_type, call.usage_source, call.finish_reason) == (
        "cancelled",
        "cancelled",
        "none",
        None,
    )


def test_a_stream_that_is_dropped_is_cancelled(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    """When garbage is collected: LiteLLM's record of the call and the stream refer to each other."""

    def is_told() -> bool:
        gc.collect()
        return bool(told.called)

    def drop_sync(**options: Any) -> None:
        stream = litellm.completion(**options)
        next(stream)
        del stream
        wait_until(is_told, within=30)

    async def drop_async(**options: Any) -> None:
        stream = await litellm.acompletion(**options)
        await anext(stream)
        del stream
        await until(is_told, within=30)

    run(mode, drop_sync, drop_async, **DEFAULTS, stream=True, api_base=server.base_url)
    assert (told.call.status, told.call.time_to_first_token is None) == ("cancelled", True)


def test_a_stream_that_is_closed_is_cancelled(litellm: Any, server: OpenAIServer, told: Told, mode: Mode) -> None:
    def close_sync(**options: Any) -> None:
        stream = litellm.completion(**options)
        next(stream)
        next(stream)
        stream.close()

    async def close_async(**options: Any) -> None:
        stream = await litellm.acompletion(**options)
        await anext(stream)
        await anext(stream)
        await stream.aclose()

    run(mode, close_sync, close_async, **DEFAULTS, stream=True, api_base=server.base_url)
    assert told.call.status == "cancelled"


def test_twenty_calls_at_once_are_twenty(litellm: Any, server: OpenAIServer, told: Told) -> None:
    server.behaviour = lambda request: says("Yes. " * 5, usage=Usage(len(json.dumps(request.messages)), 7))

    async def ask_all() -> None:
        async def one(number: int) -> None:
            options = {**DEFAULTS, "messages": [{"role": "user", "content": "?" * number}]}
            with_stream = {"stream": True, "stream_options": {"include_usage": True}} if number % 2 else {}
            answer = await litellm.acompletion(**options, **with_stream, api_base=server.base_url)
            if with_stream:
                async for _ in answer:
                    pass

        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(ask_all())
    assert len(told.called) == len(told.started) == len(told.attempted) == server.tally.requests == 20
    assert {call.status for call in told.called} == {"success"}
    assert equals_tally(told, server)


@pytest.mark.parametrize("streamed", [False, True])
def test_calls_are_in_the_totals_of_the_agent_that_makes_them(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode, streamed: bool
) -> None:
    server.behaviour = says(usage=Usage(100, 20))
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if streamed else {}
    function = read if streamed else ask
    with agent_finished.captured() as finished, agent_run(agent_name="writer"):
        function(mode, litellm, api_base=server.base_url, **options)
        function(mode, litellm, api_base=server.base_url, **options)
    [run] = finished
    assert (run.llm_calls, run.prompt_tokens, run.completion_tokens) == (2, 200, 40)
    assert {call.agent_name for call in told.called} == {"writer"}
    assert run.cost == pytest.approx(sum(call.cost or 0 for call in told.called))


def test_a_tool_is_called_by_name(litellm: Any, server: OpenAIServer, told: Told) -> None:
    server.behaviour = calls_tool("search", {"q": "a"})
    ask("sync", litellm, api_base=server.base_url, tools=[TOOL])
    assert told.call.finish_reason == "tool_calls"
