"""Reconciling finds what is missing, too much or changed in the trail, the counters or the rows, and by how much."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import time

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from sqlalchemy import delete, update

from app.commands.compared_families import COMPARISONS
from app.commands.reconciliation import CLOCK_SLACK, CannotReconcile, Report, fold_others, reconcile
from app.database import Database, Run, Step
from app.database.models import AuditEvent
from app.database.repositories import runs
from app.database.repositories.audit_sums import Sums
from app.listeners import audit_trail
from app.monitoring.counters import Counters
from events import (
    agent_run,
    listener_delivered,
    llm_called,
    rows_expired,
    tool_called,
    worker_started,
    workflow_finished,
    workflow_started,
)
from metrics import CATALOGUE, subscribe
from tests.backend.database.rows import queue_run, save_step
from tests.support.wait import until


@dataclass
class Life:
    """What a studio's process left: its rows, its trail, and its counters."""

    database: Database
    counters: Counters
    runs: list[str]

    async def reconcile(self, *servers: Counters, wait: float = 0) -> Report:
        return await reconcile(self.database, servers or (self.counters,), wait=wait)

    async def change(self, statement: object) -> None:
        async with self.database.writing() as session:
            await session.execute(statement)  # type: ignore[call-overload]  # whatever a test changes


def samples_of(registry: CollectorRegistry) -> list[Sample]:
    return [sample for family in registry.collect() for sample in family.samples]


async def live_a_run(database: Database, status: str) -> str:
    """Store a run with one step and emit what the studio does of one, and return its id."""
    async with database.writing() as session:
        run = await queue_run(session)
        await runs.mark_running(session, run.id, datetime.now(UTC))
    workflow_started.emit(run_id=run.id, workflow_type=run.workflow_type)
    context = {"run_id": run.id, "workflow_type": run.workflow_type}
    with agent_run(agent_name="copywriter", **context):
        tool_called.emit(tool_name="search", status="success", duration=0.1)
        llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=10, completion_tokens=5, cost=0.25)
    async with database.writing() as session:
        await save_step(session, run.id, cost=0.25)
        await runs.mark_finished(session, run.id, status, None, None, datetime.now(UTC))  # type: ignore[arg-type]
    workflow_finished.emit(run_id=run.id, workflow_type=run.workflow_type, status=status, duration=0.1)  # type: ignore[arg-type]
    return run.id


@pytest.fixture
async def life(database: Database) -> AsyncIterator[Life]:
    registry = CollectorRegistry()
    started_at = time()
    with (
        subscribe(CATALOGUE, registry, namespace="sparklio"),
        listener_delivered.captured() as deliveries,
    ):
        async with audit_trail.listen(database, 30, "one"):
            worker_started.emit()
            ended = [await live_a_run(database, status) for status in ("completed", "completed", "failed")]
            await until(lambda: sum(each.count for each in deliveries) == 1 + 3 * 6)
            sent_at = time()
            yield Life(database, Counters("here", started_at, sent_at, time(), samples_of(registry)), ended)


def differing(report: Report) -> list[tuple[str, str, dict[str, str], float]]:
    """Return title, what it is compared with, labels and difference of the sums that differ."""
    return [
        (line.title, line.against, {**line.labels}, round(line.difference, 9))
        for line in report.lines
        if line.difference
    ]


async def test_what_agrees_is_listed_with_its_sums(life: Life) -> None:
    report = await life.reconcile()
    assert report.agrees, report
    assert not [*report.faults, *report.notes]
    assert {line.title for line in report.lines if line.against != "rows"} == {each.title for each in COMPARISONS}
    sums: dict[tuple[str, ...], tuple[float, float]] = {
        (line.title, line.against, *line.labels.values()): (line.trail, line.other) for line in report.lines
    }
    expected: dict[tuple[str, ...], tuple[float, float]] = {
        ("runs", "workflows_total", "campaign", "completed"): (2, 2),
        ("runs", "rows", "campaign", "failed"): (1, 1),
        ("tokens", "llm_tokens_total", "m", "prompt"): (30, 30),
        ("prompt tokens", "rows"): (30, 30),
        ("USD", "llm_cost_usd_total", "m"): (0.75, 0.75),
        ("USD", "rows"): (0.75, 0.75),
        ("tool calls", "tool_calls_total", "search", "success"): (3, 3),
    }
    assert {key: sums[key] for key in expected} == expected


