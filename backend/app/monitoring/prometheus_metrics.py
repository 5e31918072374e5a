"""The studio's live metrics, and the response to a scrape. Importing this module subscribes the process.

No code in the studio updates a metric: its events do. The names below are for reading, in a shell or a test.
"""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry, PlatformCollector, disable_created_metrics
from starlette.responses import Response

from app.agents.agent_definitions import AGENTS
from app.monitoring.processes import register_process_metrics
from app.settings_loading import metrics_dir_from_environment, native_histograms_from_environment
from app.workflows.definitions import WORKFLOWS
from metrics import CATALOGUE, DATABASE_DETAILS, Subscription, scrape, subscribe
from metrics.diagnostics.check import check_budget

disable_created_metrics()  # type: ignore[no-untyped-call]  # it adds a series to each counter, which no query here uses

registry = CollectorRegistry()
PlatformCollector(registry=registry)
workers = register_process_metrics(registry, metrics_dir_from_environment())
native_histograms = native_histograms_from_environment()

subscription = subscribe(
    CATALOGUE,
    registry,
    namespace="sparklio",
    label_values={"agent_name": AGENTS, "workflow_type": WORKFLOWS},
    workers=workers,
    native_histograms=native_histograms,
)

for fault in check_budget(CATALOGUE):
    logging.getLogger(__name__).warning("metrics: %s", fault)

request_counter = subscription.collector("http_requests_total")
request_latency = subscription.collector("http_request_duration_seconds")
agent_execution_counter = subscription.collector("agent_executions_total")
agent_latency = subscription.collector("agent_execution_duration_seconds")
llm_tokens_used = subscription.collector("llm_tokens_total")
llm_latency = subscription.collector("llm_request_duration_seconds")
workflow_counter = subscription.collector("workflows_total")
active_workflows = subscription.collector("active_workflows")
context_size_bytes = subscription.collector("context_size_bytes")
db_query_counter = subscription.collector("db_queries_total")
db_query_latency = subscription.collector("db_query_duration_seconds")


def count_database_details(pool: str) -> Subscription:
    """Subscribe the database details, which are not counted by default; close the subscription to stop."""
    return subscribe(
        DATABASE_DETAILS,
        registry,
        namespace="sparklio",
        label_values={"pool": [pool]},
        workers=workers,
        native_histograms=native_histograms,
    )


def metrics_endpoint(accept: str = "", accept_encoding: str = "") -> Response:
    """Return the response to a scrape with these request headers; it blocks, so call it in a thread."""
    exposition = scrape(registry, accept, accept_encoding)
    return Response(exposition.body, headers=exposition.headers)
