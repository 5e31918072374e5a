"""The unfinished runs are shown as the database has them: how many, how old, and which of them nobody has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dbos import WorkflowStatus
from prometheus_client import CollectorRegistry

from app.database import UnfinishedRun
from app.database.models import RunStatus
from app.workflows.backlog_events import emit_backlog, emit_unknown_backlog
from metrics import CATALOGUE, subscribe
from tests.support.in_process_studio import NewSettings, running_studio
from tests.support.samples import samples
from tests.support.wait import until

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
VERSIONS = ["2", "2"]
"""Of the processes that live and execute runs."""


def is_gone(executor: str) -> bool:
    return executor == "dead"


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        yield registry


def unfinished(status: RunStatus, seconds: float = 60.0) -> UnfinishedRun:
    began = NOW - timedelta(seconds=seconds)
    return UnfinishedRun("run", "campaign", status, began, None if status == "queued" else began, 0)


def in_engine(status: Any, executor: str | None = None, version: str | None = "2") -> WorkflowStatus:
    found = WorkflowStatus()
    found.workflow_id, found.status, found.executor_id, found.app_version = "run", status, executor, version
    return found


def shown(registry: CollectorRegistry, name: str) -> dict[str, float]:
    return {labels.get("status", labels.get("state", "")): value for labels, value in samples(registry, name)}


def test_runs_are_counted_by_status_with_the_age_of_the_first(registry: CollectorRegistry) -> None:
    runs = [unfinished("queued", 5), unfinished("queued", 90), unfinished("running", 7)]
    emit_backlog(NOW, runs, {"run": in_engine("ENQUEUED")}, VERSIONS, is_gone, executors=2)
    assert shown(registry, "workflows_unfinished") == {"queued": 2, "running": 1}
    assert shown(registry, "workflow_oldest_unfinished_seconds") == {"queued": 90, "running": 7}


def test_without_runs_all_is_0_but_who_performs_them(registry: CollectorRegistry) -> None:
    emit_backlog(NOW, [], {}, VERSIONS, is_gone, executors=2)
    for name in ("workflows_unfinished", "workflow_oldest_unfinished_seconds", "workflows_without_holder"):
        assert shown(registry, name) == {"queued": 0, "running": 0}
    assert shown(registry, "workflow_executors") == {"alive": 2}


@pytest.mark.parametrize(
    ("run", "status", "without"),
    [
        (unfinished("running"), in_engine("PENDING", "a"), 0),
        (unfinished("running"), in_engine("PENDING", "dead"), 1),
        (unfinished("queued"), in_engine("PENDING", "dead"), 1),  # claimed, and not begun
        (unfinished("running"), in_engine("ENQUEUED"), 0),  # taken over, and not begun again
        (unfinished("queued"), in_engine("ENQUEUED", version="1"), 1),
        (unfinished("queued"), in_engine("ENQUEUED", version=None), 0),
        (unfinished("running"), None, 1),
        (unfinished("queued", 4), None, 0),  # it is being submitted
        (unfinished("queued", 6), None, 1),
        (unfinished("queued", -4), None, 0),
        (unfinished("queued", -3600), None, 1),  # by a host's clock that is an hour ahead
        (unfinished("running"), in_engine("SUCCESS", "a"), 0),  # it ended between the two reads
        (unfinished("running"), in_engine("ERROR", "dead"), 0),  # it is queued again by this sweep
    ],
)
def test_a_run_is_without_a_holder_where_no_living_process_has_it(
    registry: CollectorRegistry, run: UnfinishedRun, status: WorkflowStatus | None, without: int
) -> None:
    emit_backlog(NOW, [run], {} if status is None else {"run": status}, VERSIONS, is_gone, executors=2)
    others = {"queued", "running"} - {run.status}
    assert shown(registry, "workflows_without_holder") == {run.status: without, **dict.fromkeys(others, 0)}


@pytest.mark.parametrize(("versions", "without"), [([], 1), (["1"], 1), (["1", "2"], 0), (["1", None], 0)])
def test_a_run_in_the_queue_waits_for_a_process_of_its_version(
    registry: CollectorRegistry, versions: list[str | None], without: int
) -> None:
    """One of an earlier release, whose version is not known, may execute any."""
    emit_backlog(NOW, [unfinished("queued")], {"run": in_engine("ENQUEUED")}, versions, is_gone, executors=2)
    assert shown(registry, "workflows_without_holder")["queued"] == without


def test_how_many_processes_live_has_no_series_while_it_is_too_early_to_say(registry: CollectorRegistry) -> None:
    emit_backlog(NOW, [unfinished("running")], {}, VERSIONS, is_gone, executors=2)
    emit_backlog(NOW, [unfinished("running")], {}, VERSIONS, is_gone, executors=None)
    assert shown(registry, "workflow_executors") == {}
    assert shown(registry, "workflows_unfinished") == {"queued": 0, "running": 1}


def test_what_cannot_be_read_has_no_series(registry: CollectorRegistry) -> None:
    emit_backlog(NOW, [unfinished("running")], {}, VERSIONS, is_gone, executors=2)
    emit_unknown_backlog()
    for name in ("workflows_unfinished", "workflow_oldest_unfinished_seconds", "workflow_executors"):
        assert shown(registry, name) == {}
    assert shown(registry, "workflows_without_holder") == {}


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_what_was_read_holds_no_longer_than_the_lease_of_who_read_it(
    registry: CollectorRegistry, new_settings: NewSettings, new_migrated_postgres: Callable[[], str]
) -> None:
    """A sweep may wait for the database for ever."""
    settings = new_settings(database_url=new_migrated_postgres(), lease=3, sweep_interval=0.2)
    async with running_studio(settings):
        assert shown(registry, "workflow_executors") == {"alive": 1}
        with psycopg.connect(settings.database_url or "") as other:
            other.execute("LOCK TABLE executors")
            await until(lambda: not shown(registry, "workflow_executors"))
            other.rollback()
        await until(lambda: shown(registry, "workflow_executors") == {"alive": 1})
    assert shown(registry, "workflow_executors") == {}