async def test_an_event_that_is_missing_in_the_trail_is_found(life: Life) -> None:
    """In its own sum, in that of events, and in those of the rows."""
    one = (AuditEvent.run_id == life.runs[0], AuditEvent.signal == "llm_called")
    await life.change(delete(AuditEvent).where(*one))
    report = await life.reconcile()
    assert differing(report) == [
        ("model calls", "llm_requests_total", {"model": "m", "status": "success"}, 1),
        ("tokens", "llm_tokens_total", {"model": "m", "token_type": "completion"}, 5),
        ("tokens", "llm_tokens_total", {"model": "m", "token_type": "prompt"}, 10),
        ("USD", "llm_cost_usd_total", {"model": "m"}, 0.25),
        ("events", "events_total", {"signal": "llm_called"}, 1),
        ("USD", "rows", {}, 0.25),
        ("completion tokens", "rows", {}, 5),
        ("model calls", "rows", {}, 1),
        ("prompt tokens", "rows", {}, 10),
    ]


async def test_an_end_that_is_missing_is_found_with_its_run(life: Life) -> None:
    one = (AuditEvent.run_id == life.runs[2], AuditEvent.signal == "workflow_finished")
    await life.change(delete(AuditEvent).where(*one))
    report = await life.reconcile()
    assert differing(report)[0] == ("runs", "workflows_total", {"workflow_type": "campaign", "status": "failed"}, 1)
    assert [fault for fault in report.faults if life.runs[2] in fault]


async def test_a_row_that_was_changed_is_found_although_the_counters_agree(life: Life) -> None:
    await life.change(update(Run).where(Run.id == life.runs[2]).values(status="completed"))
    await life.change(update(Step).where(Step.run_id == life.runs[0]).values(cost=0.05))
    report = await life.reconcile()
    assert differing(report) == [
        ("USD", "rows", {}, -0.2),
        ("runs", "rows", {"workflow_type": "campaign", "status": "completed"}, 1),
        ("runs", "rows", {"workflow_type": "campaign", "status": "failed"}, -1),
    ]
    [fault] = report.faults
    assert life.runs[2] in fault


async def test_a_run_whose_row_was_deleted_is_found(life: Life) -> None:
    await life.change(delete(Step).where(Step.run_id == life.runs[1]))
    await life.change(delete(Run).where(Run.id == life.runs[1]))
    [fault] = (await life.reconcile()).faults
    assert life.runs[1] in fault
    assert "no row" in fault
    await life.change(update(AuditEvent).values(time=datetime.now(UTC) - timedelta(days=2)))
    report = await reconcile(life.database, (), retention_days=1, wait=0)  # it is older than rows are kept
    assert report.faults == []


async def test_counters_that_are_too_high_are_found(life: Life) -> None:
    samples = [
        sample._replace(value=sample.value + 3)
        if sample.name == "sparklio_tool_calls_total" and sample.labels["tool_name"] == "search"
        else sample
        for sample in life.counters.samples
    ]
    found = differing(await life.reconcile(replace(life.counters, samples=samples)))
    assert ("tool calls", "tool_calls_total", {"tool_name": "search", "status": "success"}, 3) in found


async def test_an_event_on_its_way_is_waited_for(life: Life) -> None:
    """The counters have it already; the trail gets it half a second later."""
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        tool_called.emit(tool_name="search", status="success", duration=0.1)
        more = samples_of(registry)
    first = {(sample.name, *sample.labels.items()): sample.value for sample in life.counters.samples}
    samples = [
        sample._replace(value=sample.value + first.get((sample.name, *sample.labels.items()), 0)) for sample in more
    ]
    known = {(sample.name, *sample.labels.items()) for sample in samples}
    samples += [sample for sample in life.counters.samples if (sample.name, *sample.labels.items()) not in known]
    counters = replace(life.counters, samples=samples, sent_at=time(), received_at=time())
    report = await life.reconcile(counters, wait=30)
    assert report.agrees, differing(report)


