"""The catalogue of metrics: a module for each group of rows, data only, joined here.

Names are without the namespace (``sparklio_`` in the studio). A row takes two lines or more: the metric's name and help
text, then the signal and how its events update the metric. Each group can be subscribed alone. The limits of open
labels stand in the module of the group that declares the label.
"""

from __future__ import annotations

from events import (
    access_refused,
    build_read,
    component_checked,
    connection_closed,
    database_failed,
    event_loop_probed,
    feed_clients_read,
    http_request_waited,
    limit_reached,
    listener_delivered,
    llm_configured,
    llm_process_read,
    llm_usage_billed,
    query_repeated,
    relationship_loaded,
    rows_expired,
    rows_streamed,
    savepoint_ended,
    websocket_finished,
    worker_finished,
    worker_folder_read,
    workflow_backlog_read,
    workflow_billed_late,
    workflow_call_interrupted,
    workflow_limits_read,
    workflow_requeued,
)
from events.pipeline import FAULT_SIGNALS

from ..event_fields import AnySignal
from . import (
    agents,
    database,
    evaluations,
    guardrails,
    http,
    listeners,
    llm,
    pipeline,
    process,
    retrieval,
    tools,
    workflows,
)
from .agents import AGENTS
from .context import CONTEXT
from .database import DATABASE
from .database_details import DATABASE_DETAILS
from .evaluations import EVALUATIONS
from .exposition import EXPOSITION
from .guardrails import GUARDRAILS
from .http import HTTP
from .limits import LIMITS
from .listeners import LISTENERS
from .llm import LLM
from .pipeline import PIPELINE, every_signal
from .process import PROCESS
from .retrieval import RETRIEVAL
from .tools import TOOLS
from .workers import WORKERS
from .workflows import WORKFLOWS

__all__ = [
    "AGENTS",
    "CATALOGUE",
    "CONTEXT",
    "DATABASE",
    "DATABASE_DETAILS",
    "EVALUATIONS",
    "EXPOSITION",
    "GROUPS",
    "GUARDRAILS",
    "HTTP",
    "LABEL_LIMITS",
    "LIMITS",
    "LISTENERS",
    "LLM",
    "OPTIONAL",
    "PIPELINE",
    "PRESET_LABEL_VALUES",
    "PROCESS",
    "RARE_SIGNALS",
    "RETRIEVAL",
    "SERIES_BUDGET",
    "TOOLS",
    "UNCOUNTED_SIGNALS",
    "WORKERS",
    "WORKFLOWS",
    "every_signal",
]

CATALOGUE = (
    HTTP
    + LIMITS
    + AGENTS
    + LLM
    + TOOLS
    + RETRIEVAL
    + EVALUATIONS
    + GUARDRAILS
    + CONTEXT
    + WORKFLOWS
    + DATABASE
    + PIPELINE
    + LISTENERS
    + PROCESS
    + WORKERS
    + EXPOSITION
)
"""Every row but the optional ones."""

OPTIONAL = DATABASE_DETAILS
"""Rows that count only where somebody subscribes them too."""

GROUPS = {
    "http": HTTP,
    "limits": LIMITS,
    "agents": AGENTS,
    "llm": LLM,
    "tools": TOOLS,
    "retrieval": RETRIEVAL,
    "evaluations": EVALUATIONS,
    "guardrails": GUARDRAILS,
    "context": CONTEXT,
    "workflows": WORKFLOWS,
    "database": DATABASE,
    "pipeline": PIPELINE,
    "listeners": LISTENERS,
    "process": PROCESS,
    "workers": WORKERS,
    "exposition": EXPOSITION,
    "database_details": DATABASE_DETAILS,
}
"""Every group by the name of its module, the optional one last."""

LABEL_LIMITS = {
    **http.LABEL_LIMITS,
    **agents.LABEL_LIMITS,
    **llm.LABEL_LIMITS,
    **tools.LABEL_LIMITS,
    **retrieval.LABEL_LIMITS,
    **evaluations.LABEL_LIMITS,
    **guardrails.LABEL_LIMITS,
    **workflows.LABEL_LIMITS,
    **database.LABEL_LIMITS,
    **pipeline.LABEL_LIMITS,
    **listeners.LABEL_LIMITS,
    **process.LABEL_LIMITS,
}
"""How many values an open label takes, by its name; `subscribe(label_limits=...)` changes them."""

PRESET_LABEL_VALUES = {**http.PRESET_LABEL_VALUES, **database.PRESET_LABEL_VALUES}
"""Values that the bridges use beside those that they learn."""

SERIES_BUDGET = 40_000
"""The most series that the whole catalogue may create, with every label at its limit."""

UNCOUNTED_SIGNALS: dict[AnySignal, str] = {}
"""Signals that no row counts, each with the reason."""

RARE_SIGNALS: tuple[AnySignal, ...] = (
    *FAULT_SIGNALS,
    access_refused,
    build_read,
    component_checked,
    connection_closed,
    database_failed,
    event_loop_probed,
    feed_clients_read,
    http_request_waited,
    limit_reached,
    listener_delivered,
    llm_configured,
    llm_process_read,
    llm_usage_billed,
    query_repeated,
    relationship_loaded,
    rows_expired,
    rows_streamed,
    savepoint_ended,
    worker_finished,
    worker_folder_read,
    websocket_finished,
    workflow_backlog_read,
    workflow_billed_late,
    workflow_limits_read,
    workflow_call_interrupted,
    workflow_requeued,
)
"""Signals that have no time of their last event: they report trouble or what few programs do, so their silence means
nothing. So a time of 0 is always worth a look."""
