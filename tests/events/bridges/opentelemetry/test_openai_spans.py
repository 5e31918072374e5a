"""Spans of the openai SDK's calls, by three instrumentations, alone, in pairs, and around the direct bridge."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, count
from typing import Any

import pytest

from events.bridges.openai import instrument as instrument_client
from events.bridges.opentelemetry import GenAISpanProcessor
from tests.support.embeddings_server import EmbeddingsServer
from tests.support.openai_server import Behaviour, OpenAIServer, Usage, calls_tool, fails, says, stalls
from tests.support.recorded_calls import Recorded, recorded_calls, sums_of
from tests.support.sdk_calls import CHAT, RESPONSES, ask
from tests.support.tracing import OPENAI, Tracers
from tests.support.wait import until

pytestmark = [
    pytest.mark.models("opentelemetry.sdk.trace", "openinference.instrumentation"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]


@dataclass(frozen=True)
class Mode:
    """Who sees a call: instrumentations, and the direct bridge or not."""

    names: tuple[str, ...]
    is_direct: bool = False

    @property
    def is_alone(self) -> bool:
        """Whether nobody else sees it."""
        return len(self.names) == 1 and not self.is_direct

    @property
    def hides_details(self) -> bool:
        """Whether what is told is OpenLLMetry's: of streams it has no reasoning, nor that they broke off."""
        return not self.is_direct and "OpenLLMetry" in self.names


