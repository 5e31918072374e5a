"""The SDK without its own exporter, and models of it at loopback servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from events import (
    AgentFinished,
    AgentStarted,
    GuardrailChecked,
    LLMAttempted,
    LLMCalled,
    LLMCallStarted,
    ToolCalled,
    agent_finished,
    agent_started,
    guardrail_checked,
    llm_attempted,
    llm_call_started,
    llm_called,
    tool_called,
)
from tests.support.openai_server import OpenAIServer
from tests.support.responses_server import ResponsesServer


@dataclass
class Told:
    """What was emitted."""

    agents_started: list[AgentStarted] = field(default_factory=list)
    agents: list[AgentFinished] = field(default_factory=list)
    tools: list[ToolCalled] = field(default_factory=list)
    checks: list[GuardrailChecked] = field(default_factory=list)
    calls_started: list[LLMCallStarted] = field(default_factory=list)
    attempts: list[LLMAttempted] = field(default_factory=list)
    calls: list[LLMCalled] = field(default_factory=list)

    @property
    def tokens(self) -> tuple[int, int]:
        """The prompt's and the completion's, of all calls."""
        return (
            sum(call.prompt_tokens or 0 for call in self.calls),
            sum(call.completion_tokens or 0 for call in self.calls),
        )


@pytest.fixture
def told() -> Iterator[Told]:
    """Record every event."""
    with ExitStack() as stack:
        yield Told(
            agents_started=stack.enter_context(agent_started.captured()),
            agents=stack.enter_context(agent_finished.captured()),
            tools=stack.enter_context(tool_called.captured()),
            checks=stack.enter_context(guardrail_checked.captured()),
            calls_started=stack.enter_context(llm_call_started.captured()),
            attempts=stack.enter_context(llm_attempted.captured()),
            calls=stack.enter_context(llm_called.captured()),
        )


@pytest.fixture
def sdk() -> Iterator[Any]:
    """Return the SDK, with no processor of traces but ours: its own would send them to OpenAI."""
    import agents

    from events.bridges.openai_agents import instrument

    agents.set_trace_processors([])
    with instrument():
        yield agents
    agents.set_trace_processors([])


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """Run a server of Chat Completions."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def responses_server() -> Iterator[ResponsesServer]:
    """Run a server of Responses."""
    with ResponsesServer() as running:
        yield running


@pytest.fixture
def model(sdk: Any, server: OpenAIServer) -> Callable[..., Any]:
    """Return a function that makes a model at the server."""
    import openai

    def make(name: str = "m", url: str = server.base_url, **options: Any) -> Any:
        client = openai.AsyncOpenAI(base_url=url, api_key="none", **{"max_retries": 0, **options})
        return sdk.OpenAIChatCompletionsModel(name, client)

    return make
