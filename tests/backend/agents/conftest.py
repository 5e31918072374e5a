"""A scripted model server, a model that asks it, and the events of agents and model calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from app.agents import Assignment
from app.llm.factory import LLM, open_model
from app.llm_usage import LLMUsage
from app.settings import Settings
from events import (
    AgentFinished,
    ContextBuilt,
    LLMCalled,
    ToolCalled,
    agent_finished,
    context_built,
    llm_called,
    tool_called,
)
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, calls_tool

SECRET = "sk-a-key-that-nobody-may-see"
PROMPTED = "a-word-of-the-brief"
BRIEF = Assignment("Acme Audio", "wireless earbuds", ("noise cancelling", PROMPTED), "commuters", "Write the copy.")
REVIEW = Assignment("Acme Audio", "earbuds", (), "commuters", "Judge the copy.", (("copywriter", "Hear the quiet."),))
LIBRARY = FakeLibrary("About: quiet since 1990\nTone: warm", ["Hear the quiet.", "Silence, please."])


@dataclass
class RecordedAgents:
    """The events that were emitted while a test ran."""

    finished: list[AgentFinished]
    contexts: list[ContextBuilt]
    calls: list[LLMCalled]
    tools: list[ToolCalled]

    def counts(self) -> tuple[int, int, int]:
        """Return calls, prompt tokens and completion tokens, summed from the events of model calls."""
        return (
            len(self.calls),
            sum(call.prompt_tokens or 0 for call in self.calls),
            sum(call.completion_tokens or 0 for call in self.calls),
        )


def counts(usage: LLMUsage) -> tuple[int, int, int]:
    """Return calls, prompt tokens and completion tokens of a usage."""
    return usage.llm_calls, usage.prompt_tokens, usage.completion_tokens


def reviews(verdict: str) -> Callable[[ChatRequest], Reply]:
    """Return a behaviour of the server that answers a reviewer by calling its output tool."""
    return lambda request: calls_tool(request.body["tools"][-1]["function"]["name"], {"verdict": verdict})


@pytest.fixture
def recorded() -> Iterator[RecordedAgents]:
    with ExitStack() as stack:
        signals = (agent_finished, context_built, llm_called, tool_called)
        yield RecordedAgents(*(stack.enter_context(signal.captured()) for signal in signals))  # type: ignore[arg-type]  # in order


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def llm(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LLM]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    opened = await open_model(
        Settings(llm="openai:gpt-4o-mini", llm_base_url=server.base_url, llm_timeout=5.0, llm_retries=0)
    )
    yield opened
    await opened.close()
