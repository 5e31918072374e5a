"""What is counted: one row a line, data only. Names are without the namespace (``sparklio_`` in the studio)."""

from __future__ import annotations

from dataclasses import dataclass

from blinker import Namespace

from events import (
    agent_finished,
    agent_run,
    collector_failed,
    connection_acquired,
    connection_closed,
    connection_opened,
    connection_released,
    context_built,
    context_truncated,
    database_failed,
    database_used,
    event_dropped,
    http_activity_read,
    http_request_finished,
    label_overflowed,
    llm_attempted,
    llm_call,
    llm_called,
    metrics_rendered,
    oldest_workflow_read,
    pool_read,
    query_executed,
    query_repeated,
    receiver_failed,
    relationship_loaded,
    review_decided,
    rows_streamed,
    savepoint_ended,
    setup_fault_found,
    tool_called,
    transaction_ended,
    value_dropped,
    websocket_finished,
    worker_file_faulty,
    worker_finished,
    worker_run,
    worker_started,
    workflow_finished,
    workflow_released,
    workflow_resumed,
    workflow_run,
    workflow_started,
    workflow_step_finished,
)
from events.bus.fields import Label
from events.bus.signal import Signal
from events.pipeline import FAULT_SIGNALS

from .. import buckets
from ..event_fields import AnySignal
from ..rows import counter, gauge, histogram, in_flight


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEmitted:
    """Any event was told."""

    signal: Label
    time: float


every_signal = Signal(EventEmitted, namespace=Namespace())
"""Stands for every signal in a row; it is not emitted itself."""

# What a row says twice, once.
TOKENS = "Tokens of model calls that ended. Prompt tokens include cached ones, completion tokens include reasoning."
AGENT_ERRORS = "Agent executions that came to nothing, by cause."
AGENT_TOKENS = (
    "Tokens of the model calls of agent executions that ended; a share of `llm_tokens_total`, do not add them."
)
AGENT_TIME = "Time of agent executions that ended, by what it went to; the phases add up to the executions' duration."
WORKFLOW_TOKENS = "Tokens, read and written, of runs that ended: useful where the run completed and its reviewer did not reject it, else wasted."

QUERY_ERRORS = "Statements that failed, as they were executed or as their rows were fetched."
POOL_CONNECTIONS = "Connections of a pool, in use or idle."
DETAILS = "Tokens of a kind, already inside llm_tokens_total: do not add the two."
ESTIMATED = "Tokens estimated from bytes for answers without usage; they are not in llm_tokens_total."
COST = "USD of model calls, as the provider says or by the price table; a local model costs 0."
REMAINING = "What the provider says is left of its rate limit; no series where it does not say."

