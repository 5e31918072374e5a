"""What agents were given, and whether it arrived: bytes, tokens, the share of the window, and every cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents import AgentFailed, Assignment, execute
from app.agents.context import MIN_TOKENS_TO_JUDGE, estimate, truncated_silently
from app.agents.phase_timer import PhaseTimer
from app.agents.prompt import compose, size
from app.agents.registry import AGENTS
from app.llm.factory import LLM, open_model
from app.settings import Settings
from events import ContextBuilt, ContextTruncated, agent_finished, context_built, context_truncated
from tests.support.openai_server import OpenAIServer, Usage, fails, says

FEATURES = ("noise cancelling",)
LONG = tuple(f"{number} hours of music and quiet for those who travel far and listen long" for number in range(60))


class Shelf:
    """A library with nothing in it."""

    async def brand_facts(self, brand: str) -> str:
        return ""

    async def earlier_copy(self, brand: str, limit: int = 2) -> list[str]:
        return []


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def llm(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LLM]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    opened = await open_model(Settings(llm="openai:scripted", llm_base_url=server.base_url))
    yield opened
    await opened.close()


async def let(llm: LLM, features: tuple[str, ...], window: int | None) -> tuple[ContextBuilt, list[ContextTruncated]]:
    """Execute an agent and give what was told of its context."""
    brief = Assignment("Acme Audio", "earbuds", features, "commuters", "Write the copy.")
    with context_built.captured() as built, context_truncated.captured() as cuts, suppress(AgentFailed):
        await execute("copywriter", brief, model=llm.model, library=Shelf(), window=window)
    [context] = built
    return context, cuts


async def test_tokens_are_those_that_the_model_counted(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = says(usage=Usage(prompt=120, completion=9))
    context, cuts = await let(llm, FEATURES, 4096)
    assert context.size == sum(size(message["content"]) for message in server.requests[0].messages)
    assert (context.tokens, context.window, context.utilization) == (120, 4096, 120 / 4096)
    assert cuts == []


async def test_without_usage_tokens_are_estimated_and_without_a_window_there_is_no_share(
    llm: LLM, server: OpenAIServer
) -> None:
    server.behaviour = says(usage=None)
    context, _ = await let(llm, FEATURES, None)
    sent = "".join(message["content"] for message in server.requests[0].messages)
    assert (context.tokens, context.window, context.utilization) == (estimate(sent), None, None)


async def test_what_is_trimmed_is_told_with_its_bytes_and_the_share_that_was_wanted(
    llm: LLM, server: OpenAIServer
) -> None:
    server.behaviour = says(usage=Usage(prompt=400, completion=9))
    context, [cut] = await let(llm, LONG, 1200)
    brief = Assignment("Acme Audio", "earbuds", LONG, "commuters", "Write the copy.")
    whole = compose(AGENTS["copywriter"], brief, {}, 16_000)
    assert (cut.agent_name, cut.reason) == ("copywriter", "app_trim")
    assert cut.dropped == size(whole.text) + size(AGENTS["copywriter"].instructions) - context.size
    assert context.utilization == pytest.approx(400 * (context.size + cut.dropped) / context.size / 1200)
    assert context.utilization is not None
    assert context.utilization > 1


async def test_a_provider_that_cuts_a_prompt_and_says_nothing_is_told(llm: LLM, server: OpenAIServer) -> None:
    """As Ollama does: status 200, an answer, and tokens counted of what was left."""
    server.behaviour = says(usage=Usage(prompt=260, completion=9))
    context, [cut] = await let(llm, LONG, 16_000)
    assert (cut.reason, cut.dropped) == ("provider_silent", None)
    assert context.tokens == estimate("".join(message["content"] for message in server.requests[0].messages))


async def test_a_prompt_that_is_refused_for_its_length_is_told(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = fails(400, "This model's maximum context length is 100 tokens.", code="context_length_exceeded")
    with agent_finished.captured() as ended:
        context, [cut] = await let(llm, FEATURES, 16_000)
    assert (cut.reason, cut.dropped) == ("rejected", context.size)
    assert [event.error_type for event in ended] == ["context_length_exceeded"]


async def test_a_second_call_of_an_execution_is_no_second_context(llm: LLM, server: OpenAIServer) -> None:
    """An answer that does not fit is asked for again, with more in the prompt than the context."""
    server.behaviour = [says("", usage=Usage(50, 1)), says("Hear.", usage=Usage(90, 1))]
    context, _ = await let(llm, FEATURES, 4096)
    assert (len(server.requests), context.tokens) == (2, 50)


def test_an_estimate_counts_letters_not_bytes() -> None:
    """A Hangul syllable is three bytes, and no more than a token with today's models."""
    assert estimate("a" * 400) == 100
    assert estimate("출" * 30) == 20
    assert estimate("") == 0


@given(text=st.text(max_size=400), counted=st.none() | st.integers(-5, 10_000))
def test_little_is_never_said_to_be_cut(text: str, counted: int | None) -> None:
    """And an unknown count says nothing."""
    if truncated_silently(estimate(text), counted):
        assert counted is not None
        assert 0 < counted < estimate(text) / 2
        assert estimate(text) >= MIN_TOKENS_TO_JUDGE


def test_each_moment_is_one_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel uses of tools count once, and a model's call takes precedence."""
    clock = iter([0.0, 1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 9.0, 9.0])
    monkeypatch.setattr("app.agents.phase_timer.perf_counter", lambda: next(clock))
    phases = PhaseTimer()  # 0
    with phases.of("tool"), phases.of("tool"), phases.of("llm"):  # from 1, from 2, from 4
        pass  # to 5, to 7, to 8
    assert (phases.seconds("tool"), phases.seconds("llm")) == (6.0, 1.0)


async def test_an_agents_phases_add_up_to_its_duration(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = replace(says(), delay=0.2)
    with agent_finished.captured() as ended:
        await let(llm, FEATURES, None)
    [agent] = ended
    assert agent.llm_time is not None
    assert agent.tool_time is not None
    assert agent.self_time is not None
    assert agent.llm_time >= 0.2
    assert agent.llm_time + agent.tool_time + agent.backoff_time + agent.self_time == pytest.approx(
        agent.duration, abs=0.005
    )
