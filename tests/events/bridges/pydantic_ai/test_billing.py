"""The cost of a call: the seller's own figure, else its list price in the tier that answered, else unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from math import fsum
from typing import Any

import pytest
from genai_prices import calc_price
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from prometheus_client import CollectorRegistry
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters, create_async_httpx2_client
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openrouter import OpenRouterModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.litellm import LiteLLMProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider
from pydantic_ai.usage import RequestUsage

from events import LLMCalled, llm_call, llm_called
from events.bridges.pydantic_ai import Cost, instrument, list_price, own_server, record_response_headers
from metrics import LLM, subscribe
from tests.support.openai_server import OpenAIServer, Usage, says
from tests.support.provider_servers import AnthropicServer, CompatibleServer

pytestmark = pytest.mark.slow  # an HTTP client each

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
MILLION = 10**6
HOW = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
COUNTED = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


async def ask(model: Model, *, streamed: bool = False) -> None:
    if not streamed:
        await model.request(PROMPT, None, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass


def openai_model(server: OpenAIServer, name: str = "gpt-5-mini", provider: Any = OpenAIProvider) -> OpenAIChatModel:
    client = AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    return OpenAIChatModel(name, provider=provider(openai_client=client))


def openrouter_model(server: OpenAIServer) -> Model:
    client = AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    return OpenRouterModel("anthropic/claude-sonnet-4.5", provider=OpenRouterProvider(openai_client=client))


# ruff: noqa: E501  # the tables
# fmt: off
OPENROUTER = {  # https://openrouter.ai/docs/use-cases/usage-accounting
    "one sum": ({"cost": 0.00123, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}, 0.00123),
    "with the upstream's, which is in it": ({"cost": 0.00123, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.00123}}, 0.00123),
    "with a key of one's own": ({"cost": 0.0001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.002}}, 0.0021),
    "a free model": ({"cost": 0, "is_byok": False, "cost_details": {"upstream_inference_cost": 0}}, 0.0),
}
SAID = {
    "LiteLLM": {"cost": 0.00042},                                       # https://docs.litellm.ai/docs/completion/usage
    "LiteLLM, as text": {"cost": "0.00042"},
    "xAI": {"cost_in_usd_ticks": 4_200_000},                            # https://docs.x.ai/developers/cost-tracking
    "Perplexity": {"cost": {"input_tokens_cost": 0.0002, "output_tokens_cost": 0.0002, "request_cost": 0.00002, "total_cost": 0.00042}},
    "DeepInfra": {"estimated_cost": 0.00042},                           # https://deepinfra.com/docs/openai_api
    "Pydantic's gateway": {"logfire_ai_gateway": {"cost": "0.00042"}},  # https://pydantic.dev/docs/ai/gateway
}
# fmt: on


@HOW
@pytest.mark.parametrize(("said", "usd"), OPENROUTER.values(), ids=OPENROUTER)
async def test_openrouters_own_cost_wins_over_the_list(
    said: dict[str, Any], usd: float, streamed: bool, calls: list[LLMCalled]
) -> None:
    with CompatibleServer({**COUNTED, **said}, {"provider": "Anthropic"}) as server:
        await ask(instrument(openrouter_model(server)), streamed=streamed)
    [call] = calls
    assert call.cost == pytest.approx(usd)
    assert call.cost_source == "provider"
    assert call.unsplit_cost == call.cost  # the seller names one sum


@HOW
@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
async def test_a_cost_in_the_usage_wins_over_the_list(
    said: dict[str, Any], streamed: bool, calls: list[LLMCalled]
) -> None:
    with CompatibleServer({**COUNTED, **said}) as server:
        await ask(instrument(openai_model(server, "gpt-4o-mini")), streamed=streamed)
    assert calls[0].cost == pytest.approx(0.00042)
    assert calls[0].cost_source == "provider"


@HOW
async def test_litellms_header_is_the_cost_of_an_answer_and_not_of_a_stream(
    streamed: bool, calls: list[LLMCalled]
) -> None:
    """The headers of a stream leave before anything is billed (https://docs.litellm.ai/docs/proxy/response_headers)."""
    with CompatibleServer(COUNTED, headers={"x-litellm-response-cost": "0.00042"}) as server:
        async with create_async_httpx2_client() as client:
            client.event_hooks = {"response": [record_response_headers]}
            provider = LiteLLMProvider(api_base=server.base_url, api_key="none", http_client=client)
            await ask(instrument(OpenAIChatModel("openai/gpt-4o-mini", provider=provider)), streamed=streamed)
    assert (calls[0].cost_source, calls[0].cost == 0.00042) == (
        ("price_table", False) if streamed else ("provider", True)
    )


@pytest.mark.parametrize("said", [{"cost": None}, {"cost": "much"}, {"cost": True}, {"cost": [1]}, {"cost": {}}])
async def test_a_cost_that_is_none_leaves_the_list_price(said: dict[str, Any], calls: list[LLMCalled]) -> None:
    with CompatibleServer({**COUNTED, **said}) as server:
        await ask(instrument(openai_model(server, "gpt-4o-mini")))
    assert calls[0].cost == pytest.approx(0.00018)
    assert calls[0].cost_source == "price_table"


# https://platform.openai.com/docs/pricing, in USD a million tokens of the prompt
@HOW
@pytest.mark.parametrize(("tier", "usd"), [("default", 0.25), ("flex", 0.125), ("priority", 0.45), (None, 0.25)])
async def test_the_tier_that_answered_has_its_own_price(
    tier: str | None, usd: float, streamed: bool, calls: list[LLMCalled]
) -> None:
    counted = {"prompt_tokens": MILLION, "completion_tokens": 0, "total_tokens": MILLION}
    with CompatibleServer(counted, {"service_tier": tier}, model="gpt-5-mini-2025-08-07") as server:
        await ask(instrument(openai_model(server)), streamed=streamed)
    assert calls[0].cost == pytest.approx(usd)


def answer(**details: Any) -> ModelResponse:
    return ModelResponse(parts=[], provider_name="anthropic", provider_details=details)


# fmt: off
TIERS = {
    "Anthropic's fast mode": ("anthropic", "claude-opus-4-8", {"speed": "fast"}, {}),
    "Anthropic's batches": ("anthropic", "claude-haiku-4-5", {"service_tier": "batch"}, {}),
    "Gemini's flex": ("google", "gemini-3.8-flash-tts", {"service_tier": "flex"}, {}),
    "Google Cloud's flex": ("google", "gemini-3.8-flash-tts", {"traffic_type": "ON_DEMAND_FLEX"}, {}),
    "an hour in the cache": ("anthropic", "claude-haiku-4-5", {}, {"cache_write_tokens": 1000, "cache_write_1h_tokens": 1000}),
    "a long context": ("google", "gemini-2.5-pro", {}, {"input_tokens": 300_000}),
}
# fmt: on


@pytest.mark.parametrize(("provider", "model", "details", "more"), TIERS.values(), ids=TIERS)
def test_what_the_answer_says_changes_its_price(
    provider: str, model: str, details: dict[str, str], more: dict[str, int]
) -> None:
    usual = list_price(provider, model, RequestUsage(input_tokens=10_000, output_tokens=100), answer())
    counts: dict[str, Any] = {"input_tokens": 10_000, "output_tokens": 100, **more}
    said = list_price(provider, model, RequestUsage(**counts), answer(**details))
    assert usual is not None
    assert said is not None
    by_the_token = float(said) / more.get("input_tokens", 10_000) * 10_000
    assert by_the_token != pytest.approx(float(usual), rel=0.02)


async def test_an_hour_in_anthropics_cache_costs_more_than_five_minutes() -> None:
    """https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching: 2 times the prompt's price, and 1.25."""
    counts: dict[str, Any] = {"input_tokens": MILLION, "cache_write_tokens": MILLION}
    assert list_price("anthropic", "claude-haiku-4-5", RequestUsage(**counts)) == pytest.approx(1.25)
    hour = RequestUsage(**counts, cache_write_1h_tokens=MILLION)
    cost = list_price("anthropic", "claude-haiku-4-5", hour)
    assert cost == pytest.approx(2.0)
    assert cost is not None
    assert cost.cache_write == pytest.approx(2.0)


def test_the_seller_is_the_one_whose_url_answered() -> None:
    usage = RequestUsage(input_tokens=MILLION)
    resold = ModelResponse(parts=[], provider_name="openai", provider_url="https://openrouter.ai/api/v1")
    model = "anthropic/claude-sonnet-4.5"
    assert list_price("openai", model, usage, resold) == list_price("openrouter", model, usage)
    assert list_price("openai", model, usage) is None


@pytest.mark.parametrize("provider", ["", "nobody", "test", "function", "openai-compatible", "embedded"])
def test_a_name_alone_takes_no_strangers_price(provider: str) -> None:
    assert list_price(provider, "gpt-4o-mini", RequestUsage(input_tokens=MILLION)) is None


async def test_a_call_is_priced_by_the_list_without_being_told_to(calls: list[LLMCalled]) -> None:
    with OpenAIServer(says(usage=Usage(1000, 10))) as server:
        await ask(instrument(openai_model(server, "gpt-4o-mini")))
    assert calls[0].cost == pytest.approx(0.000156)
    assert calls[0].cost_source == "price_table"


async def test_a_call_that_nobody_was_asked_to_price_is_not_unpriced(calls: list[LLMCalled]) -> None:
    with OpenAIServer() as server:
        await ask(instrument(openai_model(server, "gpt-4o-mini"), price=None))
    assert [(call.cost, call.cost_source) for call in calls] == [(None, None)]


async def test_a_model_that_no_list_knows_is_unpriced(calls: list[LLMCalled]) -> None:
    def reply(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart("Fine.")], usage=RequestUsage(input_tokens=3, output_tokens=1))

    await ask(instrument(FunctionModel(reply)))
    assert [(call.cost, call.cost_source) for call in calls] == [(None, "unpriced")]


