"""The size of a context, its tokens, its share of the window, and every truncation are emitted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents import AgentFailed, Assignment, execute
from app.agents.agent_definitions import AGENTS
from app.agents.context import MIN_TOKENS_TO_JUDGE, estimate_tokens, truncated_silently
from app.agents.prompt import byte_size, compose
from app.llm.factory import LLM, open_model
from app.settings import Settings
from events import ContextBuilt, ContextTruncated, agent_finished, context_built, context_truncated
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import OpenAIServer, Usage, fails, says

FEATURES = ("noise cancelling",)


LONG = tuple(f"{number} hours of music and quiet for those who travel far and listen long" for number in range(60))


@pytest.fixture
async def llm(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LLM]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    opened = await open_model(Settings(llm="openai:scripted", llm_base_url=server.base_url))
    yield opened
    await opened.close()


async def run_agent(
    llm: LLM, features: tuple[str, ...], window: int | None
) -> tuple[ContextBuilt, list[ContextTruncated]]:
    """Run an agent and return the events of its context."""
    brief = Assignment("Acme Audio", "earbuds", features, "commuters", "Write the copy.")
    with context_built.captured() as built, context_truncated.captured() as cuts, suppress(AgentFailed):
        await execute("copywriter", brief, model=llm.model, library=FakeLibrary(), window=window)
    [context] = built
    return context, cuts


async def test_tokens_are_those_that_the_model_counted(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = says(usage=Usage(prompt=120, completion=9))
    context, cuts = await run_agent(llm, FEATURES, 4096)
    assert context.size == sum(byte_size(message["content"]) for message in server.requests[0].messages)
    assert (context.tokens, context.window, context.utilization) == (120, 4096, 120 / 4096)
    assert cuts == []


async def test_without_usage_tokens_are_estimated_and_without_a_window_there_is_no_utilization(
    llm: LLM, server: OpenAIServer
) -> None:
    server.behaviour = says(usage=None)
    context, _ = await run_agent(llm, FEATURES, None)
    sent = "".join(message["content"] for message in server.requests[0].messages)
    assert (context.tokens, context.window, context.utilization) == (estimate_tokens(sent), None, None)


async def test_trimming_is_emitted_with_its_bytes_and_the_utilization_that_was_wanted(
    llm: LLM, server: OpenAIServer
) -> None:
    server.behaviour = says(usage=Usage(prompt=400, completion=9))
    context, [cut] = await run_agent(llm, LONG, 1200)
    brief = Assignment("Acme Audio", "earbuds", LONG, "commuters", "Write the copy.")
    whole = compose(AGENTS["copywriter"], brief, {}, 16_000)
    assert (cut.agent_name, cut.reason) == ("copywriter", "app_trim")
    assert cut.dropped == byte_size(whole.text) + byte_size(AGENTS["copywriter"].instructions) - context.size
    assert context.utilization == pytest.approx(400 * (context.size + cut.dropped) / context.size / 1200)
    assert context.utilization is not None
    assert context.utilization > 1


async def test_a_silent_truncation_by_the_provider_is_emitted(llm: LLM, server: OpenAIServer) -> None:
    """As Ollama does: status 200, an answer, and a token count of what was left of the prompt."""
    server.behaviour = says(usage=Usage(prompt=260, completion=9))
    context, [cut] = await run_agent(llm, LONG, 16_000)
    assert (cut.reason, cut.dropped) == ("provider_silent", None)
    assert context.tokens == estimate_tokens("".join(message["content"] for message in server.requests[0].messages))


async def test_a_prompt_that_is_rejected_for_its_length_is_emitted(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = fails(400, "This model's maximum context length is 100 tokens.", code="context_length_exceeded")
    with agent_finished.captured() as ended:
        context, [cut] = await run_agent(llm, FEATURES, 16_000)
    assert (cut.reason, cut.dropped) == ("rejected", context.size)
    assert [event.error_type for event in ended] == ["context_length_exceeded"]


async def test_a_second_call_of_an_execution_is_no_second_context(llm: LLM, server: OpenAIServer) -> None:
    """The retry after an answer that does not fit has more in its prompt than the context."""
    server.behaviour = [says("", usage=Usage(50, 1)), says("Hear.", usage=Usage(90, 1))]
    context, _ = await run_agent(llm, FEATURES, 4096)
    assert (len(server.requests), context.tokens) == (2, 50)


def test_an_estimate_counts_letters_not_bytes() -> None:
    """A Hangul syllable is three bytes, and no more than a token with today's models."""
    assert estimate_tokens("a" * 400) == 100
    assert estimate_tokens("출" * 30) == 20
    assert estimate_tokens("") == 0


@pytest.mark.slow
@given(text=st.text(max_size=400), counted=st.none() | st.integers(-5, 10_000))
def test_a_short_prompt_is_never_judged_truncated(text: str, counted: int | None) -> None:
    """Nor is one whose tokens were not counted."""
    if truncated_silently(estimate_tokens(text), counted):
        assert counted is not None
        assert 0 < counted < estimate_tokens(text) / 2
        assert estimate_tokens(text) >= MIN_TOKENS_TO_JUDGE
