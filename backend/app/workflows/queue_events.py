"""The queue and its limits as events.

The queue is read at each sweep, which lists all unfinished runs anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from app.database import UnfinishedRun
from app.settings import Settings
from events import workflow_limits_read, workflow_queue_read

from .backlog_events import emit_unknown_backlog
from .definitions import WORKFLOWS


def emit_queue(now: datetime, runs: Iterable[UnfinishedRun]) -> None:
    """Emit, for each workflow, how many of these runs are queued, and how long the first of them has waited.

    Args:
        now: The time by the database's clock.
        runs: The runs that have not ended, in any order.
    """
    queued: dict[str, list[datetime]] = {workflow_type: [] for workflow_type in WORKFLOWS}
    for run in runs:
        if run.status == "queued":
            queued.setdefault(run.workflow_type, []).append(run.queued_at)
    for workflow_type, since in queued.items():
        oldest_age = max(0.0, (now - min(since)).total_seconds()) if since else 0.0
        workflow_queue_read.emit(workflow_type=workflow_type, queued=len(since), oldest_age=oldest_age)


def emit_limits(settings: Settings, *, slots: int) -> None:
    """Emit the limits of this process; ``slots`` is how many runs it executes at once, 0 once it stops."""
    workflow_limits_read.emit(slots=slots, queue=settings.max_queued, run_time=settings.run_time_limit)


def emit_unknown_queue() -> None:
    """Emit that the runs cannot be read: as long as it is so, nobody knows how many are queued or unfinished."""
    emit_unknown_backlog()
    for workflow_type in WORKFLOWS:
        workflow_queue_read.emit(workflow_type=workflow_type, queued=None, oldest_age=None)
