"""The span of an agent: its run, in which its tools, its models and the agents that it asks are."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

from ...agents import agent_run
from ..model_calls.error_types import error_type_of
from ..model_calls.names import label_of
from .span_errors import has_error


class AgentSpan:
    """The run of an agent, from the start of its span to the end; a handoff ends it, and starts that of the next."""

    def __init__(self, span: Any) -> None:
        self._run = agent_run(agent_name=label_of(span.span_data.name))
        self._run.start()
        self._step = self._run.step()
        self._step.__enter__()

    def end(self, span: Any, error: BaseException | None) -> None:
        """Emit the end of the run; what a streamed run is stopped by, such as a guardrail, is cancelled in the SDK."""
        self._step.__exit__(None, None, None)
        if isinstance(error, CancelledError) and has_error(span):
            self._run.note(status="error", error="", error_type="other")
        elif isinstance(error, Exception):
            self._run.note(error_type=error_type_of(error))
        self._run.end(error)

    def drop(self) -> None:
        """End a run whose span never ended."""
        self._run.end(CancelledError())
