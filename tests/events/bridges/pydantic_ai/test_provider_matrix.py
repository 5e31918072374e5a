"""Every provider is measured alike, through its own SDK: what its server did, and what its documentation says it bills.

SDKs that are not among the development tools are in an environment of their own; ``make test-matrix`` runs these tests
with it. After an intended change run ``UPDATE_GOLDEN=1`` with both, and read the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.usage import RequestUsage

from events import LLMCalled, llm_attempted, llm_called
from events.bridges.pydantic_ai import instrument, list_price
from metrics import LLM, subscribe
from tests.support.openai_server import Reply, Usage, says
from tests.support.provider_matrix import PROVIDERS, Provider
from tests.support.samples import summed

pytestmark = pytest.mark.slow  # SDKs take seconds to import

GOLDEN = Path(__file__).parent / "golden"
PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
TEXT = "one two three four five six"
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
EACH = [
    pytest.param(name, marks=[pytest.mark.sdk(provider.needs)] if provider.needs else [])
    for name, provider in PROVIDERS.items()
]


def price_at_noon(provider: str, model: str, usage: RequestUsage, response: ModelResponse) -> float | None:
    """Return the list price of a day in the list, at noon: DeepSeek is cheaper at night."""
    dated = copy(response)
    dated.timestamp = NOON
    return list_price(provider, model, usage, dated)


def answer(provider: Provider, usage: Usage) -> Reply:
    """Return an answer of a provider, with what it counts of a usage."""
    counted = replace(
        usage,
        cached=usage.cached if provider.counts_cached else 0,
        reasoning=usage.reasoning if provider.counts_reasoning else 0,
    )
    return says(TEXT, usage=counted, model=provider.response_model, headers=provider.headers, pause=0.002)


async def ask(model: Model, *, streamed: bool) -> None:
    if not streamed:
        await model.request(PROMPT, model.settings, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, model.settings, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass


async def make_calls(provider: Provider, server: Any) -> None:
    """Make six calls: four that are answered, every second one streamed, and two that are refused."""
    model = instrument(provider.model(server), price=price_at_noon)
    for usage in (Usage(1000, 200), Usage(1000, 200, cached=600, reasoning=150)):
        server.behaviour = answer(provider, usage)
        await ask(model, streamed=False)
        await ask(model, streamed=True)
    for refusal in (provider.limited, provider.broken):
        server.behaviour = refusal
        with suppress(ModelAPIError):
            await ask(model, streamed=refusal is provider.broken)


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


@pytest.mark.parametrize("name", EACH)
async def test_a_provider_is_measured_as_its_server_counts(name: str, calls: list[LLMCalled]) -> None:
    provider, registry = PROVIDERS[name], CollectorRegistry()
    with (
        provider.server() as server,
        subscribe(LLM, registry, namespace="sparklio"),
        llm_attempted.captured() as attempts,
    ):
        await make_calls(provider, server)
        text = exposition(registry)
        samples = [sample for family in registry.collect() for sample in family.samples]
    tally = server.tally
    # Calls and attempts: each request once, under the name that was asked for.
    [model] = {call.model for call in calls} | {attempt.model for attempt in attempts}
    assert {call.provider for call in calls} == {provider.name}
    assert [call.status for call in calls] == ["success"] * 4 + ["error"] * 2
    assert [call.error_type for call in calls] == [None] * 4 + ["rate_limited", "provider_5xx"]
    assert [attempt.outcome for attempt in attempts] == ["success"] * 4 + ["rate_limited", "error"]
    assert len(attempts) == tally.requests == 6
    assert {call.response_model for call in calls[:4]} == {provider.response_model or model}
    assert [call.finish_reason for call in calls] == ["stop"] * 4 + [None] * 2
    # First tokens: of both streams that had one.
    assert summed(samples, "llm_time_to_first_token_seconds_count", "model") == {(model,): 2}
    # Tokens: as the server sent them.
    assert summed(samples, "llm_tokens_total", "token_type") == {
        ("prompt",): tally.prompt_tokens,
        ("completion",): tally.completion_tokens,
    }
    details = {("cache_read",): sum(usage.cached for _, usage in tally.usages)}
    details |= {("reasoning",): sum(usage.reasoning for _, usage in tally.usages)}
    assert summed(samples, "llm_token_details_total", "detail") == {
        what: count for what, count in details.items() if count
    }
    # Cost: as the answers say, else by the provider's price list.
    assert [call.cost for call in calls] == [
        *(None if cost is None else pytest.approx(cost) for cost in billed(provider, tally.usages)), None, None,
    ]  # fmt: skip
    compare(text, GOLDEN / f"{name}.prom")


@pytest.mark.parametrize("name", EACH)
async def test_what_an_sdk_retries_by_itself_is_an_attempt_each(name: str, calls: list[LLMCalled]) -> None:
    """Where the requests are seen; else the call is one attempt, however many there were."""
    provider = PROVIDERS[name]
    at_once = replace(provider.broken, headers={**provider.broken.headers, "retry-after-ms": "1"})
    with provider.server() as server, llm_attempted.captured() as attempts:
        server.behaviour = [at_once, answer(provider, Usage(1000, 200)), answer(provider, Usage(1000, 200))]
        model = instrument(provider.model(server, retries=2), price=price_at_noon)
        with suppress(ModelAPIError):
            await ask(model, streamed=False)
    requests = server.tally.requests
    assert requests == (2 if provider.retries else 1)
    assert [call.attempts for call in calls] == [requests if provider.shows_requests else 1]
    if provider.shows_requests:
        assert [attempt.outcome for attempt in attempts] == ["error", "success"][:requests]
        assert [attempt.retry_reason for attempt in attempts] == [None, "provider_5xx"][:requests]
        assert attempts[0].status_code == 500
    assert {call.model for call in calls} == {attempt.model for attempt in attempts}


@pytest.mark.parametrize("name", EACH)
async def test_a_streamed_answer_says_what_a_plain_one_says(name: str, calls: list[LLMCalled]) -> None:
    """None too: what an answer leaves out is unknown, streamed or not."""
    provider = PROVIDERS[name]
    with provider.server() as server:
        await make_calls(provider, server)
    plain, streamed, full, full_streamed = (counts(call) for call in calls[:4])
    assert streamed == plain
    assert full_streamed == full


def counts(call: LLMCalled) -> dict[str, Any]:
    """Return the tokens and costs of a call."""
    names = [name for name in LLMCalled.__dataclass_fields__ if name.endswith(("_tokens", "cost", "cost_source"))]
    return {name: getattr(call, name) for name in names}


def billed(provider: Provider, usages: list[tuple[str, Usage]]) -> Iterator[float | None]:
    """Yield what each answer costs by what is known of a provider; None where that is nothing."""
    for _, usage in usages:
        if provider.prices is None:
            yield provider.cost
        else:
            prompt, cached, completion = provider.prices
            tokens = (usage.prompt - usage.cached) * prompt + usage.cached * cached + usage.completion * completion
            yield tokens / 1e6


def exposition(registry: CollectorRegistry) -> str:
    """Return the samples of the families of models that are not 0, without buckets and those that measure time.

    Whether the time between tokens was seen depends on how fast this process reads.
    """
    lines = generate_latest(registry).decode().splitlines(keepends=True)
    left_out = re.compile(
        r"#|\w*_bucket\b|sparklio_llm_\w*seconds_(sum|total)\b|sparklio_llm_time_per_output_token|\w*_created\b"
        r"|.* 0\.0$"
    )
    return "".join(line for line in lines if not left_out.match(line))


def compare(text: str, golden: Path) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
