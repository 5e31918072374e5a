"""Events of agents: their runs, and the verdicts of reviewing agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .agent_phases import AgentPhases
from .bus.fields import Dollars, ErrorType, Key, Label, Seconds, Status, Tokens, inherited, total
from .bus.signal import Signal
from .bus.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStarted:
    """An agent started to execute a task."""

    execution_id: Key = ""
    agent_name: Label
    task: str = ""
    workflow_type: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFinished:
    """An agent's execution ended, successfully or not.

    Where the status is not success, ``error_type`` says why. The four times are parts of the duration and add up to it:
    ``llm_time`` waiting for a model, ``backoff_time`` waiting between two attempts to reach one, ``tool_time`` running
    tools, and ``self_time`` the agent's own; the span computes them from the events emitted inside, see `AgentPhases`.
    Those of an agent that it asked are in its own times too: it waits for it. ``cost`` is in USD, None where no call
    had a known price.

    Tokens and cost hold those of the agents that it asked; the ``own_`` ones leave them out, so that they can be added
    up over agents. Where they are not set, they are the same.
    """

    execution_id: Key = ""
    agent_name: Label
    task: str = ""
    workflow_type: Label = inherited()
    run_id: str = inherited("")
    status: Status
    duration: Seconds
    error: str = ""
    llm_calls: int = total("llm_called")
    tool_calls: int = total("tool_called")
    prompt_tokens: Tokens = total("llm_called", "prompt_tokens")
    completion_tokens: Tokens = total("llm_called", "completion_tokens")
    cost: Dollars | None = total("llm_called", "cost", start=None)
    own_prompt_tokens: Tokens | None = total("llm_called", "prompt_tokens", start=None, own=True)
    own_completion_tokens: Tokens | None = total("llm_called", "completion_tokens", start=None, own=True)
    own_cost: Dollars | None = total("llm_called", "cost", start=None, own=True)
    error_type: ErrorType = "other"
    llm_time: Seconds | None = None
    tool_time: Seconds | None = None
    backoff_time: Seconds | None = None
    self_time: Seconds | None = None

    def __post_init__(self) -> None:
        if self.status in {"timeout", "cancelled"}:  # the status is the reason
            object.__setattr__(self, "error_type", self.status)
        if self.own_prompt_tokens is None:
            object.__setattr__(self, "own_prompt_tokens", self.prompt_tokens)
        if self.own_completion_tokens is None:
            object.__setattr__(self, "own_completion_tokens", self.completion_tokens)
        if self.own_cost is None and self.cost is not None:
            object.__setattr__(self, "own_cost", self.cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecided:
    """A reviewing agent reached a verdict."""

    agent_name: Label = inherited()
    verdict: Literal["approved", "revise", "rejected"]
    workflow_type: Label = inherited()
    run_id: str = inherited("")


agent_started = Signal(AgentStarted)
agent_finished = Signal(AgentFinished)
review_decided = Signal(ReviewDecided)
agent_run = Span(agent_started, agent_finished, aggregator=AgentPhases)
"""The execution of one task by an agent; sums the calls, tokens and cost of the models that it calls.

It divides its time among models, tools, waiting and the agent itself.
"""
