"""Impossible values in a provider's response reach no series, are counted, and break nothing; over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from math import isfinite

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters, create_async_httpx2_client
from pydantic_ai.settings import ModelSettings

from app.llm.prices import price
from app.llm.retries import RetryingModel
from events import llm_attempted, llm_called
from events.bridges.pydantic_ai import instrument, record_response_headers
from metrics import CATALOGUE, subscribe
from tests.support.model_adapters import PROVIDERS, SERVERS, model_at
from tests.support.openai_server import OpenAIServer, Reply, Usage, fails, says, sends
from tests.support.samples import samples, summed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Failed to extract usage"),  # pydantic-ai's own words on such answers
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
READ, WRITTEN = 3131, 1717  # these numbers are found in a body, and replaced by impossible ones
BAD = ["-5", "1e15", "1000000000000000", "1e400", "NaN", "-Infinity", '"many"', "null", "1.5", "{}", "9" * 400]
ROWS = [row for row in CATALOGUE if row.name.startswith(("llm_", "label_", "dropped_", "receiver_"))]


def billed_reply(server: OpenAIServer, provider: str, model: str = "named-in-reply") -> Reply:
    """Return a reply with a usage, in the provider's format."""
    reply = says(usage=Usage(READ, WRITTEN), model=model)
    if provider == "anthropic":  # pydantic-ai always requests a stream from it
        return sends("".join(server.stream_events(reply, 1, usage=True)).encode(), "text/event-stream")
    return sends(json.dumps(server.response_body(reply, 1)).encode())


def replaced(reply: Reply, number: int, bad: str) -> Reply:
    assert reply.body is not None
    assert str(number).encode() in reply.body
    return sends(reply.body.replace(str(number).encode(), bad.encode()), reply.headers["Content-Type"])


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    with subscribe(ROWS, registry, namespace="sparklio"):
        yield registry


async def send_request(model: Model, retries: int = 0) -> None:
    retrying = instrument(RetryingModel(instrument(model), retries, 5.0), price=price)
    with suppress(AgentRunError, ValidationError):
        await retrying.request(PROMPT, ModelSettings(max_retries=0), ModelRequestParameters())


def check_series(registry: CollectorRegistry) -> dict[str, float]:
    """Assert that every value is possible, and return the sums of the families that count failures."""
    scraped = [sample for family in registry.collect() for sample in family.samples]
    assert scraped
    assert all(
        isfinite(sample.value) and 0 <= sample.value < 1e6 for sample in scraped if "_created" not in sample.name
    )
    assert all(len(text) <= 200 for sample in scraped for text in sample.labels.values())
    names = ("llm_requests_total", "llm_errors_total", "llm_usage_missing_total", "dropped_values_total")
    sums = {name: summed(scraped, name).get((), 0.0) for name in (*names, "receiver_failures_total")}
    assert sums["llm_requests_total"] == 1
    assert sums["receiver_failures_total"] == 0
    return sums


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("which", [READ, WRITTEN], ids=["prompt", "completion"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_impossible_count_reaches_no_series(
    provider: str, which: int, bad: str, registry: CollectorRegistry
) -> None:
    with SERVERS[provider]() as server, llm_called.captured() as calls:
        server.behaviour = replaced(billed_reply(server, provider), which, bad)
        async with create_async_httpx2_client() as client:
            await send_request(model_at(provider, server, client))
    [call] = calls
    failures = check_series(registry)
    tokens = call.prompt_tokens if which == READ else call.completion_tokens
    # Unknown, with a failure counted; or, where the SDK reads it as nothing or as a number, that.
    assert tokens is None or 0 <= tokens < 10
    if tokens is None:
        assert failures["dropped_values_total"] + failures["llm_usage_missing_total"] + failures["llm_errors_total"] > 0


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_name_of_ten_megabytes_is_counted_as_other(provider: str, registry: CollectorRegistry) -> None:
    with SERVERS[provider]() as server, llm_called.captured() as calls:
        server.behaviour = billed_reply(server, provider, model="x" * 10_000_000)
        async with create_async_httpx2_client() as client:
            await send_request(model_at(provider, server, client))
    check_series(registry)
    assert len(calls[0].response_model or "") < 1000
    names = {"model": calls[0].model, "response_model": "other", "provider": calls[0].provider}
    assert registry.get_sample_value("sparklio_llm_model_info", names) == 1
    overflow = {"metric": "sparklio_llm_model_info", "label": "response_model"}
    assert registry.get_sample_value("sparklio_label_overflows_total", overflow) == 2


@pytest.mark.parametrize("header", ["-5", "nan", "inf", "1e309", "tomorrow", "9" * 400, "", "0"])
async def test_an_impossible_retry_after_stops_no_retry_and_no_count(header: str, registry: CollectorRegistry) -> None:
    """The wait is as without the header, or, where it names a very long time, the call fails at once."""
    refusal = fails(429)
    limited = Reply(status=429, usage=None, body=refusal.body, headers={"Retry-After": header})
    with OpenAIServer([limited, says()]) as server, llm_attempted.captured() as attempts:
        async with create_async_httpx2_client() as client:
            await send_request(model_at("openai", server, client), retries=1)
    check_series(registry)
    assert attempts[0].outcome == "rate_limited"
    assert len(attempts) in {1, 2}


@pytest.mark.parametrize("header", ["-5", "nan", "1e9", "9" * 400, "many", "", "١٢"])
async def test_an_impossible_rate_limit_is_no_series(header: str, registry: CollectorRegistry) -> None:
    reply = says(headers={"x-ratelimit-remaining-requests": header.encode().decode("latin-1")})
    with OpenAIServer(reply) as server:
        async with create_async_httpx2_client() as client:
            client.event_hooks = {"response": [record_response_headers]}
            await send_request(model_at("openai", server, client))
    check_series(registry)
    assert not list(samples(registry, "llm_rate_limit_remaining"))
