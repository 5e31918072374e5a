"""The events of calls to models, of agents and of tools, to be compared with what a server sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from events import (
    AgentFinished,
    AgentStarted,
    LLMAttempted,
    LLMCalled,
    LLMCallStarted,
    ToolCalled,
    agent_finished,
    agent_started,
    llm_attempted,
    llm_call_started,
    llm_called,
    tool_called,
)
from tests.support.openai_server import Tally


@dataclass(frozen=True, slots=True)
class Recorded:
    """The events that were emitted."""

    started: list[LLMCallStarted]
    attempts: list[LLMAttempted]
    calls: list[LLMCalled]
    tools: list[ToolCalled]
    agents_started: list[AgentStarted]
    agents: list[AgentFinished]

    def clear(self) -> None:
        """Forget what was emitted so far."""
        for events in (self.started, self.attempts, self.calls, self.tools, self.agents_started, self.agents):
            events.clear()

    def sums(self) -> tuple[int, int, int]:
        """Return the number of calls, and their prompt and completion tokens."""
        prompt = sum(call.prompt_tokens or 0 for call in self.calls)
        return len(self.calls), prompt, sum(call.completion_tokens or 0 for call in self.calls)

    def is_paired(self) -> bool:
        """Return whether each call that started ended, once, and each agent too."""
        calls = sorted(call.call_id for call in self.started) == sorted(call.call_id for call in self.calls)
        agents = sorted(run.execution_id for run in self.agents_started) == sorted(
            run.execution_id for run in self.agents
        )
        return calls and agents


def sums_of(tally: Tally) -> tuple[int, int, int]:
    """Return the number of requests that a server answered, and the tokens that it sent."""
    return tally.requests, tally.prompt_tokens, tally.completion_tokens


@contextmanager
def recorded_calls() -> Iterator[Recorded]:
    """Record what is emitted inside the block."""
    signals = (llm_call_started, llm_attempted, llm_called, tool_called, agent_started, agent_finished)
    with ExitStack() as stack:
        yield Recorded(*[stack.enter_context(signal.captured()) for signal in signals])  # type: ignore[arg-type]  # each its own