# fmt: off
CATALOGUE = (
    # HTTP
    counter("http_requests_total", "HTTP requests whose answer ended; 499 is a client that went away.", http_request_finished, labels=("method", "endpoint", "status_code"), nested_in={"method": "endpoint"}, initialize=False),
    histogram("http_request_duration_seconds", "Time from a request's arrival to the last byte of its answer; streamed answers stand apart.", http_request_finished, value="duration", labels=("method", "endpoint"), nested_in={"method": "endpoint"}, where={"streamed": False}, buckets=buckets.REQUEST, initialize=False),
    # More of HTTP
    counter("http_request_outcomes_total", "HTTP requests by what became of them.", http_request_finished, labels=("endpoint", "outcome")),
    histogram("http_time_to_first_byte_seconds", "Time from a request's arrival to the first byte of its answer's body, streamed or not.", http_request_finished, value="first_byte", labels=("endpoint",), buckets=buckets.FIRST_BYTE, initialize=False),
    histogram("http_stream_duration_seconds", "Time from a request's arrival to the last byte of an answer that came in pieces of no announced length.", http_request_finished, value="duration", labels=("endpoint",), where={"streamed": True}, buckets=buckets.STREAM, initialize=False),
    histogram("http_request_body_size_bytes", "Bytes of requests' bodies: as read, or as announced where nobody read them.", http_request_finished, value="request_size", buckets=buckets.BODY_BYTES),
    histogram("http_response_body_size_bytes", "Bytes of answers' bodies as far as they went out, compressed where they are.", http_request_finished, value="response_size", buckets=buckets.BODY_BYTES),
    gauge("http_active_requests", "HTTP requests under way in this process, streamed answers included.", http_activity_read, value="requests"),
    gauge("websocket_active_sessions", "Websockets open in this process.", http_activity_read, value="websockets"),
    counter("websocket_sessions_total", "Accepted websockets that were closed, by RFC 6455's close code; 1006 is none.", websocket_finished, labels=("channel", "close_code"), initialize=False),
    histogram("websocket_session_duration_seconds", "Time from a websocket's acceptance to its close.", websocket_finished, value="duration", labels=("channel",), buckets=buckets.WEBSOCKET, initialize=False),
    counter("websocket_messages_total", "Messages of websockets that were closed.", websocket_finished, value="received", labels=("channel",), const_labels={"direction": "received"}, initialize=False),
    counter("websocket_messages_total", "Messages of websockets that were closed.", websocket_finished, value="sent", labels=("channel",), const_labels={"direction": "sent"}, initialize=False),
    # Agents
    counter("agent_executions_total", "Agent executions that ended.", agent_finished, labels=("agent_name", "status")),
    histogram("agent_execution_duration_seconds", "Time an agent's execution took, however it ended.", agent_finished, value="duration", labels=("agent_name",), buckets=buckets.AGENT),
    # Models
    counter("llm_tokens_total", TOKENS, llm_called, value="prompt_tokens", labels=("model",), const_labels={"token_type": "prompt"}),
    counter("llm_tokens_total", TOKENS, llm_called, value="completion_tokens", labels=("model",), const_labels={"token_type": "completion"}),
    histogram("llm_request_duration_seconds", "Time a successful model call took, to the end of its stream.", llm_called, value="duration", labels=("model",), where={"status": "success"}, buckets=buckets.MODEL),
    # Models: calls, their attempts, and what they cost
    counter("llm_requests_total", "Model calls that ended: logical ones, retries and fallbacks inside.", llm_called, labels=("model", "status")),
    counter("llm_errors_total", "Model calls that came to nothing, by why the last attempt failed.", llm_called, labels=("model", "error_type")),
    counter("llm_attempts_total", "Attempts at model calls that ended.", llm_attempted, labels=("provider", "outcome")),
    histogram("llm_attempt_duration_seconds", "Time one attempt at a model call took, however it ended.", llm_attempted, value="duration", labels=("provider", "outcome"), buckets=buckets.MODEL),
    counter("llm_retries_total", "Attempts at the model that had failed just before, by why.", llm_attempted, labels=("model", "retry_reason"), rename={"retry_reason": "reason"}),
    counter("llm_fallbacks_total", "Attempts at another model than the one that had failed just before, by why.", llm_attempted, labels=("from_model", "to_model", "fallback_reason"), rename={"fallback_reason": "reason"}),
    counter("llm_backoff_seconds_total", "Time waited before retries.", llm_attempted, value="backoff", labels=("provider",)),
    gauge("llm_rate_limit_remaining", REMAINING, llm_attempted, value="remaining_requests", labels=("provider",), const_labels={"resource": "requests"}, initialize=False, multiprocess_mode="livemostrecent"),
    gauge("llm_rate_limit_remaining", REMAINING, llm_attempted, value="remaining_tokens", labels=("provider",), const_labels={"resource": "tokens"}, initialize=False, multiprocess_mode="livemostrecent"),
    in_flight("llm_active_requests", "Model calls under way in this process, by the model asked first.", llm_call, labels=("model",)),
    histogram("llm_time_to_first_token_seconds", "Time from a call's begin to its first token, where it was seen to come.", llm_called, value="time_to_first_token", labels=("model",), where={"status": "success"}, buckets=buckets.FIRST_TOKEN),
    histogram("llm_time_per_output_token_seconds", "Time between tokens after the first, where they were seen to come.", llm_called, value="time_per_output_token", labels=("model",), where={"status": "success"}, buckets=buckets.NEXT_TOKEN),
    counter("llm_token_details_total", DETAILS, llm_called, value="cache_read_tokens", labels=("model",), const_labels={"detail": "cache_read"}),
    counter("llm_token_details_total", DETAILS, llm_called, value="cache_write_tokens", labels=("model",), const_labels={"detail": "cache_write"}),
    counter("llm_token_details_total", DETAILS, llm_called, value="reasoning_tokens", labels=("model",), const_labels={"detail": "reasoning"}),
    counter("llm_usage_missing_total", "Model calls that brought an answer, or a part of one, without usage.", llm_called, labels=("model",), where={"usage_source": "estimated"}),
    counter("llm_tokens_estimated_total", ESTIMATED, llm_called, value="estimated_prompt_tokens", labels=("model",), const_labels={"token_type": "prompt"}),
    counter("llm_tokens_estimated_total", ESTIMATED, llm_called, value="estimated_completion_tokens", labels=("model",), const_labels={"token_type": "completion"}),
    counter("llm_cost_usd_total", COST, llm_called, value="cost", labels=("model",), where={"cost_source": "provider"}, const_labels={"source": "provider"}),
    counter("llm_cost_usd_total", COST, llm_called, value="cost", labels=("model",), where={"cost_source": "price_table"}, const_labels={"source": "price_table"}),
    counter("llm_unpriced_requests_total", "Model calls with usage whose model nobody knows a price of; their cost is in no total.", llm_called, labels=("model",), where={"cost_source": "unpriced"}),
    counter("llm_finish_reasons_total", "Answers of models, by why they end; length is one that was cut.", llm_called, labels=("model", "finish_reason"), rename={"finish_reason": "reason"}),
    counter("llm_invalid_outputs_total", "Answers of models that are not what was asked for.", llm_called, labels=("model", "output_fault"), rename={"output_fault": "reason"}),
    # Workflows
    counter("workflows_total", "Workflow runs that ended.", workflow_finished, labels=("workflow_type", "status")),
    in_flight("active_workflows", "Workflow runs under way in this process, or in all workers together.", workflow_run, resumed=workflow_resumed, released=workflow_released, labels=("workflow_type",)),
    # Context
    histogram("context_size_bytes", "UTF-8 bytes of the context an agent was given, as sent.", context_built, value="size", labels=("agent_name",), buckets=buckets.CONTEXT_BYTES),
    # Database
    counter("db_queries_total", "Statements sent to the database, failed ones too.", query_executed, labels=("operation", "table"), initialize=False),
    histogram("db_query_duration_seconds", "Time a statement took to execute, without fetching its rows.", query_executed, value="duration", labels=("operation", "table"), buckets=buckets.QUERY, initialize=False),
    # The database's failures, transactions and pools, and who asked
    counter("db_query_errors_total", QUERY_ERRORS, database_failed, labels=("operation", "table", "error"), where={"phase": "execute"}, initialize=False),
    counter("db_query_errors_total", QUERY_ERRORS, database_failed, labels=("operation", "table", "error"), where={"phase": "fetch"}, initialize=False),
    counter("db_errors_total", "Failures of a database, by what was being done.", database_failed, labels=("phase", "error")),
    counter("db_transactions_total", "Transactions that ended; released is a rollback after which nothing is lost.", transaction_ended, labels=("outcome",)),
    histogram("db_commit_duration_seconds", "Time a COMMIT took, one that failed too.", transaction_ended, value="commit", labels=("outcome",), buckets=buckets.QUERY),
    gauge("db_pool_connections", POOL_CONNECTIONS, pool_read, value="used", labels=("pool",), const_labels={"state": "used"}),
    gauge("db_pool_connections", POOL_CONNECTIONS, pool_read, value="idle", labels=("pool",), const_labels={"state": "idle"}),
    gauge("db_pool_capacity", "The most connections that a pool may have; absent without a limit.", pool_read, value="capacity", labels=("pool",), initialize=False),
    gauge("db_pool_overflow", "Connections of a pool beyond those that it keeps.", pool_read, value="overflow", labels=("pool",)),
    gauge("db_pool_pending_requests", "Callers that stand in a pool's queue.", pool_read, value="pending", labels=("pool",)),
    histogram("db_pool_acquire_seconds", "Time from asking a pool for a connection to the answer, with connecting and pinging.", connection_acquired, value="duration", labels=("pool", "outcome"), buckets=buckets.POOL_WAIT),
    histogram("db_pool_wait_seconds", "Time spent in a pool's queue alone.", connection_acquired, value="wait", labels=("pool",), buckets=buckets.POOL_WAIT),
    counter("db_pool_timeouts_total", "Callers that a pool sent away after its time limit.", connection_acquired, labels=("pool",), where={"outcome": "timeout"}),
    histogram("db_connection_create_seconds", "Time that making a connection took.", connection_opened, value="duration", labels=("pool",), buckets=buckets.CONNECT),
    counter("db_connections_closed_total", "Connections closed or gone from their pool for good.", connection_closed, labels=("pool", "reason")),
    histogram("db_connection_hold_seconds", "Time that a connection was out of its pool.", connection_released, value="duration", labels=("pool",), buckets=buckets.HOLD),
    histogram("db_connection_idle_hold_seconds", "Time that a connection was out of its pool and not querying, by who took it.", connection_released, value="idle", labels=("pool", "scope"), buckets=buckets.HOLD),
    counter("db_connections_leaked_total", "Connections that the garbage collector gave back.", connection_released, labels=("pool",), where={"leaked": True}),
    gauge("db_connection_oldest_hold_seconds", "Age of the oldest hold under way; 0 without one.", pool_read, value="oldest_hold", labels=("pool",), multiprocess_mode="livemax"),
    histogram("db_scope_queries", "Statements that one request, agent or workflow sent, if it sent any.", database_used, value="queries", labels=("scope",), buckets=buckets.QUERIES),
    histogram("db_scope_db_seconds", "Time that one request, agent or workflow waited for statements.", database_used, value="duration", labels=("scope",), buckets=buckets.QUERIES_SECONDS),
    counter("db_repeated_queries_total", "Statements sent again by one request, agent or workflow that had sent them five times.", query_repeated, labels=("scope", "table"), initialize=False),
    counter("db_lazy_loads_total", "Relationships loaded by a query of their own when they were touched.", relationship_loaded, labels=("relationship",), initialize=False),
    # The pipeline itself
    counter("events_total", "Events told.", every_signal, labels=("signal",)),
    gauge("last_event_timestamp_seconds", "Unix time at which a signal was last told; 0 is never.", every_signal, value="time", labels=("signal",), multiprocess_mode="max"),
    counter("receiver_failures_total", "Failures of a signal's listeners, and events with fields that do not fit.", receiver_failed, labels=("signal", "receiver"), nested_in={"receiver": "signal"}, initialize=False),
    counter("events_dropped_total", "Events that a background listener was too slow to take.", event_dropped, labels=("signal", "receiver"), nested_in={"receiver": "signal"}, initialize=False),
    counter("label_overflows_total", "Samples counted under the label value `other`: past the label's bound, or unfit.", label_overflowed, labels=("metric", "label"), nested_in={"label": "metric"}, initialize=False),
    counter("dropped_values_total", "Measures left out because they are no sensible number.", value_dropped, labels=("metric", "reason"), initialize=False),
    counter("collector_failures_total", "Families left out of a scrape because their collector failed.", collector_failed, labels=("collector",), initialize=False),
    counter("setup_faults_total", "Starts of a process in a way that makes its numbers wrong; `python -m metrics doctor` says more.", setup_fault_found, labels=("fault",)),
    # The processes of a server
    in_flight("workers", "Processes that serve.", worker_run),
    counter("workers_started_total", "Processes that began to serve; with several, one more for each that was replaced.", worker_started),
    counter("worker_file_faults_total", "Files of worker processes that could not be used, wholly or in part.", worker_file_faulty, labels=("fault",)),
    # The answers to scrapes
    histogram("metrics_render_duration_seconds", "Time to write and compress what a scraper is given.", metrics_rendered, value="duration", labels=("format",), buckets=buckets.RENDER),
    counter("metrics_rendered_bytes_total", "Bytes that scrapers were given, compressed.", metrics_rendered, value="size", labels=("format", "encoding"), initialize=False),
    gauge("metrics_rendered_series", "Samples in the last answer to a scrape for everything.", metrics_rendered, value="series", multiprocess_mode="livemostrecent"),
    # What agents did and spent
    in_flight("active_agent_executions", "Agent executions under way in this process, or in all workers together.", agent_run, labels=("agent_name",)),
    counter("agent_errors_total", AGENT_ERRORS, agent_finished, labels=("agent_name", "error_type"), where={"status": "error"}),
    counter("agent_errors_total", AGENT_ERRORS, agent_finished, labels=("agent_name", "error_type"), where={"status": "timeout"}),
    counter("agent_errors_total", AGENT_ERRORS, agent_finished, labels=("agent_name", "error_type"), where={"status": "cancelled"}),
    histogram("agent_llm_calls", "Model calls that one agent execution made, failed ones too.", agent_finished, value="llm_calls", labels=("agent_name",), buckets=buckets.CALLS),
    histogram("agent_tool_calls", "Uses of tools that one agent execution made, failed ones too.", agent_finished, value="tool_calls", labels=("agent_name",), buckets=buckets.CALLS),
    counter("agent_tokens_total", AGENT_TOKENS, agent_finished, value="prompt_tokens", labels=("agent_name",), const_labels={"token_type": "prompt"}),
    counter("agent_tokens_total", AGENT_TOKENS, agent_finished, value="completion_tokens", labels=("agent_name",), const_labels={"token_type": "completion"}),
    counter("agent_cost_usd_total", "US dollars that the model calls of agent executions cost, as far as their prices are known.", agent_finished, value="cost", labels=("agent_name",)),
    counter("agent_time_seconds_total", AGENT_TIME, agent_finished, value="llm_time", labels=("agent_name",), const_labels={"phase": "llm"}),
    counter("agent_time_seconds_total", AGENT_TIME, agent_finished, value="tool_time", labels=("agent_name",), const_labels={"phase": "tool"}),
    counter("agent_time_seconds_total", AGENT_TIME, agent_finished, value="backoff_time", labels=("agent_name",), const_labels={"phase": "backoff"}),
    counter("agent_time_seconds_total", AGENT_TIME, agent_finished, value="self_time", labels=("agent_name",), const_labels={"phase": "self"}),
    counter("agent_review_verdicts_total", "Verdicts of reviewing agents.", review_decided, labels=("agent_name", "verdict")),
    # Tools
    counter("tool_calls_total", "Uses of tools that ended.", tool_called, labels=("tool_name", "status")),
    histogram("tool_call_duration_seconds", "Time a tool's use took, however it ended.", tool_called, value="duration", labels=("tool_name",), buckets=buckets.TOOL),
    # How runs of workflows fared and what they spent
    counter("workflows_started_total", "Workflow runs that left the queue; over all processes, those that ended and those active make up as many.", workflow_started, labels=("workflow_type",)),
    histogram("workflow_duration_seconds", "Time a run took from leaving the queue to its end, by the wall clock.", workflow_finished, value="duration", labels=("workflow_type", "status"), buckets=buckets.WORKFLOW),
    histogram("workflow_queue_wait_seconds", "Time a run stood in the queue.", workflow_started, value="queue_wait", labels=("workflow_type",), buckets=buckets.QUEUE_WAIT),
    counter("workflow_steps_total", "Steps of runs that ended, each attempt by itself.", workflow_step_finished, labels=("workflow_type", "step", "status"), nested_in={"step": "workflow_type"}),
    histogram("workflow_step_duration_seconds", "Time one attempt at a step took, however it ended.", workflow_step_finished, value="duration", labels=("workflow_type", "step"), nested_in={"step": "workflow_type"}, buckets=buckets.STEP),
    gauge("workflow_oldest_active_seconds", "Age of the oldest run that this process, or any worker, performs, by the wall clock; 0 is none.", oldest_workflow_read, value="age", labels=("workflow_type",), multiprocess_mode="livemax"),
    counter("workflow_tokens_total", WORKFLOW_TOKENS, workflow_finished, value="prompt_tokens", labels=("workflow_type", "outcome")),
    counter("workflow_tokens_total", WORKFLOW_TOKENS, workflow_finished, value="completion_tokens", labels=("workflow_type", "outcome")),
    counter("workflow_cost_usd_total", "US dollars that runs cost, booked when they end, as far as prices are known; useful and wasted as for tokens.", workflow_finished, value="cost", labels=("workflow_type", "outcome")),
    histogram("workflow_llm_calls", "Model calls that one run made, failed ones too.", workflow_finished, value="llm_calls", labels=("workflow_type",), buckets=buckets.CALLS),
    # What agents were given, and what of it arrived
    histogram("context_size_tokens", "Tokens of the context an agent was given: the model's count, or an estimate where it gave none.", context_built, value="tokens", labels=("agent_name",), buckets=buckets.CONTEXT_TOKENS),
    histogram("context_window_utilization_ratio", "Share of the model's window that a context wanted, before any trimming.", context_built, value="utilization", labels=("agent_name",), buckets=buckets.WINDOW_SHARE),
    counter("context_truncations_total", "Contexts that did not reach the model whole, by what was done to them.", context_truncated, labels=("agent_name", "reason")),
    counter("context_dropped_bytes_total", "Bytes of contexts that are known not to have reached the model.", context_truncated, value="dropped", labels=("agent_name",)),
)

