"""The work that becomes spans: by which events, and how its spans are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import SpanKind

from events import (
    Signal,
    agent_finished,
    agent_started,
    llm_call_started,
    llm_called,
    workflow_finished,
    workflow_resumed,
    workflow_started,
)

from .attributes import (
    AGENT_FINISHED,
    AGENT_STARTED,
    LLM_FINISHED,
    LLM_STARTED,
    WORKFLOW_FINISHED,
    WORKFLOW_STARTED,
    Fields,
)

AnySignal = Signal[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedWork:
    """A kind of work whose start and end are events.

    Attributes:
        kind: The kind of its scopes.
        key: The field of the id that its events share.
        operation: Its ``gen_ai.operation.name``, with which the name of the span begins.
        name: The field with which that goes on.
        span_kind: The kind of its spans.
        started: The signals of its start.
        finished: The signal of its end.
        started_fields: The attributes that are known at its start.
        finished_fields: The attributes that are known at its end.
    """

    kind: str
    key: str
    operation: str
    name: str
    span_kind: SpanKind = SpanKind.INTERNAL
    started: tuple[AnySignal, ...]
    finished: AnySignal
    started_fields: Fields
    finished_fields: Fields

    def span_name(self, event: Any) -> str:
        """Return the name of the span that an event starts or ends, such as ``invoke_agent writer``."""
        return f"{self.operation} {getattr(event, self.name)}"


WORKFLOW = TracedWork(
    kind="workflow",
    key="run_id",
    operation="invoke_workflow",
    name="workflow_type",
    started=(workflow_started, workflow_resumed),
    finished=workflow_finished,
    started_fields=WORKFLOW_STARTED,
    finished_fields=WORKFLOW_FINISHED,
)
AGENT = TracedWork(
    kind="agent",
    key="execution_id",
    operation="invoke_agent",
    name="agent_name",
    started=(agent_started,),
    finished=agent_finished,
    started_fields=AGENT_STARTED,
    finished_fields=AGENT_FINISHED,
)
LLM_CALL = TracedWork(
    kind="llm_call",
    key="call_id",
    operation="chat",
    name="model",
    span_kind=SpanKind.CLIENT,
    started=(llm_call_started,),
    finished=llm_called,
    started_fields=LLM_STARTED,
    finished_fields=LLM_FINISHED,
)
TRACED = (WORKFLOW, AGENT, LLM_CALL)
