"""What can happen: the glossary of the system.

Every fact is a frozen dataclass, every signal tells one kind of fact, every span tells a start and an end:

>>> from events import agent_run, llm_called

Connect a listener with ``@llm_called.connect``; tell a fact with ``llm_called.emit(...)``; tell a stretch of work with
``with agent_run(...)``. See `Signal`, `Span` and `fields`.
"""

from . import fields
from .agents import (
    AgentFinished,
    AgentStarted,
    ReviewDecided,
    agent_finished,
    agent_run,
    agent_started,
    review_decided,
)
from .background import Background, background
from .context import ContextBuilt, ContextTruncated, context_built, context_truncated
from .database import QueryExecuted, query_executed
from .http import HTTPRequestFinished, http_request_finished
from .llm import LLMCalled, llm_called
from .pipeline import (
    EventDropped,
    LabelOverflowed,
    ReceiverFailed,
    ValueDropped,
    event_dropped,
    label_overflowed,
    receiver_failed,
    value_dropped,
)
from .signal import Signal, strict
from .span import Running, Span
from .tools import ToolCalled, tool_called
from .workflows import (
    OldestWorkflowRead,
    WorkflowFinished,
    WorkflowReleased,
    WorkflowResumed,
    WorkflowStarted,
    WorkflowStepFinished,
    oldest_workflow_read,
    workflow_finished,
    workflow_released,
    workflow_resumed,
    workflow_run,
    workflow_started,
    workflow_step_finished,
)

__all__ = [
    "AgentFinished",
    "AgentStarted",
    "Background",
    "ContextBuilt",
    "ContextTruncated",
    "EventDropped",
    "HTTPRequestFinished",
    "LLMCalled",
    "LabelOverflowed",
    "OldestWorkflowRead",
    "QueryExecuted",
    "ReceiverFailed",
    "ReviewDecided",
    "Running",
    "Signal",
    "Span",
    "ToolCalled",
    "ValueDropped",
    "WorkflowFinished",
    "WorkflowReleased",
    "WorkflowResumed",
    "WorkflowStarted",
    "WorkflowStepFinished",
    "agent_finished",
    "agent_run",
    "agent_started",
    "background",
    "context_built",
    "context_truncated",
    "event_dropped",
    "fields",
    "http_request_finished",
    "label_overflowed",
    "llm_called",
    "oldest_workflow_read",
    "query_executed",
    "receiver_failed",
    "review_decided",
    "strict",
    "tool_called",
    "value_dropped",
    "workflow_finished",
    "workflow_released",
    "workflow_resumed",
    "workflow_run",
    "workflow_started",
    "workflow_step_finished",
]