DATABASE_DETAILS = (
    counter("db_rows_total", "Rows returned or matched, as far as the driver says; of streams none.", query_executed, value="rows", labels=("operation", "table"), initialize=False),
    counter("db_slow_queries_total", "Statements that took as long as what counts as slow.", query_executed, labels=("operation", "table"), where={"slow": True}, initialize=False),
    counter("db_compiled_cache_total", "Statements by whether SQLAlchemy had them compiled.", query_executed, labels=("cache",)),
    histogram("db_fetch_seconds", "Time spent waiting for the rows of a streamed result.", rows_streamed, value="duration", labels=("table",), buckets=buckets.QUERY, initialize=False),
    histogram("db_transaction_duration_seconds", "Time from a transaction's begin to its end.", transaction_ended, value="duration", labels=("outcome",), buckets=buckets.HOLD),
    histogram("db_connection_lifetime_seconds", "Age at which connections were closed.", connection_closed, value="lifetime", labels=("pool",), buckets=buckets.LIFETIME),
    counter("db_savepoints_total", "Savepoints released or rolled back to.", savepoint_ended, labels=("outcome",)),
)
# fmt: on

OPTIONAL = DATABASE_DETAILS
"""Rows that count only where somebody subscribes them too."""

UNCOUNTED_SIGNALS: dict[AnySignal, str] = {}
"""Signals that no row counts, each with the reason."""

