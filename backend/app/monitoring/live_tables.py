"""The studio's live numbers: the tiles and the charts of the live page, as tables, and what reads them.

Each expression is PromQL and a value at once, see `metrics.live`. Families are named as in the catalogue.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from app.monitoring.processes import DEPLOYMENT_ADVICE
from events.bus.receiver_inspection import callable_name, unwrap_partial
from metrics import Subscription
from metrics.kit.placeholders import Names
from metrics.live import Chart, Increase, Latest, LiveNumbers, Quantile, Rate, Ratio, Tile
from metrics.live.flow_map import ListenerKind, kind_of

LISTENERS = "app.listeners."
"""The package of the listeners that the studio brings: on the map each has the name of its module."""

ENDED, COST, TOKENS = "workflows_total", "workflow_cost_usd_total", "workflow_tokens_total"
RUN_TIME, MODEL_TIME, WAIT = "workflow_duration_seconds", "llm_request_duration_seconds", "workflow_queue_wait_seconds"
HTTP_TIME = "http_request_duration_seconds"

LOST = {
    "receiver_failures_total": "failures of listeners",
    "events_dropped_total": "events dropped",
    "label_overflows_total": "labels past their limit",
    "dropped_values_total": "values left out",
    "collector_failures_total": "metrics lost",
    "worker_file_faults_total": "faults of workers' files",
}
"""What says that the numbers lack something, by its family."""

QUEUED = Latest("workflows_queued", same_for="workflow_type")
OLDEST_QUEUED = Latest("workflow_oldest_queued_seconds", how="max")
ACTIVE, SLOTS = Latest("active_workflows"), Latest("workflow_slots")

# fmt: off
TILES = (
    Tile(id="runs", title="Runs a minute", unit="runs/min", help="Runs that ended, in the last minute.",
        shows={"ended": Rate(ENDED, window="1m", times=60)}),
    Tile(id="success", title="Runs that end well", unit="ratio",
        help="In 15 minutes, without those that people cancelled.",
        shows={"share": Ratio(Increase(ENDED, 'status="completed"'), Increase(ENDED, 'status!="cancelled"'))}),
    Tile(id="slots", title="Active runs", unit="runs", help="Runs under way, and possible at once.",
        shows={"active": ACTIVE, "slots": SLOTS}),
    Tile(id="queue", title="Queue", unit="runs", units={"oldest": "s"},
        help="Runs that wait for a slot, and how long the first of them has waited.",
        shows={"queued": QUEUED, "oldest": OLDEST_QUEUED}),
    Tile(id="run_time", title="Time of a run, p95", unit="s",
        help="19 of 20 completed runs of the last 15 minutes took no longer: an estimate, by buckets.",
        shows={"p95": Quantile(0.95, RUN_TIME, 'status="completed"', window="15m")}),
    Tile(id="tokens", title="Tokens a second", unit="tokens/s", units={"total": "tokens"},
        help="That models read and wrote, in the last minute; all there were since the counters began.",
        shows={"a second": Rate("llm_tokens_total", window="1m"), "total": Latest("llm_tokens_total")}),
    Tile(id="cost", title="Cost", unit="USD/h", units={"a run": "USD", "total": "USD"},
        help="At the pace of the last 15 minutes, as far as prices are known; of a run that ended; all there was.",
        shows={"an hour": Rate("llm_cost_usd_total", window="15m", times=3600),
            "a run": Ratio(Increase(COST), Increase(ENDED)), "total": Latest("llm_cost_usd_total")}),
    Tile(id="wasted", title="Wasted", unit="ratio",
        help="Share of the tokens of 15 minutes that went into runs that failed, were cancelled or were rejected.",
        shows={"share": Ratio(Increase(TOKENS, 'outcome="wasted"'), Increase(TOKENS))}),
)
"""The eight tiles; the first series of each is its main number."""

CHARTS = (
    Chart(id="runs_by_status", tab="queue", title="Runs that ended, by status", unit="runs/min", kind="stack",
        shows={"": Rate(ENDED, by="status", window="1m", times=60)}),
    Chart(id="queue_depth", tab="queue", title="Runs under way, queued and possible", unit="runs",
        shows={"active": ACTIVE, "queued": QUEUED, "slots": SLOTS}),
    Chart(id="queue_wait", tab="queue", title="Wait in the queue", unit="s",
        shows={"p50": Quantile(0.5, WAIT), "p95": Quantile(0.95, WAIT)}),
    Chart(id="oldest_run", tab="queue", title="Oldest run and oldest in the queue", unit="s",
        shows={"active": Latest("workflow_oldest_active_seconds", how="max"), "queued": OLDEST_QUEUED}),
    Chart(id="run_errors", tab="queue", title="Why runs fail", unit="runs/min", kind="stack",
        help="Empty while no run fails.",
        shows={"": Rate("workflow_errors_total", by="error_type", times=60, above_zero=True)}),
    Chart(id="model_time", tab="models", title="Time of a model call", unit="s",
        shows={"p50": Quantile(0.5, MODEL_TIME, by="model"), "p95": Quantile(0.95, MODEL_TIME, by="model")}),
    Chart(id="model_calls", tab="models", title="Model calls, by status", unit="calls/min", kind="stack",
        shows={"": Rate("llm_requests_total", by="status", window="1m", times=60)}),
    Chart(id="model_tokens", tab="models", title="Tokens, read and written", unit="tokens/s", kind="stack",
        shows={"": Rate("llm_tokens_total", by="token_type", window="1m")}),
    Chart(id="model_cost", tab="models", title="Cost, by model", unit="USD/h", kind="stack",
        shows={"": Rate("llm_cost_usd_total", by="model", times=3600)}),
    Chart(id="model_errors", tab="models", title="Why model calls fail", unit="calls/min", kind="stack",
        help="Empty while no call fails.",
        shows={"": Rate("llm_errors_total", by="error_type", times=60, above_zero=True)}),
    Chart(id="agent_runs", tab="agents", title="Agent executions, by agent", unit="executions/min", kind="stack",
        shows={"": Rate("agent_executions_total", by="agent_name", window="1m", times=60)}),
    Chart(id="agent_time", tab="agents", title="Time of an agent, p95", unit="s",
        shows={"": Quantile(0.95, "agent_execution_duration_seconds", by="agent_name")}),
    Chart(id="agent_phases", tab="agents", title="Where agents' time goes", unit="s/s", kind="stack",
        help="Seconds a second: two agents that wait for their models make 2.",
        shows={"": Rate("agent_time_seconds_total", by="phase")}),
    Chart(id="agent_errors", tab="agents", title="Why agents fail", unit="failures/min", kind="stack",
        help="Empty while no agent fails.",
        shows={"": Rate("agent_errors_total", by="error_type", times=60, above_zero=True)}),
    Chart(id="verdicts", tab="agents", title="Verdicts of reviewers", unit="verdicts/min", kind="stack",
        shows={"": Rate("workflow_review_verdicts_total", by="verdict", times=60)}),
    Chart(id="http_outcomes", tab="http", title="Requests, by outcome", unit="requests/s", kind="stack",
        shows={"": Rate("http_request_outcomes_total", by="outcome", window="1m")}),
    Chart(id="http_time", tab="http", title="Time of a request", unit="s",
        shows={"p50": Quantile(0.5, HTTP_TIME), "p95": Quantile(0.95, HTTP_TIME)}),
    Chart(id="http_active", tab="http", title="Requests under way", unit="",
        help="With those that a browser leaves open, as this page does for its feed.",
        shows={"requests": Latest("http_active_requests"), "websockets": Latest("websocket_active_sessions")}),
    Chart(id="http_refused", tab="http", title="Refused, by status", unit="requests/min", kind="stack",
        help="Empty while nothing is refused.",
        shows={"": Rate("http_requests_total", 'status_code=~"4.."', by="status_code", times=60, above_zero=True)}),
    Chart(id="limits", tab="http", title="Limits reached", unit="times/min", kind="stack",
        help="Empty while no limit is reached.",
        shows={"": Rate("limits_reached_total", by="limit", times=60, above_zero=True)}),
    Chart(id="connections", tab="database", title="Connections in use, of capacity", unit="ratio",
        shows={"": Ratio(Latest("db_pool_connections", 'state="used"', by="pool"),
            Latest("db_pool_capacity", by="pool"))}),
    Chart(id="pool_wait", tab="database", title="Wait for a connection, p95", unit="s",
        shows={"": Quantile(0.95, "db_pool_acquire_seconds", by="pool")}),
    Chart(id="statements", tab="database", title="Statements, by operation", unit="statements/s", kind="stack",
        shows={"": Rate("db_queries_total", by="operation", window="1m")}),
    Chart(id="statement_time", tab="database", title="Time of a statement, p95", unit="s",
        shows={"": Quantile(0.95, "db_query_duration_seconds", by="operation")}),
    Chart(id="db_errors", tab="database", title="Failures of the database", unit="failures/min", kind="stack",
        help="Empty while nothing fails.",
        shows={"": Rate("db_errors_total", by="error", times=60, above_zero=True)}),
    Chart(id="events", tab="pipeline", title="Events, the eight most frequent signals", unit="events/s",
        help="Of statements all are counted, those of the bookkeeping of pools and engines too.",
        shows={"": Rate("events_total", by="signal", window="1m", above_zero=True, top=8)}),
    Chart(id="lost", tab="pipeline", title="What got lost in 15 minutes", unit="", help="0 is well.",
        shows={name: Increase(family, or_zero=True) for family, name in LOST.items()}),
    Chart(id="listeners", tab="pipeline", title="Events that listeners passed on, or did not", unit="events/s",
        kind="stack", shows={"": Rate("listener_events_total", by="outcome", window="1m", above_zero=True)}),
    Chart(id="loop_lag", tab="pipeline", title="Event loop's lag", unit="s",
        shows={"p50": Quantile(0.5, "event_loop_lag_seconds"), "p95": Quantile(0.95, "event_loop_lag_seconds")}),
    Chart(id="cpu", tab="pipeline", title="Processor, of a core", unit="ratio", help="Of the processes that serve.",
        shows={"all processes": Rate("process_cpu_seconds_total", window="1m")}),
    Chart(id="memory", tab="pipeline", title="Memory", unit="bytes",
        shows={"all processes": Latest("process_resident_memory_bytes"),
            "models": Latest("llm_process_resident_memory_bytes")}),
)
"""The charts of each tab, in the order in which they are shown."""
# fmt: on


def open_live_numbers(registry: CollectorRegistry, subscription: Subscription) -> LiveNumbers:
    """Return what reads the studio's numbers, those of a registry and of the subscription that feeds it."""
    return LiveNumbers(
        registry,
        subscription,
        names=Names(namespace=subscription.namespace),
        tiles=TILES,
        charts=CHARTS,
        advice=DEPLOYMENT_ADVICE,
        name_of=listener_name,
        kind_of=listener_kind,
    )


def listener_name(receiver: Any) -> str:
    """Return what a receiver is called on the map: a listener of the studio by its module, others by their function."""
    module = module_of(receiver)
    return module.removeprefix(LISTENERS).split(".")[0] if module.startswith(LISTENERS) else callable_name(receiver)


def listener_kind(receiver: Any) -> ListenerKind:
    """Return how a receiver is called: the studio's listeners have queues of their own, and emitters wait for none."""
    return "background" if module_of(receiver).startswith(LISTENERS) else kind_of(receiver)


def module_of(receiver: Any) -> str:
    """Return the module of the function or the object that a receiver calls."""
    listener = unwrap_partial(getattr(receiver, "listener", receiver))
    inner = getattr(listener, "__self__", listener)
    return getattr(inner, "__module__", "") or type(inner).__module__
