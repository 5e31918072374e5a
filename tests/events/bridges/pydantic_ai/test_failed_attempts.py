"""What attempts were billed for that failed half-way is paid by the call that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal

import pytest
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from events import LLMAttempted, LLMCalled, llm_attempted, llm_called, receiver_failed, value_dropped
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.cost import Billing, billing_of
from events.bridges.pydantic_ai.usage import TokenUsage
from tests.support.openai_server import Usage, fails, says
from tests.support.provider_servers import AnthropicServer

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
TEXT = "one two three four five six"
BROKEN = says(TEXT, usage=Usage(1000, 200, cached=600), break_after=5)


def price(_provider: str, model: str, usage: RequestUsage) -> float | None:
    """Let a prompt's token cost a dollar, one of an answer ten."""
    return None if model == "unheard-of" else usage.input_tokens + 10.0 * usage.output_tokens


class Collecting(WrapperModel):
    """Streams its answer and gives it whole, as the studio's embedded model does."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        async with self.wrapped.request_stream(messages, model_settings, model_request_parameters) as stream:
            async for _ in stream:
                pass
        return stream.get()


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as running:
        yield running


def model(server: AnthropicServer, *names: str) -> Model:
    """Make a chain of models that are asked one after the other."""
    provider = AnthropicProvider(base_url=server.address, api_key="none")
    settings = ModelSettings(max_retries=0)
    chain = [Collecting(instrument(AnthropicModel(name, provider=provider, settings=settings))) for name in names]
    return instrument(FallbackModel(*chain, fallback_on=(Exception,)), price=price)


async def told(asked: Model) -> tuple[LLMCalled, list[LLMAttempted]]:
    with llm_called.captured() as calls, llm_attempted.captured() as attempts, suppress(AgentRunError, ExceptionGroup):
        await asked.request(PROMPT, asked.settings, ModelRequestParameters())
    [call] = calls
    return call, attempts


async def test_a_call_pays_for_the_attempt_that_broke_before_it_succeeded(server: AnthropicServer) -> None:
    """Anthropic counts the prompt at the beginning of a stream: it is billed, whatever becomes of the answer."""
    server.behaviour = [BROKEN, says(TEXT, usage=Usage(100, 20))]
    call, attempts = await told(model(server, "claude-haiku-4-5", "claude-later"))
    assert [attempt.outcome for attempt in attempts] == ["error", "success"]
    assert (call.status, call.model, call.attempts) == ("success", "claude-later", 2)
    assert (call.prompt_tokens, call.completion_tokens, call.cache_read_tokens) == (1100, 1 + 20, 600)
    assert (call.cost, call.cost_source) == (1100 + 10 * 21, "price_table")
    assert call.usage_source == "estimated"  # what it wrote before it broke was not counted


async def test_a_call_pays_for_each_attempt_once_where_all_of_them_break(server: AnthropicServer) -> None:
    server.behaviour = BROKEN
    call, attempts = await told(model(server, "claude-haiku-4-5", "claude-later"))
    assert (call.status, len(attempts)) == ("error", 2)
    assert (call.prompt_tokens, call.completion_tokens, call.cost) == (2000, 2, 2020)


async def test_a_stream_that_breaks_is_paid_once(server: AnthropicServer) -> None:
    server.behaviour = BROKEN
    provider = AnthropicProvider(base_url=server.address, api_key="none")
    asked = instrument(WrapperModel(instrument(AnthropicModel("claude-haiku-4-5", provider=provider))), price=price)
    with llm_called.captured() as calls, suppress(AgentRunError):
        async with asked.request_stream(PROMPT, ModelSettings(max_retries=0), ModelRequestParameters()) as stream:
            async for _ in stream:
                pass
    assert [(call.status, call.prompt_tokens, call.cost) for call in calls] == [("error", 1000, 1010)]


async def test_an_attempt_that_was_refused_costs_nothing(server: AnthropicServer) -> None:
    server.behaviour = [fails(529), says(TEXT, usage=Usage(100, 20))]
    call, _ = await told(model(server, "claude-haiku-4-5", "claude-later"))
    assert (call.prompt_tokens, call.completion_tokens, call.cost, call.usage_source) == (100, 20, 300, "provider")


async def test_where_one_of_the_models_has_no_price_the_call_has_none(server: AnthropicServer) -> None:
    server.behaviour = [BROKEN, says(TEXT, usage=Usage(100, 20))]
    call, _ = await told(model(server, "unheard-of", "claude-later"))
    assert (call.prompt_tokens, call.cost, call.cost_source) == (1100, None, "unpriced")


@pytest.mark.lenient
async def test_a_price_list_that_breaks_is_told_and_the_call_all_the_same(server: AnthropicServer) -> None:
    """Else it would count as under way for ever."""

    def broken(*_: object) -> float:
        raise ZeroDivisionError

    provider = AnthropicProvider(base_url=server.address, api_key="none")
    asked = instrument(AnthropicModel("claude-haiku-4-5", provider=provider), price=broken)
    with receiver_failed.captured() as failures:
        call, _ = await told(asked)
    assert (call.status, call.finish_reason, call.cost) == ("success", "stop", None)
    assert [(failure.signal, failure.error) for failure in failures] == [("llm_called", "ZeroDivisionError")]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Billing(), Billing(), Billing()),
        (Billing(cost=1.0, cost_source="provider"), Billing(), Billing(cost=1.0, cost_source="provider")),
        (Billing(), Billing(cost=1.0, cost_source="price_table"), Billing(cost=1.0, cost_source="price_table")),
        (
            Billing(usage=TokenUsage(usage_source="provider", prompt_tokens=1, completion_tokens=0)),
            Billing(usage=TokenUsage(usage_source="estimated", prompt_tokens=2, estimated_completion_tokens=3)),
            Billing(
                usage=TokenUsage(
                    usage_source="estimated", prompt_tokens=3, completion_tokens=0, estimated_completion_tokens=3
                )
            ),
        ),
    ],
)
def test_what_is_unknown_in_both_bills_stays_unknown(one: Billing, other: Billing, both: Billing) -> None:
    assert one + other == both


@pytest.mark.parametrize(("billed", "reason"), [("-1", "negative"), ("1e9", "too_large"), ("NaN", "not_finite")])
def test_a_gateways_bill_that_can_not_be_is_no_cost(billed: str, reason: str) -> None:
    answer = ModelResponse(parts=[], usage=RequestUsage(input_tokens=1, output_tokens=1, cost=Decimal(billed)))
    with value_dropped.captured() as dropped:
        billing = billing_of(answer, PROMPT, "gateway", "m", None, complete=True)
    assert (billing.cost, billing.cost_source) == (None, "unpriced")
    assert [(one.metric, one.reason) for one in dropped] == [("llm_called.cost", reason)]
