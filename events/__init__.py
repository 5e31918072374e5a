"""What can happen: the glossary of the system.

Every fact is a frozen dataclass, every signal tells one kind of fact, every span tells a start and an end:

>>> from events import agent_run, llm_called

Connect a listener with ``@llm_called.connect``; tell a fact with ``llm_called.emit(...)``; tell a stretch of work with
``with agent_run(...)``. See `Signal`, `Span` and `fields`.
"""

from . import fields
from .agents import AgentFinished, AgentStarted, agent_finished, agent_run, agent_started
from .background import Background, background
from .context import ContextBuilt, context_built
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
    WorkflowFinished,
    WorkflowResumed,
    WorkflowStarted,
    workflow_finished,
    workflow_resumed,
    workflow_run,
    workflow_started,
)

__all__ = [
    "AgentFinished",
    "AgentStarted",
    "Background",
    "ContextBuilt",
    "EventDropped",
    "HTTPRequestFinished",
    "LLMCalled",
    "LabelOverflowed",
    "QueryExecuted",
    "ReceiverFailed",
    "Running",
    "Signal",
    "Span",
    "ToolCalled",
    "ValueDropped",
    "WorkflowFinished",
    "WorkflowResumed",
    "WorkflowStarted",
    "agent_finished",
    "agent_run",
    "agent_started",
    "background",
    "context_built",
    "event_dropped",
    "fields",
    "http_request_finished",
    "label_overflowed",
    "llm_called",
    "query_executed",
    "receiver_failed",
    "strict",
    "tool_called",
    "value_dropped",
    "workflow_finished",
    "workflow_resumed",
    "workflow_run",
    "workflow_started",
]