async def test_a_server_of_ones_own_costs_nothing(calls: list[LLMCalled]) -> None:
    with OpenAIServer() as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="none")
        ollama = OllamaModel("gpt-4o-mini", provider=OllamaProvider(openai_client=client))
        await ask(instrument(ollama))
        await ask(instrument(openai_model(server, "gpt-4o-mini"), price=own_server))
        local = OpenAICompatibleProvider("local", openai_client=client)
        await ask(instrument(OpenAIChatModel("gpt-4o-mini", provider=local)))  # not declared, and nobody's list price
    assert [(call.cost, call.cost_source) for call in calls] == [
        (0, "price_table"),
        (0, "price_table"),
        (None, "unpriced"),
    ]


@pytest.mark.parametrize(
    "price",
    [
        lambda _provider, _model, usage: usage.input_tokens / 4,
        lambda _provider, _model, usage, response: usage.input_tokens / 4 if response.model_name else None,
        lambda *_: 2.75,
        lambda _provider, _model, _usage: Cost(2.75, input=2.0, output=0.5),
    ],
)
async def test_a_price_function_takes_three_arguments_or_the_response_too(price: Any, calls: list[LLMCalled]) -> None:
    with OpenAIServer(says(usage=Usage(11, 7))) as server:
        await ask(instrument(openai_model(server), price=price))
    assert [(call.cost, call.cost_source) for call in calls] == [(2.75, "price_table")]


