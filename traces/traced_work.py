"""The work that becomes spans: by which events, and how its spans are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import SpanKind

from events import (
    Signal,
    Span,
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
    Attributes,
    Fields,
    attributes_of,
    name_of,
    record_attributes,
)

AnySignal = Signal[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedWork:
    """A kind of work whose start and end are events.

    Attributes:
        kind: The kind of its scopes.
        key: The field of the id that its events share.
        operation: Its ``gen_ai.operation.name``, with which the name of the span begins, where the event has none.
        name: The field with which that goes on.
        span_kind: The kind of its spans.
        started: The signals of its start.
        finished: The signal of its end.
        started_fields: The attributes that are known at its start; None for those of work that no convention knows.
        finished_fields: The attributes that are known at its end; None for the same.
        outcomes: By the status of its finished event, how it ended in the words of others, where it has its own.
    """

    kind: str
    key: str
    operation: str
    name: str
    span_kind: SpanKind = SpanKind.INTERNAL
    started: tuple[AnySignal, ...]
    finished: AnySignal
    started_fields: Fields | None
    finished_fields: Fields | None
    outcomes: Mapping[str, str] = field(default_factory=dict)

    def span_name(self, event: Any) -> str:
        """Return the name of the span that an event starts or ends, such as ``invoke_agent writer``."""
        return name_of(self.operation_of(event), getattr(event, self.name))

    def operation_of(self, event: Any) -> str:
        """Return what the event says that it is, such as embeddings, else what all such work is."""
        if self.finished_fields is None:
            return self.operation  # a field of an event of one's own may be called so and mean another thing
        operation: str = getattr(event, "operation", self.operation)
        return operation

    def started_attributes(self, event: Any) -> Attributes:
        """Return the attributes that the event of its start has."""
        if self.started_fields is None:
            return record_attributes(event)
        return {"gen_ai.operation.name": self.operation_of(event)} | attributes_of(event, self.started_fields)

    def finished_attributes(self, event: Any) -> Attributes:
        """Return the attributes that the event of its end has."""
        if self.finished_fields is None:
            return record_attributes(event)
        attributes = attributes_of(event, self.finished_fields)
        attributes["gen_ai.operation.name"] = self.operation_of(event)
        if getattr(event, "streamed", False):
            attributes["gen_ai.request.stream"] = True
        return attributes

    def outcome(self, event: Any) -> str:
        """Return how it ended, by the event of its end."""
        status: str = event.status
        return self.outcomes.get(status, status)


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


def work_of(span: Span[...], name: str) -> TracedWork:
    """Return the work of a span that an application has declared itself; ``name`` is the field that names it."""
    return TracedWork(
        kind=span.kind,
        key=span.key,
        operation=span.kind,
        name=name,
        started=(span.started,),
        finished=span.finished,
        started_fields=None,
        finished_fields=None,
        # Of several outcomes with one status, the first: an error rather than a cancellation.
        outcomes={status: outcome for outcome, status in reversed(span.status.items())},
    )
