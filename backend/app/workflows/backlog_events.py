"""The unfinished runs as one event: how many there are, how old the first ones are, and which of them nobody has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from dbos import WorkflowStatus

from app.database import UnfinishedRun
from events import workflow_backlog_read

from .run_events import seconds_between

ENQUEUE_TIMEOUT = 5.0
"""Seconds that a submission waits for the engine to have its run; then a sweep queues it."""


def emit_backlog(
    now: datetime,
    runs: Collection[UnfinishedRun],
    statuses: Mapping[str, WorkflowStatus],
    versions: Collection[str | None],
    is_gone: Callable[[str], bool],
    *,
    executors: int | None,
) -> None:
    """Emit `workflow_backlog_read` for the runs that have not ended.

    Args:
        now: The time by the database's clock.
        runs: The runs that have not ended.
        statuses: The engine's status of each that it knows, read after them.
        versions: The version of each process that executes runs and lives; None is one that executes any.
        is_gone: Returns whether a process is gone, by its executor id.
        executors: How many processes execute runs and live; None where that is not known yet.
    """
    queued = [run for run in runs if run.status == "queued"]
    running = [run for run in runs if run.status == "running"]

    def count_without_holder(some: Collection[UnfinishedRun]) -> int:
        return sum(not has_holder(run, statuses.get(run.id), now, versions, is_gone) for run in some)

    workflow_backlog_read.emit(
        queued=len(queued),
        running=len(running),
        oldest_queued_age=max((seconds_between(run.queued_at, now) for run in queued), default=0.0),
        oldest_running_age=max((seconds_between(run.started_at, now) for run in running), default=0.0),
        queued_without_holder=count_without_holder(queued),
        running_without_holder=count_without_holder(running),
        executors=executors,
    )


def emit_unknown_backlog() -> None:
    """Emit that the unfinished runs cannot be read: as long as it is so, nobody knows of them."""
    workflow_backlog_read.emit()


def has_holder(
    run: UnfinishedRun,
    status: WorkflowStatus | None,
    now: datetime,
    versions: Collection[str | None],
    is_gone: Callable[[str], bool],
) -> bool:
    """Return whether a process that lives executes an unfinished run, or takes runs of its version from the queue.

    A run that has ended for the engine is about to end, or to be queued again by this sweep: it is not left alone.
    """
    if status is None:
        return is_being_submitted(run, now)
    if status.status == "PENDING":
        return not is_gone(status.executor_id or "")
    if status.status == "ENQUEUED":
        return any(version is None or status.app_version in {None, version} for version in versions)
    return True


def is_being_submitted(run: UnfinishedRun, now: datetime) -> bool:
    """Return whether a run was queued so lately that its submission may be about to hand it to the engine.

    It was queued by the clock of its host, which may be wrong: a moment that is far ahead says no more than a past one.
    """
    return run.status == "queued" and abs(now - run.queued_at) < timedelta(seconds=ENQUEUE_TIMEOUT)
