"""The tier that a provider says in its answer has its price, in plain answers as in streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RequestUsage

from events import LLMCalled, llm_called
from events.bridges.pydantic_ai import instrument, list_price
from tests.support.openai_server import OpenAIServer, Reply, Usage, says
from tests.support.provider_servers import AnthropicServer, GeminiServer
from tests.support.responses_server import ResponsesServer

PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Say something.")]
MILLION = 1_000_000


class AnthropicTier(AnthropicServer):
    """https://platform.claude.com/docs/en/api/messages (``usage.service_tier``, ``usage.speed``)."""

    more: dict[str, Any]

    def _message(self, *arguments: Any) -> dict[str, Any]:
        message = super()._message(*arguments)
        message["usage"] |= self.more
        return message


class ResponsesTier(ResponsesServer):
    """https://platform.openai.com/docs/api-reference/responses/object (``service_tier``)."""

    more: dict[str, Any]

    def _response(self, reply: Reply, number: int, output: list[Any]) -> dict[str, Any]:
        return super()._response(reply, number, output) | self.more


def anthropic(name: str) -> Any:
    return lambda server: AnthropicModel(name, provider=AnthropicProvider(base_url=server.address, api_key="none"))


def responses(server: OpenAIServer) -> Model:
    return OpenAIResponsesModel("gpt-5-mini", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))


def gemini(server: GeminiServer) -> Model:
    return GoogleModel("gemini-3.8-flash-tts", provider=GoogleProvider(api_key="none", base_url=server.address))


# In USD a million tokens of the prompt: platform.openai.com/docs/pricing,
# platform.claude.com/docs/en/about-claude/pricing. Anthropic's priority tier is paid for in advance.
# fmt: off
TIERS: dict[str, tuple[Any, Any, dict[str, Any], float]] = {
    "Anthropic, standard":  (AnthropicTier, anthropic("claude-haiku-4-5"), {"service_tier": "standard"}, 1.0),
    "Anthropic, priority":  (AnthropicTier, anthropic("claude-haiku-4-5"), {"service_tier": "priority"}, 1.0),
    "Anthropic, batch":     (AnthropicTier, anthropic("claude-haiku-4-5"), {"service_tier": "batch"}, 0.5),
    "Anthropic, fast":      (AnthropicTier, anthropic("claude-opus-4-8"), {"speed": "fast"}, 10.0),
    "Responses, default":   (ResponsesTier, responses, {"service_tier": "default"}, 0.25),
    "Responses, flex":      (ResponsesTier, responses, {"service_tier": "flex"}, 0.125),
    "Responses, priority":  (ResponsesTier, responses, {"service_tier": "priority"}, 0.45),
}
# fmt: on


async def ask(model: Model, *, streamed: bool) -> None:
    if not streamed:
        await model.request(PROMPT, None, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", TIERS)
async def test_the_tier_in_an_answer_has_its_price(name: str, streamed: bool, calls: list[LLMCalled]) -> None:
    server_class, make_model, more, usd = TIERS[name]
    usage = Usage(MILLION // 10, 0)
    with server_class(says("An answer.", usage=usage)) as server:
        server.more = more
        await ask(instrument(make_model(server)), streamed=streamed)
    assert calls[0].cost == pytest.approx(usd / 10)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("tier", "factor"), [("standard", 1.0), ("flex", 0.5), ("priority", 1.8)])
async def test_the_tier_in_a_header_of_geminis_has_its_price(
    tier: str, factor: float, streamed: bool, calls: list[LLMCalled]
) -> None:
    """https://ai.google.dev/gemini-api/docs/pricing."""
    usual = list_price("google", "gemini-3.8-flash-tts", RequestUsage(input_tokens=MILLION))
    assert usual is not None
    reply = says("An answer.", usage=Usage(MILLION, 0), headers={"x-gemini-service-tier": tier})
    with GeminiServer(reply) as server:
        await ask(instrument(gemini(server)), streamed=streamed)
    assert calls[0].cost == pytest.approx(factor * usual)


async def test_a_stream_of_anthropics_that_was_left_has_its_tier(calls: list[LLMCalled]) -> None:
    with AnthropicTier(says("one two three four five", usage=Usage(MILLION // 10, 0), stall_after=4)) as server:
        server.more = {"service_tier": "batch"}
        model = instrument(anthropic("claude-haiku-4-5")(server))
        async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
            async for _ in stream:
                break
    assert calls[0].cost == pytest.approx(0.05, rel=0.01)
