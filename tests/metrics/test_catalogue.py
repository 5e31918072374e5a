"""Every row of the catalogue is updated by its event, and every group counts alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import events
import metrics
from events import agent_run, label_overflowed, llm_called, workflow_run
from metrics import CATALOGUE, GROUPS, LABEL_LIMITS, OPTIONAL, SERIES_BUDGET, Metric, subscribe
from metrics.diagnostics.check import most_series
from metrics.diagnostics.listing import format_groups
from tests.support.samples import samples


def emit_http() -> None:
    """Emit a request with a plain answer, one whose answer is streamed, and a websocket, with others under way."""
    request: dict[str, Any] = {"method": "GET", "endpoint": "/", "status_code": 200, "outcome": "ok", "first_byte": 0.1}
    events.http_request_finished.emit(**request, duration=0.1, request_size=10, response_size=10)
    events.http_request_finished.emit(**request, duration=9.0, streamed=True, self_time=0.1)
    events.http_request_waited.emit(endpoint="/", database_time=0.1, llm_time=0.1, tool_time=0.1, backoff_time=0.1)
    events.websocket_finished.emit(channel="/live", close_code="1000", duration=3.0, received=1, sent=2)
    events.http_activity_read.emit(requests=1, websockets=1)


def emit_limits() -> None:
    events.limit_reached.emit(limit="request_body")
    events.access_refused.emit(reason="host")


def emit_llm() -> None:
    """Emit a call with everything known, one with much unknown, one that failed, and attempts of every kind."""
    events.llm_configured.emit(model="m", provider="p")
    events.llm_process_read.emit(model="m", cpu_time=0.1, resident_memory=1000)
    events.llm_call_started.emit(call_id="1", model="m")
    events.llm_called.emit(
        call_id="1",
        model="m",
        status="success",
        duration=1.0,
        prompt_tokens=3,
        completion_tokens=2,
        cache_read_tokens=1,
        cache_write_tokens=1,
        reasoning_tokens=1,
        prompt_audio_tokens=1,
        completion_audio_tokens=1,
        prompt_image_tokens=1,
        completion_image_tokens=1,
        queue_wait=0.2,
        time_to_first_token=0.1,
        time_per_output_token=0.1,
        cost=0.5,
        cost_source="price_table",
        input_cost=0.1,
        output_cost=0.1,
        cache_read_cost=0.1,
        cache_write_cost=0.1,
        finish_reason="stop",
        output_fault="empty",
    )
    events.llm_called.emit(
        model="m",
        status="success",
        duration=1.0,
        usage_source="estimated",
        estimated_prompt_tokens=1,
        estimated_completion_tokens=1,
    )
    for source in ("provider", "unknown"):
        events.llm_called.emit(model="m", status="success", duration=1.0, cost=0.1, cost_source=source)
    events.llm_called.emit(model="m", status="error", duration=1.0, error_type="other", cost_source="unpriced")
    events.llm_attempted.emit(
        model="m",
        response_model="m-1",
        outcome="success",
        duration=0.1,
        retry_reason="connection",
        backoff=0.1,
        limit_requests=9,
        remaining_requests=1,
    )
    events.llm_attempted.emit(
        model="n",
        outcome="success",
        duration=0.1,
        fallback_reason="connection",
        from_model="m",
        to_model="n",
        limit_tokens=9,
        remaining_requests=1,
        remaining_tokens=1,
    )
    billed: dict[str, Any] = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "cache_read_tokens": 1,
        "cache_write_tokens": 1,
    }
    estimated: dict[str, Any] = {"estimated_prompt_tokens": 1, "estimated_completion_tokens": 1}
    events.llm_usage_billed.emit(model="m", **billed, reasoning_tokens=1, cost=0.1, cost_source="price_table")
    events.llm_usage_billed.emit(model="m", usage_source="estimated", **estimated, cost=0.1, cost_source="provider")
    events.llm_usage_billed.emit(model="m", cost_source="unpriced")


def test_what_a_call_is_billed_for_counts_once_whether_it_is_itemized_or_not() -> None:
    """An itemized call has a bill for each model that answered."""
    tokens = ("prompt", "completion", "cache_read", "cache_write", "reasoning", "prompt_audio", "completion_audio")
    images = ("prompt_image", "completion_image")
    bill: dict[str, Any] = {f"{name}_tokens": 100 + index for index, name in enumerate((*tokens, *images))}
    bill |= {"cost": 1.0, "input_cost": 0.2, "output_cost": 0.1, "cache_read_cost": 0.4, "cache_write_cost": 0.05}

    def counted(*, itemized: bool, source: str | None, usage: str = "provider") -> dict[Any, float]:
        registry = CollectorRegistry()
        called: dict[str, Any] = {"model": "m", "provider": "p", "agent_name": "writer"}
        called |= {"cost_source": source, "usage_source": usage}
        with subscribe(GROUPS["llm"], registry, namespace="sparklio"):
            llm_called.emit(status="success", duration=1.0, itemized=itemized, **called, **bill)
            if itemized:
                events.llm_usage_billed.emit(**called, **bill)
            return {
                (sample.name, *sample.labels.values()): sample.value
                for family in registry.collect()
                for sample in family.samples
                if not sample.name.endswith(("_created", "last_event_timestamp_seconds"))
            }

    for source in ("provider", "price_table", "unknown", "unpriced", None):
        assert counted(itemized=True, source=source) == counted(itemized=False, source=source)
    assert counted(itemized=True, source="provider")["sparklio_llm_cost_by_agent_usd_total", "writer", "m"] == 1.0
    bill = {"estimated_prompt_tokens": 7, "estimated_completion_tokens": 8}
    estimated = counted(itemized=True, source=None, usage="estimated")
    assert estimated == counted(itemized=False, source=None, usage="estimated")
    assert estimated["sparklio_llm_usage_missing_total", "m"] == 1.0


def emit_agents() -> None:
    """Emit an execution of each status, and a verdict."""
    calls: dict[str, Any] = {"llm_calls": 1, "tool_calls": 1, "prompt_tokens": 1, "completion_tokens": 1, "cost": 0.1}
    times: dict[str, Any] = {"llm_time": 1.0, "tool_time": 1.0, "backoff_time": 1.0, "self_time": 1.0}
    for status in ("success", "error", "timeout", "cancelled"):
        events.agent_finished.emit(agent_name="copywriter", status=status, duration=4.0, **calls, **times)
    events.review_decided.emit(agent_name="reviewer", verdict="approved")


def emit_process() -> None:
    events.build_read.emit(version="1.0", revision="abc")
    events.component_checked.emit(component="database", up=1)
    events.event_loop_probed.emit(lag=0.001)


def emit_tools() -> None:
    events.tool_called.emit(tool_name="t", status="success", duration=0.1)


def emit_context() -> None:
    events.context_built.emit(agent_name="copywriter", size=2000, tokens=500, window=1000, utilization=0.5)
    events.context_truncated.emit(agent_name="copywriter", reason="app_trim", dropped=10)


def emit_workflows() -> None:
    events.workflow_step_finished.emit(
        workflow_type="campaign", step="reviewer", agent_name="reviewer", status="success", duration=1.0
    )
    run: dict[str, Any] = {"run_id": "2", "workflow_type": "campaign"}
    events.workflow_started.emit(**run, queue_wait=0.1)
    events.workflow_finished.emit(
        **run, status="completed", duration=1.0, llm_calls=1, prompt_tokens=1, completion_tokens=1, cost=0.1
    )
    events.workflow_finished.emit(run_id="3", workflow_type="campaign", status="failed", duration=1.0, cost=0.1)
    events.workflow_resumed.emit(run_id="4", workflow_type="campaign")
    events.workflow_released.emit(run_id="4", workflow_type="campaign")
    events.workflow_queue_read.emit(workflow_type="campaign", queued=1, oldest_age=1.0)
    events.workflow_backlog_read.emit(
        queued=1,
        running=1,
        oldest_queued_age=1.0,
        oldest_running_age=2.0,
        queued_without_holder=1,
        running_without_holder=1,
        executors=1,
    )
    events.workflow_limits_read.emit(slots=2, queue=10, run_time=600.0)
    events.review_decided.emit(verdict="approved", workflow_type="campaign")
    events.oldest_workflow_read.emit(workflow_type="campaign", age=1.0)
    events.workflow_requeued.emit(**run, reason="not_queued")
    events.rows_expired.emit(resource="runs", rows=2)
    events.workflow_billed_late.emit(**run, outcome="wasted", prompt_tokens=1, completion_tokens=1, cost=0.1)
    events.workflow_call_interrupted.emit(**run, step="copywriter")


def emit_database() -> None:
    """Emit a statement, and each of the other facts about a database."""
    events.query_executed.emit(operation="select", table="runs", duration=9.0, rows=1, slow=True)
    events.rows_streamed.emit(table="runs", duration=9.0, rows=1, slow=True)
    for phase in ("execute", "fetch"):
        events.database_failed.emit(phase=phase, error="data", operation="select", table="runs")
    events.transaction_ended.emit(outcome="commit", duration=0.1, commit=0.1)
    events.connection_acquired.emit(outcome="timeout", duration=0.1, wait=0.1)
    events.connection_opened.emit(duration=0.1)
    events.connection_closed.emit(reason="recycle")
    events.connection_released.emit(scope="agent", duration=0.2, idle=0.1, busy=0.1, statements=1, leaked=True)
    events.pool_read.emit(
        used=1, idle=1, overflow=1, capacity=1, pending=1, peak_used=1, peak_pending=1, oldest_hold=1.0
    )
    events.database_used.emit(scope="http", queries=1, duration=0.1, repeated=1, endpoint="/")
    events.database_used.emit(scope="workflow", queries=1, duration=0.1, repeated=1, workflow_type="campaign")
    events.query_repeated.emit(scope="agent", table="runs")
    events.relationship_loaded.emit(relationship="Run.steps", scope="agent")


def emit_database_details() -> None:
    events.query_executed.emit(operation="select", table="runs", duration=0.1, cache="hit")
    events.transaction_ended.emit(outcome="commit", duration=0.1)
    events.connection_closed.emit(reason="recycle", lifetime=1.0)
    events.savepoint_ended.emit(outcome="released")


def emit_pipeline() -> None:
    events.tool_called.emit(tool_name="t", status="success", duration=0.1)
    events.label_overflowed.emit(metric="m", label="l")
    events.value_dropped.emit(metric="m", reason="negative")
    events.receiver_failed.emit(signal="s", receiver="r")
    events.event_dropped.emit(signal="s", receiver="r")
    events.collector_failed.emit(collector="c")
    events.setup_fault_found.emit(fault="reload")


def emit_listeners() -> None:
    events.listener_delivered.emit(listener="audit_trail", outcome="delivered", count=2)
    events.feed_clients_read.emit(clients=1)


def emit_retrieval() -> None:
    events.documents_retrieved.emit(data_source="library", status="success", duration=0.1, documents=2)


def emit_evaluations() -> None:
    events.answer_evaluated.emit(
        agent_name="a", evaluator="reviewer", evaluator_version="1", result="pass", score=0.9, cost=0.001
    )


def emit_guardrails() -> None:
    events.guardrail_checked.emit(guardrail="topic", kind="input", outcome="passed", duration=0.1)


def emit_workers() -> None:
    events.worker_file_faulty.emit(fault="torn")
    events.worker_folder_read.emit(alone=1)
    events.worker_started.emit(worker_id="w")


def emit_exposition() -> None:
    events.metrics_rendered.emit(format="text", encoding="gzip", duration=0.01, size=1000, series=40)


EMIT: dict[str, Callable[[], None]] = {
    "http": emit_http,
    "limits": emit_limits,
    "agents": emit_agents,
    "llm": emit_llm,
    "tools": emit_tools,
    "retrieval": emit_retrieval,
    "evaluations": emit_evaluations,
    "guardrails": emit_guardrails,
    "context": emit_context,
    "workflows": emit_workflows,
    "database": emit_database,
    "pipeline": emit_pipeline,
    "listeners": emit_listeners,
    "process": emit_process,
    "workers": emit_workers,
    "exposition": emit_exposition,
    "database_details": emit_database_details,
}
AT_REST = {"active_workflows", "active_agent_executions", "llm_active_requests"}
"""Nothing is in flight once every event was emitted."""


def is_updated(row: Metric, registry: CollectorRegistry) -> bool:
    suffix = "_count" if row.kind == "histogram" else ""
    constant = row.const_labels.items()
    return any(value > 0 for labels, value in samples(registry, row.name + suffix) if constant <= labels.items())


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
def test_every_row_is_updated_by_its_event(registry: CollectorRegistry) -> None:
    """Given one event of each kind, every family of the catalogue has changed."""
    with workflow_run(run_id="1", workflow_type="campaign"):
        while_active = {labels["workflow_type"]: value for labels, value in samples(registry, "active_workflows")}
    for emit in EMIT.values():
        emit()
    assert while_active == {"campaign": 1}
    assert {row.name for row in CATALOGUE if not is_updated(row, registry)} == AT_REST


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUPS)
def test_a_group_counts_alone(name: str, registry: CollectorRegistry) -> None:
    """Its labels have their limits, and its events update every row of it."""
    group = GROUPS[name]
    with subscribe(group, registry, namespace="sparklio"), label_overflowed.captured() as overflows:
        EMIT[name]()
        assert {row.name for row in group if not is_updated(row, registry)} <= AT_REST
        assert {family.name.removeprefix("sparklio_") for family in registry.collect()} == {
            row.name.removesuffix("_total") for row in group
        }
    assert [event for event in overflows if event.metric != "m"] == []


def test_the_groups_are_the_catalogue() -> None:
    """Every row is in one group, and no family is in two."""
    rows = [row for group in GROUPS.values() for row in group]
    assert sorted(row.name for row in rows) == sorted(row.name for row in CATALOGUE + OPTIONAL)
    names = [{row.name for row in group} for group in GROUPS.values()]
    assert sum(map(len, names)) == len(set().union(*names))


def test_the_shares_of_the_groups_add_up_to_the_catalogue() -> None:
    shares = {name: most_series(group) for name, group in GROUPS.items()}
    assert sum(shares.values()) == most_series(CATALOGUE + OPTIONAL) <= SERIES_BUDGET
    table = format_groups().splitlines()
    assert len(table) == 1 + len(GROUPS)
    assert all(line.endswith(" all") for line in table[1:])
    assert f"{shares['llm']:,}" in next(line for line in table if line.startswith("metrics:LLM "))


def test_every_label_with_a_limit_is_one_of_some_row() -> None:
    labels = {name for row in CATALOGUE + OPTIONAL for name in row.labels}
    assert set(LABEL_LIMITS) <= labels


def test_the_catalogue_holds_the_requested_families_with_their_labels() -> None:
    def labels(name: str) -> tuple[str, ...]:
        return next(row.label_names for row in CATALOGUE if row.name == name)

    requested = {
        "http_requests_total": ("method", "endpoint", "status_code"),
        "http_request_duration_seconds": ("method", "endpoint"),
        "agent_executions_total": ("agent_name", "status"),
        "agent_execution_duration_seconds": ("agent_name",),
        "llm_tokens_total": ("model", "token_type"),
        "llm_request_duration_seconds": ("model",),
        "workflows_total": ("workflow_type", "status"),
        "active_workflows": ("workflow_type",),
        "context_size_bytes": ("agent_name",),
        "db_queries_total": ("operation", "table"),
        "db_query_duration_seconds": ("operation", "table"),
    }
    assert {name: labels(name) for name in requested} == requested


def test_the_own_tokens_and_cost_of_agents_add_up_to_those_of_models() -> None:
    """What an agent spends by asking another one stands once in its own families, and at both in the inclusive ones."""
    registry = CollectorRegistry()

    def values(family: str) -> list[float | None]:
        names = ("planner", "writer")
        return [registry.get_sample_value(f"sparklio_agent_{family}", {"agent_name": name}) for name in names]

    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        with agent_run(agent_name="planner"), agent_run(agent_name="writer"):
            llm_called.emit(model="m", status="success", duration=1.0, cost=1.0, cost_source="price_table")
        assert values("cost_usd_total") == [0.0, 1.0]
        assert values("inclusive_cost_usd_total") == [1.0, 1.0]


def test_every_group_is_a_name_of_the_package() -> None:
    for name, rows in GROUPS.items():
        assert getattr(metrics, name.upper()) is rows
        assert name.upper() in metrics.__all__


@pytest.mark.usefixtures("subscription")
def test_a_commit_has_no_series_of_an_outcome_that_none_is_sent_for(registry: CollectorRegistry) -> None:
    events.transaction_ended.emit(outcome="released", duration=0.1)
    assert list(samples(registry, "db_commit_duration_seconds_count")) == []
    events.transaction_ended.emit(outcome="failed", duration=0.1, commit=0.05)
    assert list(samples(registry, "db_commit_duration_seconds_count")) == [({"outcome": "failed"}, 1)]
