"""Spans of runs of agents: what they emit; a run is told once, also by a library that has two spans of it."""

from __future__ import annotations

from typing import Any

from ...bus.scope import current_scope
from .agent_runs import AgentRun, emit_late_run, nearest_agent
from .attribute_names import Said
from .open_spans import OpenSpan
from .span_outcomes import DROPPED, SpanOutcome
from .span_reading import agent_name


class AgentSpans:
    """The spans of runs of agents."""

    def start(self, opened: OpenSpan, span: Any, said: Said) -> None:  # noqa: ARG002  # as of other spans
        """Begin an agent's run, unless it is the one around."""
        name = agent_name(said, opened.name)
        if is_run_of(opened, name):
            opened.is_repeated = True
            return
        opened.agent = AgentRun(name, opened.scope, opened.started_at())
        opened.scope = opened.agent.scope
        current_scope.set(opened.scope)  # until the run ends: see `SpanScope`

    def end(self, opened: OpenSpan, span: Any, said: Said, outcome: SpanOutcome, duration: float) -> None:
        """Emit the run of an agent that ended."""
        if opened.agent is not None:
            opened.agent.end(outcome, duration, {})
        elif not opened.is_repeated and not is_run_of(opened, name := agent_name(said, span.name)):
            emit_late_run(name, opened, outcome, opened.started_at(), duration)

    def drop(self, opened: OpenSpan, duration: float) -> None:
        """Emit the run of an agent that nobody ended."""
        if opened.agent is not None:
            opened.agent.end(DROPPED, duration, {})


def is_run_of(opened: OpenSpan, name: str) -> bool:
    """Return whether the run of an agent that a span is in has this name."""
    agent = nearest_agent(opened.scope)
    return agent is not None and agent.fields.get("agent_name") == name
