"""The tokens of providers that count by their own rules: cached ones, reasoning beside the completion, running sums."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.providers.deepseek import DeepSeekProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.usage import RequestUsage

from events import LLMCalled, llm_called
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.reported import Reported
from events.bridges.pydantic_ai.usage_corrections import correct_totals, corrected_usage, is_cumulative
from tests.support.provider_servers import CompatibleServer

pytestmark = pytest.mark.slow  # an HTTP client each

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
HOW = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def usage(prompt: int, completion: int, total: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a usage object of OpenAI's protocol."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total or prompt + completion}
    return {**counts, **more}


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


async def ask(server: CompatibleServer, *, streamed: bool, provider: Any = None, settings: Any = None) -> None:
    client = AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    chosen = provider(openai_client=client) if provider else OpenAICompatibleProvider("any", openai_client=client)
    model = instrument(OpenAIChatModel("m", provider=chosen))
    await request(model, streamed=streamed, settings=settings)


async def request(model: Any, *, streamed: bool, settings: Any = None) -> None:
    if not streamed:
        await model.request(PROMPT, settings, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, settings, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass


# ruff: noqa: E501  # the tables
# The words of each provider for tokens that were read from its cache.
# fmt: off
CACHED = {
    "DeepSeek": {"prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400},  # api-docs.deepseek.com
    "Moonshot": {"cached_tokens": 600},                                             # platform.moonshot.ai
    "LiteLLM": {"cache_read_input_tokens": 600, "cache_creation_input_tokens": 0},  # docs.litellm.ai
    "OpenAI": {"prompt_tokens_details": {"cached_tokens": 600}},                    # platform.openai.com
    "OpenAI, with nothing where DeepSeek has it": {"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 600},
}
# fmt: on


@HOW
@pytest.mark.parametrize("words", CACHED.values(), ids=CACHED)
async def test_cached_tokens_are_counted_by_whatever_name(
    words: dict[str, Any], streamed: bool, calls: list[LLMCalled]
) -> None:
    with CompatibleServer(usage(1000, 50, **words)) as server:
        await ask(server, streamed=streamed)
    assert [(call.prompt_tokens, call.completion_tokens, call.cache_read_tokens) for call in calls] == [(1000, 50, 600)]


@HOW
async def test_deepseeks_cache_hits_are_priced_as_hits(streamed: bool, calls: list[LLMCalled]) -> None:
    for hits in (0, 600):
        words = {"prompt_cache_hit_tokens": hits, "prompt_cache_miss_tokens": 1000 - hits}
        with CompatibleServer(usage(1000, 50, **words), model="deepseek-chat") as server:
            await ask(server, streamed=streamed, provider=DeepSeekProvider)
    without, with_hits = calls
    assert (without.cache_read_tokens, with_hits.cache_read_tokens) == (0, 600)
    assert without.cost is not None
    assert with_hits.cost is not None
    assert with_hits.cost < without.cost
    assert (with_hits.cache_read_cost or 0) > 0


@pytest.mark.parametrize(
    ("details", "cached", "reasoning"),
    [
        ({}, None, None),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, 0, None),
        ({"completion_tokens_details": {"reasoning_tokens": 0}}, None, 0),
        ({"prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": None}}, None, None),
    ],
)
@HOW
async def test_an_answer_that_says_none_is_not_one_that_says_nothing(
    details: dict[str, Any], cached: int | None, reasoning: int | None, streamed: bool, calls: list[LLMCalled]
) -> None:
    with CompatibleServer(usage(1000, 50, **details)) as server:
        await ask(server, streamed=streamed)
    assert [(call.cache_read_tokens, call.reasoning_tokens) for call in calls] == [(cached, reasoning)]
    assert calls[0].prompt_audio_tokens is None


# What is billed as output: the total is right where the parts leave out what the model thought.
# fmt: off
BESIDE = {
    "xAI": (usage(32, 9, 135, completion_tokens_details={"reasoning_tokens": 94}), 103, 94),    # docs.x.ai/docs/guides/reasoning
    "Gemini's compatible endpoint": (usage(32, 9, 135), 103, 94),                               # ai.google.dev/gemini-api/docs/openai
    "Perplexity": (usage(32, 9, reasoning_tokens=94), 103, 94),                                 # docs.perplexity.ai
    "OpenAI": (usage(32, 103, completion_tokens_details={"reasoning_tokens": 94}), 103, 94),
    "without reasoning": (usage(32, 9), 9, None),
}
# fmt: on


@HOW
@pytest.mark.parametrize(("words", "completion", "reasoning"), BESIDE.values(), ids=BESIDE)
async def test_reasoning_is_part_of_the_completion_wherever_the_provider_counts_it(
    words: dict[str, Any], completion: int, reasoning: int | None, streamed: bool, calls: list[LLMCalled]
) -> None:
    with CompatibleServer(words) as server:
        await ask(server, streamed=streamed)
    assert [(call.prompt_tokens, call.completion_tokens, call.reasoning_tokens) for call in calls] == [
        (32, completion, reasoning)
    ]


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (usage(100, 20, 1020, cache_read_input_tokens=600, cache_creation_input_tokens=300), (1000, 20)),
        (usage(1000, 20, 1020, cache_read_input_tokens=600), (1000, 20)),
        (usage(0, 20, 1020), (None, 20)),  # a prompt that was not counted stays unknown
        (usage(1000, 20, 7), (1000, 20)),  # a total that is none
    ],
)
async def test_a_total_corrects_nothing_but_what_stands_beside(
    counted: dict[str, Any], expected: tuple[int | None, int], calls: list[LLMCalled]
) -> None:
    with CompatibleServer(counted) as server:
        await ask(server, streamed=False)
    assert [(call.prompt_tokens, call.completion_tokens) for call in calls] == [expected]


@pytest.mark.parametrize("settings", [None, OpenAIChatModelSettings(openai_continuous_usage_stats=True)])
@pytest.mark.parametrize("in_each_chunk", [False, True])
async def test_usage_so_far_in_every_chunk_is_counted_once(
    in_each_chunk: bool, settings: Any, calls: list[LLMCalled]
) -> None:
    """pydantic-ai adds the chunks up, unless its setting says not to."""
    counted = usage(1000, 6, prompt_tokens_details={"cached_tokens": 600})
    with CompatibleServer(counted, in_each_chunk=in_each_chunk) as server:
        await ask(server, streamed=True, settings=settings)
    assert [(call.prompt_tokens, call.completion_tokens, call.cache_read_tokens) for call in calls] == [(1000, 6, 600)]
    assert calls[0].usage_source == "provider"


async def test_usage_in_every_chunk_is_counted_once_in_a_chain_too(calls: list[LLMCalled]) -> None:
    """A chain reads the first chunk before it hands the stream on."""
    with CompatibleServer(usage(1000, 6), in_each_chunk=True) as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        member = OpenAIChatModel("m", provider=OpenAICompatibleProvider("any", openai_client=client))
        for chain in (FallbackModel(instrument(member)), FallbackModel(member)):
            await request(instrument(chain), streamed=True)
    assert [(call.prompt_tokens, call.completion_tokens) for call in calls] == [(1000, 6), (1000, 6)]


async def test_the_application_gets_its_response_as_pydantic_ai_made_it() -> None:
    with CompatibleServer(usage(1000, 50, prompt_cache_hit_tokens=600)) as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="none")
        model = OpenAIChatModel("m", provider=OpenAICompatibleProvider("any", openai_client=client))
        plain = await model.request(PROMPT, None, ModelRequestParameters())
        observed = await instrument(model).request(PROMPT, None, ModelRequestParameters())
    assert observed.usage == plain.usage
    assert observed.usage.cache_read_tokens == 0


COUNTS = st.integers(0, 10**6)


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=2, max_size=6))
def test_running_sums_are_told_from_parts(chunks: list[tuple[int, int]]) -> None:
    """Sums never fall; parts do, unless all but the last are empty."""
    usages = [RequestUsage(input_tokens=prompt, output_tokens=completion) for prompt, completion in chunks]
    prompts, completions = zip(*chunks, strict=True)
    assert is_cumulative(usages) == (list(prompts) == sorted(prompts) and list(completions) == sorted(completions))


def test_reasoning_that_nobody_told_of_stays_unknown() -> None:
    """A total that is the sum of its parts says nothing of what stands beside them."""
    told = RequestUsage(input_tokens=10, output_tokens=5)
    correct_totals(told, Reported(usage={"total_tokens": 15, "completion_tokens": 5}))
    assert told == RequestUsage(input_tokens=10, output_tokens=5)
    assert "output_reasoning_tokens" not in vars(told)


def test_a_usage_is_copied_only_where_its_total_may_say_more() -> None:
    def is_copied(**said: int) -> bool:
        response = ModelResponse(parts=[], usage=RequestUsage(input_tokens=10, output_tokens=5))
        response._events_reported = Reported(usage=said)  # type: ignore[attr-defined]  # as `observe_usage` does
        return corrected_usage(response) is not response.usage

    assert not is_copied(completion_tokens=5, total_tokens=15)
    assert not is_copied(completion_tokens=5)
    assert not is_copied(total_tokens=20)  # of no chat completion
    assert is_copied(completion_tokens=5, total_tokens=20)


@given(COUNTS, COUNTS, COUNTS)
def test_what_needs_no_correction_is_left_alone(prompt: int, completion: int, cached: int) -> None:
    told = RequestUsage(input_tokens=prompt, output_tokens=completion, cache_read_tokens=cached)
    assert corrected_usage(ModelResponse(parts=[], usage=told)) == told
