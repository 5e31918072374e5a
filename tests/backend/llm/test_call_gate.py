"""A check comes before each attempt at a call of a model: the first, retries, and those of fallbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest

from app.llm.call_gate import gated, pass_gate
from app.llm.factory import open_model
from app.settings import Settings
from tests.support.openai_server import OpenAIServer, fails, says


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with OpenAIServer() as running:
        yield running


async def ask(server: OpenAIServer, passes: int, **settings: object) -> int:
    """Ask a model whose gate lets so many attempts through, and return how many came to the gate."""
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked > passes:
            raise asyncio.CancelledError

    given = {"llm": "openai:gpt-4o-mini", "llm_base_url": server.base_url, **settings}
    llm = await open_model(Settings(**given))  # type: ignore[arg-type]  # pydantic looks at them
    try:
        with gated(check):
            await model_request(llm.model, [ModelRequest.user_text_prompt("Hello")])
    finally:
        await llm.close()
    return asked


async def test_a_call_that_may_not_be_made_does_not_reach_the_server(server: OpenAIServer) -> None:
    with pytest.raises(asyncio.CancelledError):
        await ask(server, passes=0)
    assert server.tally.requests == 0


async def test_a_retry_that_may_not_be_made_does_not_reach_the_server(server: OpenAIServer) -> None:
    server.behaviour = [fails(503, retry_after=0.01), says()]
    with pytest.raises(asyncio.CancelledError):
        await ask(server, passes=1, llm_retries=3)
    assert server.tally.requests == 1


async def test_a_fallback_that_may_not_be_asked_is_not(server: OpenAIServer) -> None:
    server.behaviour = fails(503)
    with pytest.raises(asyncio.CancelledError):
        await ask(server, passes=1, llm_retries=0, llm_fallbacks="openai:gpt-4o")
    assert server.tally.requests == 1


async def test_each_attempt_comes_to_the_gate(server: OpenAIServer) -> None:
    server.behaviour = [fails(503, retry_after=0.01), says()]
    assert await ask(server, passes=2, llm_retries=3) == 2


def test_there_is_no_check_outside() -> None:
    pass_gate()
    with gated(lambda: None):
        pass_gate()
