"""The queue is shown as the database has it, until nobody knows what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from app.database import UnfinishedRun
from app.database.models import RunStatus
from app.workflows.definitions import WORKFLOWS
from app.workflows.queue_events import emit_queue, emit_unknown_queue
from metrics import CATALOGUE, subscribe
from tests.support.samples import samples

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        yield registry


def unfinished(workflow_type: str, waited: float, status: RunStatus = "queued") -> UnfinishedRun:
    queued_at = NOW - timedelta(seconds=waited)
    return UnfinishedRun("id", workflow_type, status, queued_at, None, 0)


def shown(registry: CollectorRegistry, name: str) -> dict[str, float]:
    return {labels["workflow_type"]: value for labels, value in samples(registry, name)}


def test_the_queue_is_shown_by_workflow_with_the_wait_of_the_first(registry: CollectorRegistry) -> None:
    emit_queue(NOW, [unfinished("campaign", 5), unfinished("campaign", 90), unfinished("brand_identity", 7, "running")])
    assert shown(registry, "workflows_queued") == {**dict.fromkeys(WORKFLOWS, 0.0), "campaign": 2.0}
    assert shown(registry, "workflow_oldest_queued_seconds") == {**dict.fromkeys(WORKFLOWS, 0.0), "campaign": 90.0}


def test_an_empty_queue_is_0_and_no_wait(registry: CollectorRegistry) -> None:
    emit_queue(NOW, [unfinished("campaign", 5)])
    emit_queue(NOW, [])
    assert set(shown(registry, "workflows_queued").values()) == {0.0}
    assert set(shown(registry, "workflow_oldest_queued_seconds").values()) == {0.0}


def test_a_clock_that_was_set_back_is_no_wait_below_0(registry: CollectorRegistry) -> None:
    emit_queue(NOW, [unfinished("campaign", -3)])
    assert shown(registry, "workflow_oldest_queued_seconds")["campaign"] == 0.0


def test_a_queue_that_cannot_be_read_has_no_series(registry: CollectorRegistry) -> None:
    emit_queue(NOW, [unfinished("campaign", 5)])
    emit_unknown_queue()
    assert shown(registry, "workflows_queued") == shown(registry, "workflow_oldest_queued_seconds") == {}


def test_a_run_of_a_workflow_that_is_no_longer_declared_is_shown_too(registry: CollectorRegistry) -> None:
    emit_queue(NOW, [unfinished("retired", 5)])
    assert shown(registry, "workflows_queued")["retired"] == 1.0
