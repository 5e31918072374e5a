"""Calls of the studio's model: retries, fallbacks, prices, and values of providers that are not counted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.agents import AgentFailed, Assignment, execute
from app.llm.factory import open_model
from app.llm_usage import LLMUsage
from app.settings import Settings
from events import LLMAttempted, agent_finished, llm_attempted, llm_called
from metrics import CATALOGUE, subscribe
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import (
    ChatRequest,
    OpenAIServer,
    Reply,
    Usage,
    completion,
    fails,
    says,
    sends,
    sends_completion,
    stalls,
)

pytestmark = pytest.mark.slow

BRIEF = Assignment(brand="Acme", product="earbuds", features=("small",), audience="commuters", task="Write a slogan.")
Read = Callable[..., float | None]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    with subscribe(CATALOGUE, made, namespace="sparklio"):
        yield made


@pytest.fixture
def read(registry: CollectorRegistry) -> Read:
    return lambda name, **labels: registry.get_sample_value(f"sparklio_{name}", labels)


@pytest.fixture
def attempts() -> Iterator[list[LLMAttempted]]:
    with llm_attempted.captured() as seen:
        yield seen


async def ask(server: OpenAIServer, usage: LLMUsage | None = None, **settings: Any) -> None:
    values: dict[str, Any] = {
        "llm": "openai:gpt-4o-mini",
        "llm_base_url": server.base_url,
        "llm_prices": "openai",
        "llm_retries": 0,
        **settings,
    }
    llm = await open_model(Settings(**values))
    try:
        await execute("copywriter", BRIEF, model=llm.model, library=FakeLibrary(), usage=usage)
    finally:
        await llm.close()


async def test_a_retry_waits_as_long_as_the_provider_asks(
    server: OpenAIServer, read: Read, attempts: list[LLMAttempted]
) -> None:
    server.behaviour = [fails(429, retry_after=1), says()]
    with llm_called.captured() as calls, agent_finished.captured() as finished:
        await ask(server, llm_retries=2)
    assert [(one.attempt, one.outcome, one.retry_reason) for one in attempts] == [
        (1, "rate_limited", None),
        (2, "success", "rate_limited"),
    ]
    waited = read("llm_backoff_seconds_total", provider="openai")
    assert waited is not None
    assert 1 <= waited < 2
    assert read("agent_time_seconds_total", agent_name="copywriter", phase="backoff") == pytest.approx(waited, abs=0.3)
    assert [agent.backoff_time for agent in finished] == [pytest.approx(waited, abs=0.3)]
    assert [(call.status, call.attempts) for call in calls] == [("success", 2)]
    assert {one.call_id for one in attempts} == {calls[0].call_id}


async def test_a_retry_after_beyond_the_time_limit_is_not_waited_for(
    server: OpenAIServer, attempts: list[LLMAttempted]
) -> None:
    server.behaviour = fails(429, retry_after=3600)
    with pytest.raises(AgentFailed, match="too often"):
        await ask(server, llm_retries=5, llm_timeout=5)
    assert len(attempts) == 1


@pytest.mark.parametrize("fallbacks", [None, "openai:gpt-4o"], ids=["alone", "in a chain"])
async def test_the_time_limit_is_for_all_attempts_of_a_model(
    fallbacks: str | None, server: OpenAIServer, attempts: list[LLMAttempted]
) -> None:
    """The attempt that time ran out for is a timeout, not a cancellation."""
    server.behaviour = lambda request: (
        says() if request.model == "gpt-4o" else fails(503, retry_after=1) if server.tally.requests == 0 else stalls()
    )
    with llm_called.captured() as calls, suppress(AgentFailed):
        await ask(server, llm_retries=2, llm_timeout=2, llm_fallbacks=fallbacks)
    outcomes = [(one.model, one.outcome, one.error_type) for one in attempts]
    assert outcomes[:2] == [
        ("gpt-4o-mini", "error", "provider_5xx"),
        ("gpt-4o-mini", "timeout", "timeout"),
    ]
    assert (attempts[1].duration or 0.0) < 1.9  # of the two seconds, one had been waited
    assert [(call.status, call.error_type) for call in calls] == (
        [("success", None)] if fallbacks else [("timeout", "timeout")]
    )


async def test_a_rate_limit_is_the_last_one_that_the_provider_reported(server: OpenAIServer, read: Read) -> None:
    """Nothing left is 0, which an operator has to see; never reported is no series."""
    limit = {"model": "gpt-4o-mini", "provider": "openai", "resource": "requests"}
    for reported, shown in ((None, None), ("7", 7), ("0", 0), (None, 0)):
        server.behaviour = says(headers={} if reported is None else {"x-ratelimit-remaining-requests": reported})
        await ask(server)
        assert read("llm_rate_limit_remaining", **limit) == shown


async def test_the_number_of_retries_is_limited(server: OpenAIServer, read: Read) -> None:
    server.behaviour = fails(500)
    with pytest.raises(AgentFailed, match="HTTP 500"):
        await ask(server, llm_retries=1)
    assert server.tally.requests == 2
    assert read("llm_retries_total", model="gpt-4o-mini", reason="provider_5xx") == 1
    assert read("llm_requests_total", model="gpt-4o-mini", provider="openai", status="error") == 1
    assert read("llm_attempts_total", model="gpt-4o-mini", provider="openai", outcome="error") == 2


@pytest.mark.parametrize(
    ("failing", "reason"),
    [(fails(500), "provider_5xx"), (stalls(), "timeout"), (sends(b"<html>"), "invalid_response"), (fails(401), "auth")],
    ids=["5xx", "stalls", "rubbish", "no key"],
)
async def test_the_next_model_of_the_chain_answers(
    failing: Reply, reason: str, server: OpenAIServer, read: Read
) -> None:
    server.behaviour = lambda request: failing if request.model == "gpt-4o-mini" else says()
    await ask(server, llm_fallbacks="openai:gpt-4o, openai:gpt-4.1", llm_timeout=0.5)
    fell = {"from_model": "gpt-4o-mini", "to_model": "gpt-4o", "reason": reason}
    assert read("llm_fallbacks_total", **fell) == 1
    assert read("llm_requests_total", model="gpt-4o", provider="openai", status="success") == 1
    assert read("llm_tokens_total", model="gpt-4o", token_type="prompt") == 11
    assert read("llm_active_requests", model="gpt-4o-mini") == 0


async def test_a_chain_that_fails_has_the_error_of_the_last_model(server: OpenAIServer, read: Read) -> None:
    server.behaviour = lambda request: fails(500 if request.model == "gpt-4o-mini" else 401)
    with pytest.raises(AgentFailed, match="refuses the studio's key"):
        await ask(server, llm_fallbacks="openai:gpt-4o")
    assert read("llm_errors_total", model="gpt-4o", error_type="auth") == 1


async def test_cost_rolls_up_to_the_agent(server: OpenAIServer, read: Read) -> None:
    server.behaviour = says(usage=Usage(1000, 200, cached=600))
    usage = LLMUsage()
    with agent_finished.captured() as finished:
        await ask(server, usage)
    assert usage.cost == finished[0].cost == pytest.approx(0.000225)
    assert read("llm_cost_usd_total", model="gpt-4o-mini", source="price_table") == pytest.approx(0.000225)


async def test_a_model_without_a_price_is_unpriced_and_not_free(server: OpenAIServer, read: Read) -> None:
    usage = LLMUsage()
    await ask(server, usage, llm="openai:home-made")
    assert usage.cost is None
    assert read("llm_unpriced_requests_total", model="home-made") == 1
    assert read("llm_cost_usd_total", model="home-made", source="price_table") == 0


async def test_a_model_of_a_free_provider_costs_nothing(server: OpenAIServer, read: Read) -> None:
    usage = LLMUsage()
    await ask(server, usage, llm="ollama:qwen3:4b")
    assert usage.cost == 0
    assert read("llm_unpriced_requests_total", model="qwen3:4b") == 0


@pytest.mark.parametrize(
    ("text", "reason"), [("Fine, I approve.", "invalid_json"), ('{"verdict": "splendid"}', "schema_mismatch")]
)
async def test_answers_that_do_not_match_the_schema_are_counted(
    text: str, reason: str, server: OpenAIServer, read: Read
) -> None:
    def answer(request: ChatRequest) -> Reply:
        tool = request.body["tools"][-1]["function"]["name"]
        return says(json.dumps({"tool": tool}), usage=Usage()) if not tool else wrong(tool)

    def wrong(tool: str) -> Reply:
        body = completion(says("", tool_calls=((tool, {}),), model="gpt-4o-mini"), 1)
        body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = text
        return sends_completion(body)

    server.behaviour = answer
    llm = await open_model(Settings(llm="openai:gpt-4o-mini", llm_base_url=server.base_url, llm_retries=0))
    with pytest.raises(AgentFailed, match="does not answer in the form"):
        await execute("reviewer", BRIEF, model=llm.model, library=FakeLibrary())
    await llm.close()
    assert read("llm_invalid_outputs_total", model="gpt-4o-mini", reason=reason) == server.tally.requests


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": -5, "completion_tokens": 7}, 'usage_missing_total{model="gpt-4o-mini"} 1.0'),
        ({"prompt_tokens": 11, "completion_tokens": -7}, 'usage_missing_total{model="gpt-4o-mini"} 1.0'),
        ({"prompt_tokens": float("nan"), "completion_tokens": 7}, 'usage_missing_total{model="gpt-4o-mini"} 1.0'),
        ({"prompt_tokens": 10**15, "completion_tokens": 7}, 'reason="too_large"} 1.0'),
    ],
)
@pytest.mark.filterwarnings("ignore:Failed to extract usage", "ignore:Pydantic serializer warnings")
async def test_impossible_token_counts_reach_no_series(
    usage: dict[str, Any], counted: str, server: OpenAIServer, registry: CollectorRegistry
) -> None:
    body = completion(says(model="gpt-4o-mini"), 1)
    server.behaviour = sends_completion({**body, "usage": {**usage, "total_tokens": 18}})
    await ask(server)
    text = generate_latest(registry).decode()
    values = [
        float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("sparklio_llm_tokens_total")
    ]
    assert all(0 <= value < 100 for value in values)
    assert re.search(rf"{re.escape(counted)}.* 1.0$|{re.escape(counted)}$", text, re.MULTILINE)


async def test_a_name_of_megabytes_in_all_is_counted_as_other(server: OpenAIServer, read: Read) -> None:
    server.behaviour = says(model="x" * 300_000)  # in each chunk
    with llm_called.captured() as calls:
        await ask(server)
    assert calls[0].model == "gpt-4o-mini"
    assert len(calls[0].response_model or "") < 1000
    assert read("llm_model_info", model="gpt-4o-mini", response_model="other", provider="openai") == 1
    assert read("label_overflows_total", metric="sparklio_llm_model_info", label="response_model") == 2
