"""Every API of both SDKs, plain and asynchronous, in every scenario: what is told equals what its server did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.events.bridges.sdk_clients.conftest import MakeClient, Told
from tests.support.openai_server import Reply, Usage, calls_tool, fails, says, stalls
from tests.support.sdk_calls import API, APIS, CHAT, MESSAGES, RESPONSES, TOOLS_OF, ask
from tests.support.wait import until

pytestmark = pytest.mark.slow  # SDKs take seconds to import

TEXT = "one two three four five six"
LOOKED = calls_tool("look", {"at": "this"})
LOOKED_TWICE = Reply(tool_calls=(("look", {"at": "this"}), ("look", {"at": "that"})))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What the server does, how it is asked, and what is told."""

    name: str
    replies: Reply | Sequence[Reply]
    streamed: bool = False
    tools: bool = False
    retries: int = 0
    timeout: float | None = None
    of_messages: Reply | None = None
    """What Anthropic's server does, where that has words of its own."""
    status: str = "success"
    error_type: str | None = None
    finish_reason: str | None = "stop"
    has_usage: bool = True
    outcomes: tuple[str, ...] = ("success",)
    """Of the attempts."""


def failure(
    name: str, reply: Reply, error_type: str, *, status: str = "error", outcome: str = "error", **more: Any
) -> Scenario:
    """Return a scenario of one attempt that fails."""
    return Scenario(
        name=name,
        replies=reply,
        status=status,
        error_type=error_type,
        outcomes=(outcome,),
        finish_reason=None,
        has_usage=False,
        **more,
    )