MODES = {
    **{name: Mode((name,)) for name in OPENAI},
    **{" and ".join(pair): Mode(pair) for pair in combinations(OPENAI, 2)},
    "all three": Mode(tuple(OPENAI)),
    **{f"{name}, direct": Mode((name,), is_direct=True) for name in OPENAI},
    "all three, direct": Mode(tuple(OPENAI), is_direct=True),
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a server does, how it is asked, and how the call ends."""

    behaviour: Behaviour = field(default_factory=says)
    streamed: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    status: str = "success"
    error_type: str | None = None
    is_whole: bool = True
    """Whether the answer is read to its end, so that its tokens are known."""


DETAILS = Usage(prompt=100, completion=50, cached=40, reasoning=20)
TOOL = {"tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}
# fmt: off
SCENARIOS = {
    "plain":             Scenario(),
    "streamed":          Scenario(streamed=True),
    "cached, reasoning": Scenario(behaviour=says(usage=DETAILS)),
    "streamed, cached":  Scenario(behaviour=says(usage=DETAILS), streamed=True),
    "without usage":     Scenario(streamed=True, asked={"stream_options": {"include_usage": False}}),
    "tools":             Scenario(behaviour=calls_tool("look", {}), asked=TOOL),
    "streamed tools":    Scenario(behaviour=calls_tool("look", {}), asked=TOOL, streamed=True),
    "400":               Scenario(behaviour=fails(400), status="error", error_type="invalid_request"),
    "401":               Scenario(behaviour=fails(401), status="error", error_type="auth"),
    "429":               Scenario(behaviour=fails(429), status="error", error_type="rate_limited"),
    "500":               Scenario(behaviour=fails(500), status="error", error_type="provider_5xx"),
    "a long prompt":     Scenario(
        behaviour=fails(400, "This model's maximum context length is 8192 tokens."),
        status="error",
        error_type="context_length_exceeded",
    ),
    "retry":             Scenario(behaviour=[fails(429, retry_after=0), says()], options={"max_retries": 2}),
    "timeout":           Scenario(behaviour=stalls(), options={"timeout": 0.2}, status="timeout", error_type="timeout"),
    "left early":        Scenario(
        asked={"leave_after": 2}, streamed=True, status="cancelled", error_type="cancelled", is_whole=False
    ),
    "broken off":        Scenario(
        behaviour=says(break_after=2), streamed=True, status="error", error_type="connection", is_whole=False
    ),
}
# fmt: on


OF_PAIRS = ("streamed", "cached, reasoning", "429", "left early", "broken off")
"""What may differ where several see a call."""

CASES = [
    pytest.param(mode, scenario, id=f"{name}-{scenario}")
    for name, mode in MODES.items()
    for scenario in (SCENARIOS if mode.is_alone else OF_PAIRS)
]


tests_run = count(1)


@pytest.fixture(scope="module")
def tracers() -> Iterator[Tracers]:
    tracers = Tracers(OPENAI)
    yield tracers
    tracers.stop()


@pytest.fixture(params=MODES.values(), ids=list(MODES))
def mode(request: pytest.FixtureRequest) -> Mode:
    mode: Mode = request.param
    return mode


@pytest.fixture
def recorded(tracers: Tracers, mode: Mode) -> Iterator[Recorded]:
    processor = GenAISpanProcessor(price=None)
    with tracers.seen_by(processor, mode.names), recorded_calls() as recorded:
        yield recorded
        processor.shutdown()


def client_of(api: Any, server: OpenAIServer, mode: Mode, *, is_async: bool = False, **options: Any) -> Any:
    client = api.client(server, is_async=is_async, **options)
    if mode.is_direct:
        instrument_client(client, price=None)
    return client


@pytest.mark.parametrize(("mode", "scenario"), CASES, indirect=["mode"])
async def test_chats_are_what_the_server_counts(mode: Mode, recorded: Recorded, scenario: str) -> None:
    for is_async in (False, True) if mode.is_alone else (True,):
        recorded.clear()
        await check_chat(mode, recorded, SCENARIOS[scenario], is_async=is_async)


async def check_chat(mode: Mode, recorded: Recorded, scenario: Scenario, *, is_async: bool) -> None:
    with OpenAIServer(scenario.behaviour) as server:
        client = client_of(CHAT, server, mode, is_async=is_async, **scenario.options)
        await ask_to_the_end(CHAT, client, streamed=scenario.streamed, **scenario.asked)
        await until(lambda: recorded.calls, within=5)  # the loop closes a stream that is left
        await close(client)
    [call] = recorded.calls
    assert recorded.is_paired()
    tally = server.tally
    if scenario.is_whole:
        assert (call.prompt_tokens or 0, call.completion_tokens or 0) == (tally.prompt_tokens, tally.completion_tokens)
        assert call.usage_source == ("provider" if tally.prompt_tokens else "none")
    if tally.prompt_tokens == DETAILS.prompt:
        assert call.cache_read_tokens == DETAILS.cached
        hidden = None if scenario.streamed and mode.hides_details else DETAILS.reasoning
        assert call.reasoning_tokens in (DETAILS.reasoning, hidden)
    if not (scenario.streamed and scenario.status == "error" and mode.hides_details and call.status == "cancelled"):
        assert (call.status, call.error_type) == (scenario.status, scenario.error_type)
    assert (call.model, call.provider, call.operation) == ("gpt-4o-mini", "openai-compatible", "chat")


async def ask_to_the_end(api: Any, client: Any, **asked: Any) -> None:
    """Ask, whatever comes of it, and drop what came."""
    try:
        await ask(api, client, **asked)
    except Exception:
        gc.collect()
    if "leave_after" in asked:
        gc.collect()


async def close(client: Any) -> None:
    closed = client.close()
    if closed is not None:
        await closed


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_responses_are_what_the_server_counts(mode: Mode, recorded: Recorded, streamed: bool) -> None:
    with RESPONSES.server([says(usage=DETAILS), fails(429)]) as server:
        server._numbers = count(1000 * next(tests_run))  # OpenLLMetry keeps the start of each response by its id
        client = client_of(RESPONSES, server, mode)
        await ask_to_the_end(RESPONSES, client, streamed=streamed)
        await ask_to_the_end(RESPONSES, client, streamed=streamed)
        client.close()
    assert recorded.sums() == sums_of(server.tally)
    assert recorded.is_paired()
    assert [(call.status, call.error_type) for call in recorded.calls] == [("success", None), ("error", "rate_limited")]


async def test_embeddings_are_what_the_server_counts(mode: Mode, recorded: Recorded) -> None:
    with EmbeddingsServer() as server:
        client = client_of(CHAT, server, mode)
        client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
        client.close()
    [call] = recorded.calls
    assert (call.model, call.operation, call.prompt_tokens) == ("text-embedding-3-small", "embeddings", 11)
    assert not call.completion_tokens


async def test_a_call_that_is_cancelled_is_cancelled(mode: Mode, recorded: Recorded) -> None:
    with OpenAIServer(stalls()) as server:
        client = client_of(CHAT, server, mode, is_async=True)
        task = asyncio.ensure_future(ask(CHAT, client))
        await until(lambda: server.requests)
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        await client.close()
    assert [call.status for call in recorded.calls] == ["cancelled"]
    assert recorded.is_paired()


async def test_twenty_at_once_are_what_the_server_counts(mode: Mode, recorded: Recorded) -> None:
    with OpenAIServer(says(delay=0.02)) as server:
        client = client_of(CHAT, server, mode, is_async=True)
        await asyncio.gather(*(ask(CHAT, client, streamed=number % 2 == 0) for number in range(20)))
        await client.close()
    assert recorded.sums() == sums_of(server.tally)
    assert recorded.is_paired()