async def test_events_between_the_begin_and_the_end_of_reading_are_no_difference(life: Life) -> None:
    """They are in the trail, and may be in the counters."""
    counters = replace(life.counters, received_at=time() + 60)
    await life.change(
        update(AuditEvent)
        .where(AuditEvent.run_id == life.runs[0], AuditEvent.signal == "tool_called")
        .values(time=datetime.fromtimestamp(life.counters.sent_at + 30, UTC))
    )
    assert (await life.reconcile(counters)).agrees
    samples = [
        sample._replace(value=sample.value - 1)
        if (sample.name, sample.labels.get("tool_name", sample.labels.get("signal")))
        in {("sparklio_tool_calls_total", "search"), ("sparklio_events_total", "tool_called")}
        and sample.value
        else sample
        for sample in life.counters.samples
    ]
    assert (await life.reconcile(replace(counters, samples=samples))).agrees


async def test_another_process_that_no_server_counts_is_noted(life: Life) -> None:
    await until(lambda: time() > life.counters.received_at + 2 * CLOCK_SLACK)
    with listener_delivered.captured() as deliveries:
        async with audit_trail.listen(life.database, 30, "two"):
            worker_started.emit()
            await until(lambda: len(deliveries) == 2)  # of both trails
    assert (await life.reconcile()).notes == []  # it began after the counters were read
    later = time() + 1
    report = await life.reconcile(replace(life.counters, sent_at=later, received_at=later))
    [note] = report.notes
    assert "2 processes" in note
    assert not report.agrees


async def test_what_the_trail_dropped_is_noted(life: Life) -> None:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        listener_delivered.emit(listener="audit_trail", outcome="dropped", count=7)
        listener_delivered.emit(listener="live_feed", outcome="dropped", count=5)
        dropped = [each for each in samples_of(registry) if "listener_ev" in each.name]
    kept = [sample for sample in life.counters.samples if "listener_ev" not in sample.name]
    report = await life.reconcile(replace(life.counters, samples=[*kept, *dropped]))
    [note] = report.notes
    assert " 7 events" in note


async def test_counters_from_before_the_trail_are_not_compared(life: Life) -> None:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        rows_expired.emit(resource="audit_events", rows=1)
        expired = [each for each in samples_of(registry) if "rows_expired" in each.name]
    long_ago = replace(life.counters, started_at=time() - 10**6, samples=[*life.counters.samples, *expired])
    with pytest.raises(CannotReconcile, match="--rows-only"):
        await life.reconcile(long_ago)
    assert (await reconcile(life.database, (), wait=0)).agrees


async def test_an_empty_trail_is_not_compared(database: Database) -> None:
    with pytest.raises(CannotReconcile, match="SPARKLIO_AUDIT_DAYS"):
        await reconcile(database, ())


async def test_runs_from_before_a_time_are_left_out(life: Life) -> None:
    await life.change(update(Run).where(Run.id == life.runs[2]).values(status="abandoned"))
    assert not (await reconcile(life.database, (), wait=0)).agrees
    report = await reconcile(life.database, (), since=datetime.now(UTC), wait=0)
    assert report == Report()


def test_values_past_a_limit_are_compared_under_other() -> None:
    counted: Sums = {("a", "success"): 1.0, ("other", "success"): 5.0, ("other", "error"): 0.0}
    trail: Sums = {("a", "success"): 1.0, ("b", "success"): 2.0, ("c", "success"): 3.0}
    assert fold_others(trail, counted) == {("a", "success"): 1.0, ("other", "success"): 5.0}
    assert fold_others(trail, {("a", "success"): 1.0}) == trail
    assert fold_others(trail, {}) == trail