SCENARIOS = [
    Scenario(name="plain", replies=says(TEXT)),
    Scenario(name="streamed", replies=says(TEXT), streamed=True),
    Scenario(name="tool", replies=LOOKED, tools=True, finish_reason="tool_calls"),
    Scenario(name="tool, streamed", replies=LOOKED, tools=True, streamed=True, finish_reason="tool_calls"),
    Scenario(name="parallel tools", replies=LOOKED_TWICE, tools=True, finish_reason="tool_calls"),
    Scenario(name="parallel, streamed", replies=LOOKED_TWICE, tools=True, streamed=True, finish_reason="tool_calls"),
    Scenario(name="cached", replies=says(TEXT, usage=Usage(1000, 200, cached=600))),
    Scenario(name="cached, streamed", replies=says(TEXT, usage=Usage(1000, 200, cached=600)), streamed=True),
    Scenario(name="reasoning", replies=says(TEXT, usage=Usage(100, 50, reasoning=30))),
    Scenario(name="reasoning, streamed", replies=says(TEXT, usage=Usage(100, 50, reasoning=30)), streamed=True),
    Scenario(name="without usage", replies=says(TEXT, usage=None), has_usage=False),
    failure("400", fails(400), "invalid_request"),
    failure("400, streamed", fails(400), "invalid_request", streamed=True),
    failure("401", fails(401), "auth"),
    failure("429", fails(429), "rate_limited", outcome="rate_limited"),
    failure("429, streamed", fails(429), "rate_limited", outcome="rate_limited", streamed=True),
    failure(
        "quota",
        fails(429, code="insufficient_quota"),
        "quota_exceeded",
        of_messages=fails(402, type="billing_error"),
    ),
    failure(
        "context",
        fails(400, code="context_length_exceeded"),
        "context_length_exceeded",
        of_messages=fails(400, "prompt is too long: 210000 tokens > 200000 maximum", type="invalid_request_error"),
    ),
    failure("500", fails(500), "provider_5xx"),
    failure("timeout", stalls(), "timeout", status="timeout", outcome="timeout", timeout=0.3),
    failure("timeout, streamed", stalls(), "timeout", status="timeout", outcome="timeout", timeout=0.3, streamed=True),
    Scenario(
        name="retried",
        replies=[fails(500, retry_after=0.01), fails(429, retry_after=0.01), says(TEXT)],
        retries=2,
        outcomes=("error", "rate_limited", "success"),
    ),
    Scenario(
        name="retried, streamed",
        replies=[fails(500, retry_after=0.01), fails(429, retry_after=0.01), says(TEXT)],
        retries=2,
        streamed=True,
        outcomes=("error", "rate_limited", "success"),
    ),
]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_call_is_told_as_its_server_counts(
    api: API, scenario: Scenario, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    options = {} if scenario.timeout is None else {"timeout": scenario.timeout}
    replies = scenario.replies if api is not MESSAGES else scenario.of_messages or scenario.replies
    with api.server(replies) as server:
        client = make_client(api, server, is_async=is_async, max_retries=scenario.retries, **options)
        tools: dict[str, Any] = {"tools": TOOLS_OF[api.method]} if scenario.tools else {}
        with suppress(Exception):
            await ask(api, client, streamed=scenario.streamed, **tools)
        tally = server.tally
    call = told.call
    assert (call.status, call.error_type) == (scenario.status, scenario.error_type)
    assert (call.error == "") == (scenario.status == "success")
    assert call.finish_reason == scenario.finish_reason
    assert (call.model, call.requested_model, call.streamed) == ("gpt-4o-mini", "gpt-4o-mini", scenario.streamed)
    assert call.provider == f"{api.sdk}-compatible"
    assert call.response_model == ("gpt-4o-mini" if scenario.status == "success" else None)
    assert call.usage_source == ("provider" if scenario.has_usage else "none")
    assert (told.tokens("prompt"), told.tokens("completion")) == (tally.prompt_tokens, tally.completion_tokens)
    assert told.tokens("cache_read") == sum(usage.cached for _, usage in tally.usages)
    assert told.tokens("reasoning") == sum(usage.reasoning for _, usage in tally.usages)
    assert (call.time_to_first_token is not None) == (scenario.streamed and scenario.status == "success")
    assert call.attempts == len(told.attempts) == tally.requests
    assert tuple(attempt.outcome for attempt in told.attempts) == scenario.outcomes
    assert {attempt.call_id for attempt in told.attempts} == {call.call_id}
    assert call.duration is not None
    assert call.duration >= (call.time_to_first_token or 0.0)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
async def test_a_stream_that_breaks_off_is_an_error_of_the_connection(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    with api.server(says(TEXT, break_after=5)) as server, suppress(Exception):
        await ask(api, make_client(api, server, is_async=is_async), streamed=True)
    assert (told.call.status, told.call.error_type, told.call.streamed) == ("error", "connection", True)
    assert [attempt.outcome for attempt in told.attempts] == ["error"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
async def test_a_stream_that_is_left_early_is_cancelled(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    with api.server(says(TEXT, stall_after=6)) as server:
        await ask(api, make_client(api, server, is_async=is_async), streamed=True, leave_after=5)
        await until(lambda: told.called)
    assert (told.call.status, told.call.error_type, told.call.finish_reason) == ("cancelled", "cancelled", None)
    assert [attempt.outcome for attempt in told.attempts] == ["cancelled"]
    assert told.call.completion_tokens in (None, 1)  # Anthropic counts one when a message starts


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
async def test_a_task_that_is_cancelled_cancels_its_call(api: API, told: Told, make_client: MakeClient) -> None:
    with api.server(stalls()) as server:
        task = asyncio.create_task(ask(api, make_client(api, server, is_async=True)))
        await until(lambda: server.tally.requests)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (told.call.status, told.call.error_type) == ("cancelled", "cancelled")
    assert [attempt.outcome for attempt in told.attempts] == ["cancelled"]


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
async def test_a_task_that_is_cancelled_cancels_its_stream(api: API, told: Told, make_client: MakeClient) -> None:
    first = asyncio.Event()

    async def read_on(client: Any) -> None:
        async for _ in await ask(api, client, stream=True):
            first.set()

    with api.server(says(TEXT, stall_after=5)) as server:
        task = asyncio.create_task(read_on(make_client(api, server, is_async=True)))
        await first.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await until(lambda: told.called)
    assert (told.call.status, told.call.error_type) == ("cancelled", "cancelled")
    assert [attempt.outcome for attempt in told.attempts] == ["cancelled"]


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
async def test_a_call_that_is_cancelled_before_its_retry_has_one_attempt(
    api: API, told: Told, make_client: MakeClient
) -> None:
    with api.server(fails(429, retry_after=30)) as server:
        task = asyncio.create_task(ask(api, make_client(api, server, is_async=True, max_retries=1)))
        await until(lambda: server.tally.requests)
        await asyncio.sleep(0.1)  # the SDK has its answer, and waits
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert told.call.status == "cancelled"
    [attempt] = told.attempts
    assert (attempt.outcome, attempt.status_code, attempt.retry_after) == ("rate_limited", 429, 30)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
async def test_twenty_calls_at_once_are_told_each(
    api: API, streamed: bool, told: Told, make_client: MakeClient
) -> None:
    with api.server(says(TEXT, usage=Usage(100, 20), delay=0.01)) as server:
        client = make_client(api, server, is_async=True)
        await asyncio.gather(*(ask(api, client, streamed=streamed) for _ in range(20)))
        tally = server.tally
    assert (
        len({call.call_id for call in told.called}) == len(told.started) == len(told.attempts) == tally.requests == 20
    )
    assert (told.tokens("prompt"), told.tokens("completion")) == (tally.prompt_tokens, tally.completion_tokens)
    assert {call.status for call in told.called} == {"success"}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_chat_stream_has_no_usage_unless_it_is_asked_for(
    is_async: bool, told: Told, make_client: MakeClient
) -> None:
    with CHAT.server(says(TEXT)) as server:
        await ask(CHAT, make_client(CHAT, server, is_async=is_async), stream=True, streamed=True, stream_options=None)
        assert server.tally.prompt_tokens == 0
    assert (told.call.status, told.call.usage_source, told.call.prompt_tokens) == ("success", "none", None)


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES], ids=lambda api: api.name)
async def test_a_connection_that_is_refused_is_an_attempt_each(api: API, told: Told, make_client: MakeClient) -> None:
    with api.server() as server:
        client = make_client(api, server, is_async=False, max_retries=1)
    with suppress(Exception):
        await ask(api, client)
    assert (told.call.status, told.call.error_type, told.call.attempts) == ("error", "connection", 2)
    assert [attempt.error_type for attempt in told.attempts] == ["connection"] * 2
    assert [attempt.status_code for attempt in told.attempts] == [None] * 2
    assert [attempt.error for attempt in told.attempts] == ["", "APIConnectionError"]
    assert told.call.backoff
    assert told.call.backoff > 0
