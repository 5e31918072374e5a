"""Executions of agents against a scripted model server: results, usage, retries, cancellation and events."""

from __future__ import annotations

import asyncio

import pytest

from app.agents import AgentFailed, AgentResult, execute
from app.llm.factory import LLM, open_model
from app.llm_usage import LLMUsage
from app.settings import Settings
from events import (
    agent_started,
)
from tests.backend.agents.conftest import BRIEF, LIBRARY, REVIEW, RecordedAgents, counts, reviews
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, calls_tool, fails, says, stalls
from tests.support.wait import until


async def test_an_agent_answers_with_the_models_text(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = says('  "Hear nothing but music."\n')
    result = await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    assert result == AgentResult(
        {"text": "Hear nothing but music."}, "Hear nothing but music.", LLMUsage(1, 11, 7, cost=0.0)
    )


async def test_an_answer_has_the_price_of_the_seller_that_the_settings_name(llm: LLM, server: OpenAIServer) -> None:
    """Without the setting a server of one's own costs nothing, as above; ``llm`` sets the provider's key."""
    server.behaviour = says("Hear nothing but music.")
    priced = await open_model(
        Settings(llm="openai:gpt-4o-mini", llm_base_url=server.base_url, llm_retries=0, llm_prices="openai")
    )
    result = await execute("copywriter", BRIEF, model=priced.model, library=LIBRARY)
    await priced.close()
    assert counts(result.usage) == (1, 11, 7)
    assert result.usage.cost == pytest.approx(11 * 0.15e-6 + 7 * 0.60e-6)


async def test_a_reviewer_answers_with_its_verdict_as_data(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = reviews("revise")
    result = await execute("reviewer", REVIEW, model=llm.model, library=LIBRARY)
    assert (result.output, result.text) == ({"verdict": "revise"}, "revise")


async def test_an_answer_that_does_not_fit_is_asked_for_again_and_counted(
    llm: LLM, server: OpenAIServer, recorded: RecordedAgents
) -> None:
    def improve(request: ChatRequest) -> Reply:
        return reviews("wonderful" if server.tally.requests < 2 else "approved")(request)

    server.behaviour = improve
    result = await execute("reviewer", REVIEW, model=llm.model, library=LIBRARY)
    assert result.output == {"verdict": "approved"}
    assert counts(result.usage) == recorded.counts() == (3, 33, 21)


async def test_a_failed_call_is_made_once(llm: LLM, server: OpenAIServer, recorded: RecordedAgents) -> None:
    """The provider's SDK does not retry: that would hide failures and multiply waiting. Our own retries are emitted."""
    server.behaviour = fails(500)
    with pytest.raises(AgentFailed):
        await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    assert (server.tally.requests, len(recorded.calls)) == (1, 1)


async def test_a_cancelled_agent_disconnects_and_its_usage_is_known(
    llm: LLM, server: OpenAIServer, recorded: RecordedAgents
) -> None:
    server.behaviour = lambda request: (
        stalls() if len(request.messages) > 2 else calls_tool("brand_facts", {}, usage=Usage(20, 5))
    )
    usage = LLMUsage()
    task = asyncio.create_task(execute("copywriter", BRIEF, model=llm.model, library=LIBRARY, usage=usage))
    await until(lambda: server.tally.requests == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: server.tally.disconnects == 1)
    assert counts(usage) == recorded.counts() == (2, 20, 5)
    assert [run.status for run in recorded.finished] == ["cancelled"]


async def test_every_execution_emits_a_start_and_an_end(
    llm: LLM, server: OpenAIServer, recorded: RecordedAgents
) -> None:
    server.behaviour = [says(), fails(500)]
    with agent_started.captured() as started:
        await execute("editor", BRIEF, model=llm.model, library=LIBRARY)
        with pytest.raises(AgentFailed):
            await execute("editor", BRIEF, model=llm.model, library=LIBRARY)
    assert [run.execution_id for run in started] == [run.execution_id for run in recorded.finished]
    assert [(run.agent_name, run.status, run.llm_calls) for run in recorded.finished] == [
        ("editor", "success", 1),
        ("editor", "error", 1),
    ]