RARE_SIGNALS: tuple[AnySignal, ...] = (
    *FAULT_SIGNALS,
    connection_closed,
    database_failed,
    query_repeated,
    relationship_loaded,
    rows_streamed,
    savepoint_ended,
    worker_finished,
    websocket_finished,
)
"""Signals whose silence means nothing, since they tell of trouble or of what few programs do: the rows of
`every_signal` leave them out, so that a time of 0 there always asks for a look."""

LABEL_LIMITS = {
    "agent_name": 20,
    "channel": 6,
    "close_code": 8,
    "collector": 20,
    "endpoint": 60,
    "from_model": 4,
    "label": 120,  # pairs of metric and label
    "method": 180,  # pairs of endpoint and method: three for each endpoint
    "metric": 120,
    "model": 12,
    "pool": 4,
    "provider": 8,
    "receiver": 60,  # pairs of signal and receiver
    "relationship": 40,
    "signal": 40,
    "status_code": 14,
    "step": 24,  # pairs of workflow and step
    "table": 30,
    "to_model": 4,
    "tool_name": 8,
    "workflow_type": 12,
}
"""How many values an open label keeps, by its name; `subscribe(label_limits=...)` changes them."""

PRESET_LABEL_VALUES = {"endpoint": ("unmatched",), "table": ("none", "system")}
"""Values that the bridges use beside those they learn."""

SERIES_BUDGET = 40_000
"""The most series the whole catalogue may make, every label at its bound."""
