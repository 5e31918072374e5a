"""Every failure of an agent has one of twelve error types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from app.agents import AgentFailed, Assignment, execute
from app.agents.error_types import agent_error_type
from app.llm.factory import open_model
from app.settings import Settings
from events import AgentFinished, agent_finished
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import OpenAIServer, Reply, Usage, calls_tool, fails, says, sends, stalls
from tests.support.wait import until

BRIEF = Assignment("Acme Audio", "earbuds", (), "commuters", "Write the copy.")


async def failed_execution(base_url: str, library: FakeLibrary | None = None, **settings: float | str) -> AgentFinished:
    """Execute an agent and return the event of its end."""
    values = {"llm": "openai:scripted", "llm_base_url": base_url, "llm_retries": 0, **settings}
    llm = await open_model(Settings(**values))  # type: ignore[arg-type]  # pydantic looks
    try:
        with agent_finished.captured() as finished, suppress(AgentFailed):
            await execute("copywriter", BRIEF, model=llm.model, library=library or FakeLibrary())
    finally:
        await llm.close()
    [event] = finished
    return event


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (fails(401), "auth"),
        (fails(403), "auth"),
        (fails(404), "invalid_request"),
        (fails(400), "invalid_request"),
        (
            fails(400, "This model's maximum context length is 9.", code="context_length_exceeded"),
            "context_length_exceeded",
        ),
        (fails(429), "rate_limited"),
        (fails(429, "You exceeded your current quota.", code="insufficient_quota"), "quota_exceeded"),
        (fails(400, "Invalid prompt", code="content_policy_violation"), "content_filtered"),
        (says("", finish="content_filter"), "content_filtered"),
        (fails(500), "provider_5xx"),
        (fails(503), "provider_5xx"),
        (sends(b"<html>rubbish</html>"), "invalid_response"),
        (sends(b"{}"), "invalid_response"),
        (says("", usage=Usage(1, 1)), "invalid_response"),
        (calls_tool("no_such_tool", {}), "invalid_response"),
        (says("Hear.", break_after=2), "connection"),
    ],
)
async def test_a_failure_of_the_model_is_counted_by_its_agent_error_type(answer: Reply, word: str) -> None:
    with OpenAIServer(answer) as server:
        event = await failed_execution(server.base_url)
    assert (event.status, event.error_type) == ("error", word)


async def test_a_server_that_does_not_run_is_a_connection_error(free_port: Callable[[], int]) -> None:
    event = await failed_execution(f"http://127.0.0.1:{free_port()}/v1")
    assert (event.status, event.error_type) == ("error", "connection")


@pytest.mark.slow
async def test_timeouts_and_cancellations_have_types_of_their_own() -> None:
    with OpenAIServer(stalls()) as server:
        event = await failed_execution(server.base_url, llm_timeout=0.2)
        assert (event.status, event.error_type) == ("timeout", "timeout")
        with agent_finished.captured() as finished:
            asked = server.tally.requests
            task = asyncio.create_task(failed_execution(server.base_url))
            await until(lambda: server.tally.requests > asked)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert [(event.status, event.error_type) for event in finished] == [("cancelled", "cancelled")]


async def test_a_chain_of_models_has_the_type_of_the_last_ones_error() -> None:
    with OpenAIServer(lambda request: fails(500 if request.model == "scripted" else 401)) as server:
        event = await failed_execution(server.base_url, llm_fallbacks="openai:another")
    assert (event.status, event.error_type) == ("error", "auth")


async def test_a_failure_that_is_not_the_models_is_other() -> None:
    with OpenAIServer() as server:
        event = await failed_execution(server.base_url, FakeLibrary(error=OSError("broken")))
    assert (event.status, event.error_type) == ("error", "other")


def test_an_exception_group_has_the_type_of_its_last_error() -> None:
    assert agent_error_type(ExceptionGroup("all failed", [ValueError(), TimeoutError()])) == "timeout"