@pytest.mark.lenient
async def test_a_price_function_that_raises_loses_no_tokens(calls: list[LLMCalled]) -> None:
    def broken(*_: object) -> float:
        raise ZeroDivisionError

    with OpenAIServer(says(usage=Usage(11, 7))) as server:
        await ask(instrument(openai_model(server), price=broken))
    assert [(call.prompt_tokens, call.cost, call.cost_source) for call in calls] == [(11, None, "unpriced")]


async def test_the_parts_of_a_price_are_its_kinds_of_tokens(calls: list[LLMCalled]) -> None:
    with AnthropicServer(says(usage=Usage(1000, 200, cached=600, cache_write=100))) as server:
        provider = AnthropicProvider(base_url=server.address, api_key="none")
        await ask(instrument(AnthropicModel("claude-haiku-4-5", provider=provider)))
    [call] = calls
    parts = (call.input_cost, call.output_cost, call.cache_read_cost, call.cache_write_cost, call.unsplit_cost)
    assert parts == pytest.approx((0.0003, 0.001, 0.00006, 0.000125, 0))
    assert call.cost == pytest.approx(0.001485)


LISTED = st.sampled_from([("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5"), ("google", "gemini-2.5-pro")])


@given(LISTED, *[st.integers(0, 10**6)] * 4)
def test_the_parts_of_a_list_price_add_up_to_it(
    listed: tuple[str, str], plain: int, read: int, written: int, output: int
) -> None:
    usage = RequestUsage(
        input_tokens=plain + read + written, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written
    )
    cost = list_price(*listed, usage)
    assert cost is not None
    parts = [cost.input, cost.output, cost.cache_read, cost.cache_write]
    assert all(part is not None and part >= 0 for part in parts)
    assert fsum(part for part in parts if part is not None) == pytest.approx(float(cost))


AMOUNT = st.one_of(st.none(), st.floats(0, 1000))
CALL = LLMCalled(model="m", status="success", duration=1.0)


