"""What is counted: one row a line, data only. Names are without the namespace (``sparklio_`` in the studio)."""

from __future__ import annotations

from dataclasses import dataclass

from blinker import Namespace

from events import (
    agent_finished,
    agent_started,
    context_built,
    event_dropped,
    http_request_finished,
    label_overflowed,
    llm_called,
    query_executed,
    receiver_failed,
    tool_called,
    value_dropped,
    workflow_finished,
    workflow_resumed,
    workflow_run,
)
from events.fields import Label
from events.signal import Signal

from . import buckets
from .instruments import AnySignal, counter, gauge, histogram, in_flight


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTold:
    """Any event was told."""

    signal: Label
    time: float


every_signal = Signal(EventTold, namespace=Namespace())
"""Stands for every signal in a row; it is not emitted itself."""

# What a row says twice, once.
TOKENS = "Tokens of model calls that ended. Prompt tokens include cached ones, completion tokens include reasoning."

# fmt: off
CATALOGUE = (
    # HTTP
    counter("http_requests_total", "HTTP requests whose answer ended; 499 is a client that went away.", http_request_finished, by=("method", "endpoint", "status_code"), zeroes=False),
    histogram("http_request_duration_seconds", "Time from a request's arrival to the last byte of its answer.", http_request_finished, of="duration", by=("method", "endpoint"), buckets=buckets.REQUEST, zeroes=False),
    # Agents
    counter("agent_executions_total", "Agent executions that ended.", agent_finished, by=("agent_name", "status")),
    histogram("agent_execution_duration_seconds", "Time an agent's execution took, however it ended.", agent_finished, of="duration", by=("agent_name",), buckets=buckets.AGENT),
    # Models
    counter("llm_tokens_total", TOKENS, llm_called, of="prompt_tokens", by=("model",), constant={"token_type": "prompt"}),
    counter("llm_tokens_total", TOKENS, llm_called, of="completion_tokens", by=("model",), constant={"token_type": "completion"}),
    histogram("llm_request_duration_seconds", "Time a successful model call took, to the end of its stream.", llm_called, of="duration", by=("model",), where={"status": "success"}, buckets=buckets.MODEL),
    # Workflows
    counter("workflows_total", "Workflow runs that ended.", workflow_finished, by=("workflow_type", "status")),
    in_flight("active_workflows", "Workflow runs under way in this process.", workflow_run, resumed=workflow_resumed, by=("workflow_type",)),
    # Context
    histogram("context_size_bytes", "UTF-8 bytes of the context an agent was given, as sent.", context_built, of="size", by=("agent_name",), buckets=buckets.CONTEXT_BYTES),
    # Database
    counter("db_queries_total", "Statements sent to the database, failed ones too.", query_executed, by=("operation", "table"), zeroes=False),
    histogram("db_query_duration_seconds", "Time a statement took to execute, without fetching its rows.", query_executed, of="duration", by=("operation", "table"), buckets=buckets.QUERY, zeroes=False),
    # The pipeline itself
    counter("events_total", "Events told.", every_signal, by=("signal",)),
    gauge("last_event_timestamp_seconds", "Unix time at which a signal was last told; 0 is never.", every_signal, of="time", by=("signal",)),
    counter("receiver_failures_total", "Failures of a signal's listeners, and events with fields that do not fit.", receiver_failed, by=("signal", "receiver"), zeroes=False),
    counter("events_dropped_total", "Events that a background listener was too slow to take.", event_dropped, by=("signal", "receiver"), zeroes=False),
    counter("label_overflows_total", "Samples counted under the label value `other`: past the label's bound, or unfit.", label_overflowed, by=("metric", "label"), zeroes=False),
    counter("dropped_values_total", "Measures left out because they are no sensible number.", value_dropped, by=("metric", "reason"), zeroes=False),
)
# fmt: on

CONTEXT: dict[AnySignal, str] = {
    agent_started: "for listeners that follow an agent as it works; its end is what is counted",
    tool_called: "adds up to an agent's tool calls, which `agent_finished` tells",
}
"""Signals that no row counts, each with the reason."""

BOUNDS = {
    "agent_name": 20,
    "endpoint": 60,
    "label": 20,
    "metric": 80,
    "model": 12,
    "receiver": 20,
    "signal": 40,
    "status_code": 14,
    "table": 30,
    "workflow_type": 12,
}
"""How many values an open label keeps, by its name; `subscribe(bounds=...)` changes them."""

ALWAYS_KNOWN = {"endpoint": ("unmatched",), "table": ("none", "system")}
"""Values that the bridges use beside those they learn."""

SERIES_BUDGET = 40_000
"""The most series the whole catalogue may make, every label at its bound."""
