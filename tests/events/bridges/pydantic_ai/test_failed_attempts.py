"""A call includes what its failed attempts were billed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

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

from events import LLMAttempted, LLMCalled, llm_attempted, llm_called, receiver_failed
from events.bridges.pydantic_ai import instrument
from tests.support.openai_server import Usage, fails, says
from tests.support.provider_servers import AnthropicServer

pytestmark = pytest.mark.slow  # importing anthropic takes seconds

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
TEXT = "one two three four five six"
BROKEN = says(TEXT, usage=Usage(1000, 200, cached=600), break_after=5)


def price(_provider: str, model: str, usage: RequestUsage) -> float | None:
    """Return a price of one dollar per token of the prompt and ten per token of the completion."""
    return None if model == "unpriced-model" else usage.input_tokens + 10.0 * usage.output_tokens


class Collecting(WrapperModel):
    """Requests a stream and returns the complete response, as the studio's embedded model does."""

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
    """Return a chain of models that fall back on each other in this order."""
    provider = AnthropicProvider(base_url=server.address, api_key="none")
    settings = ModelSettings(max_retries=0)
    chain = [Collecting(instrument(AnthropicModel(name, provider=provider, settings=settings))) for name in names]
    return instrument(FallbackModel(*chain, fallback_on=(Exception,)), price=price)


async def events_of(tested: Model) -> tuple[LLMCalled, list[LLMAttempted]]:
    with llm_called.captured() as calls, llm_attempted.captured() as attempts, suppress(AgentRunError, ExceptionGroup):
        await tested.request(PROMPT, tested.settings, ModelRequestParameters())
    [call] = calls
    return call, attempts


async def test_a_call_includes_the_attempt_that_broke_before_it_succeeded(server: AnthropicServer) -> None:
    """Anthropic counts the prompt at the beginning of a stream: it is billed even if the stream breaks."""
    server.behaviour = [BROKEN, says(TEXT, usage=Usage(100, 20))]
    call, attempts = await events_of(model(server, "claude-haiku-4-5", "claude-later"))
    assert [attempt.outcome for attempt in attempts] == ["error", "success"]
    assert (call.status, call.model, call.attempts) == ("success", "claude-later", 2)
    assert (call.prompt_tokens, call.completion_tokens, call.cache_read_tokens) == (1100, 1 + 20, 600)
    assert (call.cost, call.cost_source) == (1100 + 10 * 21, "price_table")
    assert call.usage_source == "estimated"  # the output before the break was not counted


async def test_each_attempt_is_billed_once_where_all_of_them_break(server: AnthropicServer) -> None:
    server.behaviour = BROKEN
    call, attempts = await events_of(model(server, "claude-haiku-4-5", "claude-later"))
    assert (call.status, len(attempts)) == ("error", 2)
    assert (call.prompt_tokens, call.completion_tokens, call.cost) == (2000, 2, 2020)


async def test_a_stream_that_breaks_is_billed_once(server: AnthropicServer) -> None:
    server.behaviour = BROKEN
    provider = AnthropicProvider(base_url=server.address, api_key="none")
    tested = instrument(WrapperModel(instrument(AnthropicModel("claude-haiku-4-5", provider=provider))), price=price)
    with llm_called.captured() as calls, suppress(AgentRunError):
        async with tested.request_stream(PROMPT, ModelSettings(max_retries=0), ModelRequestParameters()) as stream:
            async for _ in stream:
                pass
    assert [(call.status, call.prompt_tokens, call.cost) for call in calls] == [("error", 1000, 1010)]


async def test_an_attempt_that_was_rejected_costs_nothing(server: AnthropicServer) -> None:
    server.behaviour = [fails(529), says(TEXT, usage=Usage(100, 20))]
    call, _ = await events_of(model(server, "claude-haiku-4-5", "claude-later"))
    assert (call.prompt_tokens, call.completion_tokens, call.cost, call.usage_source) == (100, 20, 300, "provider")


async def test_a_call_is_unpriced_where_one_of_its_models_is_and_costs_what_is_known_of_the_others(
    server: AnthropicServer,
) -> None:
    server.behaviour = [BROKEN, says(TEXT, usage=Usage(100, 20))]
    call, _ = await events_of(model(server, "unpriced-model", "claude-later"))
    assert (call.prompt_tokens, call.cost, call.cost_source) == (1100, 300, "unpriced")


@pytest.mark.lenient
async def test_a_price_function_that_raises_is_reported_and_the_call_emitted(server: AnthropicServer) -> None:
    """Otherwise it would count as in flight for ever."""

    def broken(*_: object) -> float:
        raise ZeroDivisionError

    provider = AnthropicProvider(base_url=server.address, api_key="none")
    tested = instrument(AnthropicModel("claude-haiku-4-5", provider=provider), price=broken)
    with receiver_failed.captured() as failures:
        call, _ = await events_of(tested)
    assert (call.status, call.finish_reason, call.cost) == ("success", "stop", None)
    assert [(failure.signal, failure.error) for failure in failures] == [("llm_called", "ZeroDivisionError")]