@settings(max_examples=20, deadline=None)  # each subscribes
@given(
    st.lists(
        st.tuples(st.floats(0, 1000), st.sampled_from(["provider", "price_table", "unknown", None]), AMOUNT, AMOUNT),
        max_size=8,
    )
)
def test_the_kinds_and_the_agents_add_up_to_the_total(
    told: list[tuple[float, Any, float | None, float | None]],
) -> None:
    """However much of each cost is split, and whoever says it."""
    registry = CollectorRegistry()
    with subscribe(LLM, registry, namespace="studio"):
        for rest, source, prompt, completion in told:
            total = fsum([rest, prompt or 0, completion or 0])
            call = replace(CALL, cost=total, cost_source=source, input_cost=prompt, output_cost=completion)
            llm_called.send(call)
        samples = [sample for family in registry.collect() for sample in family.samples]
    families = ("llm_cost_usd_total", "llm_cost_by_kind_usd_total", "llm_cost_by_agent_usd_total")
    sums = [fsum(sample.value for sample in samples if sample.name == f"studio_{name}") for name in families]
    total = fsum([*(rest for rest, *_ in told), *(part for _, _, *parts in told for part in parts if part)])
    assert sums == pytest.approx([total] * 3)


@pytest.mark.parametrize("source", [None, "none", "estimated", "provider"])
def test_an_answer_without_usage_counts_as_one_whatever_its_source_is_called(source: Any) -> None:
    registry = CollectorRegistry()
    with subscribe(LLM, registry, namespace="studio"):
        llm_called.emit(model="m", status="success", duration=1.0, usage_source=source)
        llm_called.emit(model="m", status="error", duration=1.0, error_type="rate_limited")  # no answer
        llm_called.emit(model="m", status="success", duration=1.0, prompt_tokens=0, completion_tokens=3)
        assert registry.get_sample_value("studio_llm_usage_missing_total", {"model": "m"}) == 1


@pytest.mark.lenient
@pytest.mark.parametrize(
    "priced",
    [(0.1, 0.2), "", "free", object(), 10**400, calc_price(RequestUsage(input_tokens=1), "gpt-5-mini")],
    ids=lambda value: type(value).__name__,
)
async def test_a_price_that_is_no_number_loses_no_tokens(priced: Any, calls: list[LLMCalled]) -> None:
    """Such as what ``calc_price`` returns, whose ``total_price`` is the number."""
    with OpenAIServer(says(usage=Usage(100, 20))) as server:
        await ask(instrument(openai_model(server), price=lambda *_: priced))
    [call] = calls
    assert (call.prompt_tokens, call.completion_tokens) == (100, 20)
    assert (call.cost, call.cost_source) == (None, "unpriced")


async def test_parts_that_are_more_than_the_cost_are_none_of_it(calls: list[LLMCalled]) -> None:
    """As after a discount on the sum alone."""
    with OpenAIServer(says(usage=Usage(100, 20))) as server:
        await ask(instrument(openai_model(server), price=lambda *_: Cost(1.0, input=1.5, output=0.5)))
    [call] = calls
    assert (call.cost, call.input_cost, call.unsplit_cost) == (1.0, None, 1.0)


@pytest.mark.lenient
@pytest.mark.parametrize(
    ("cost", "parts", "expected"),
    [
        (Decimal("0.25"), {"input_cost": Decimal("0.05")}, {"input": 0.05, "unsplit": 0.2}),
        (Decimal("0.25"), {"input_cost": 0.05}, {"input": 0.05, "unsplit": 0.2}),
        (0.25, {"input_cost": float("nan"), "output_cost": -1.0}, {"unsplit": 0.25}),
        ("0.25", {}, {}),
        (float("nan"), {}, {}),
    ],
)
def test_costs_of_any_type_add_up_and_hinder_nothing_else(cost: Any, parts: Any, expected: dict[str, float]) -> None:
    registry = CollectorRegistry()
    with subscribe(LLM, registry, namespace="acme"):
        with llm_call(model="m") as call:
            call.note(cost=cost, prompt_tokens=7, **parts)
        by_kind = {
            sample.labels["kind"]: sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "acme_llm_cost_by_kind_usd_total" and sample.value
        }
        assert by_kind == pytest.approx(expected)
        assert registry.get_sample_value("acme_llm_active_requests", {"model": "m"}) == 0
        tokens = {"model": "m", "token_type": "prompt"}
        assert registry.get_sample_value("acme_llm_tokens_total", tokens) == 7
