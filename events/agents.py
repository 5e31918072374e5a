"""What agents do."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import Dollars, Key, Label, Seconds, Status, Tokens, inherited, total
from .signal import Signal
from .span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStarted:
    """An agent began to execute a task."""

    execution_id: Key = ""
    agent_name: Label
    task: str = ""
    workflow_type: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFinished:
    """An agent's execution ended, well or badly."""

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
    cost: Dollars = total("llm_called", "cost")


agent_started = Signal(AgentStarted)
agent_finished = Signal(AgentFinished)
agent_run = Span(agent_started, agent_finished)
