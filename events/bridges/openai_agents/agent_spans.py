"""The span of an agent: its run, in which its tools, its models and the agents that it asks are."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

from ...agents import agent_run
from ...bus.scope import get_current_scope, get_effective_scope
from ...bus.span import ActiveSpan
from ..model_calls.error_types import error_type_of
from ..model_calls.names import label_of
from .span_errors import has_error

MARK = "openai_agents"
"""The name under which the scope of a run has a hook that says whose it is."""


class AgentSpan:
    """The run of an agent, from the start of its span to the end; a handoff ends it, and starts that of the next.

    One by the name of the agent around, which somebody else tells, is that agent: it is not told again.
    """

    def __init__(self, span: Any) -> None:
        self._run: ActiveSpan | None = None
        name = label_of(span.span_data.name)
        if is_told(name):
            return
        self._run = agent_run(agent_name=name)
        self._run.start()
        self._step = self._run.step()
        self._step.__enter__()
        scope = get_current_scope()
        if scope is not None:
            scope.attach(MARK, OwnRun())

    def end(self, span: Any, error: BaseException | None) -> None:
        """Emit the end of the run; what a streamed run is stopped by, such as a guardrail, is cancelled in the SDK."""
        if self._run is None:
            return
        self._step.__exit__(None, None, None)
        if isinstance(error, CancelledError) and has_error(span):
            self._run.note(status="error", error="", error_type="other")
        elif isinstance(error, Exception):
            self._run.note(error_type=error_type_of(error))
        self._run.end(error)

    def drop(self) -> None:
        """End a run whose span never ended."""
        if self._run is not None:
            self._run.end(CancelledError())


class OwnRun:
    """The hook of a run that this bridge tells."""

    def end(self) -> None:
        """Do nothing at the end of the scope."""


def is_told(name: str) -> bool:
    """Return whether the running code is in an agent of this name that somebody else tells, such as the program."""
    scope = get_effective_scope()
    while scope is not None and scope.kind != agent_run.kind:
        scope = scope.parent
    return scope is not None and scope.fields.get("agent_name") == name and MARK not in scope.hooks
