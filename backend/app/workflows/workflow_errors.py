"""The errors of the workflow service; their messages are for its users."""

from __future__ import annotations

from app.database import Run
from app.database.advice import advice_for_postgresql, advice_for_sqlite
from app.database_urls import without_secrets
from app.settings import Settings

from .definitions import WORKFLOWS


class WorkflowEngineUnavailable(Exception):
    """The workflow engine cannot start; the message names the thing, the cause and what to do, in one line."""


def engine_unavailable(error: Exception, settings: Settings) -> WorkflowEngineUnavailable:
    """Return the error that says why the tables of the workflow engine, or the lease, cannot be used."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    cause = without_secrets(cause, settings.async_database_url)
    file = settings.workflows_file
    where, advice = ("", advice_for_postgresql(cause)) if file is None else (f" ({file})", advice_for_sqlite(cause))
    return WorkflowEngineUnavailable(
        f"The tables of the workflow engine{where} cannot be used: {cause}; "
        f"{advice}, or set SPARKLIO_DATABASE_URL to another database."
    )


class RunsUnavailable(Exception):
    """No run can be taken; the message says why, in one line."""


class WorkflowNotFound(Exception):
    """No workflow has that name."""

    def __init__(self, workflow_type: str) -> None:
        super().__init__(f"There is no workflow {workflow_type!r}; choose one of {', '.join(sorted(WORKFLOWS))}.")


class RunNotFound(Exception):
    """No run has that id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run {run_id!r}; GET /api/v1/runs lists them.")


class RunAlreadyEnded(Exception):
    """The run has ended already, so there is nothing to cancel."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Run {run.id} is {run.status}: there is nothing to cancel.")
        self.run = run


class QueueFull(Exception):
    """As many runs are queued as may be, and they are executed; ``retry_after`` is in how many seconds to try again."""

    retry_after = 10

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} runs are queued, which is as many as may be: try again later, or raise SPARKLIO_MAX_QUEUED."
        )


class IdempotencyConflict(Exception):
    """The key belongs to a run of another request."""

    def __init__(self, key: str, run: Run) -> None:
        super().__init__(
            f"Idempotency-Key {key!r} belongs to run {run.id}, with another workflow, brand or brief; use a new key."
        )
        self.run = run
