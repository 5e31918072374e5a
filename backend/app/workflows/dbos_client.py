"""DBOS behind a few functions: workflows that outlive their process.

There is one DBOS a process. It stores which workflows are queued and started, and which of their steps are done. After
a crash it calls `run_workflow` again, the one workflow function that it knows. The state of a run is stored in its row,
not in DBOS.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from dbos import DBOS, SetWorkflowID, WorkflowStatus
from dbos import error as errors
from sqlalchemy import Engine

from . import dbos_pace, dbos_queue, dbos_reads, dbos_tables, notices, trace_carrier
from .dbos_queue import QUEUE

T = TypeVar("T")

VERSION = "1"  # raised when the steps of a workflow change in order or name, so that a started run ends as it started
_NAME = "sparklio"
_WORKFLOW = "sparklio.run"

TakenOver = errors.DBOSWorkflowConflictIDError
"""Raised out of a workflow whose run another process has taken over."""

CancelledElsewhere = errors.DBOSWorkflowCancelledError
"""Raised out of a workflow that another process has cancelled."""

EngineError = errors.DBOSException
"""Raised out of a workflow or a call of DBOS that it cannot go on with."""


class EngineFailed(Exception):
    """Raised out of a workflow that the database or DBOS failed under; for DBOS it then has ended with an error."""


_execute: Callable[[str], Awaitable[None]] | None = None
_executor_id = ""
_dbos: DBOS | None = None
_engine: Engine | None = None
_offer: Callable[[], None] | None = None  # in a process that takes no runs: tells those that do of queued ones


@DBOS.workflow(name=_WORKFLOW)
async def run_workflow(run_id: str, carrier: trace_carrier.Carrier | None = None) -> None:
    """Execute what is left of a run. DBOS calls it, from the queue and again after a crash.

    DBOS keeps the carrier of the trace that asked for the run, as it keeps the id.
    """
    if _execute is None:
        raise asyncio.CancelledError  # the service is stopped: the next start resumes the run
    with dbos_pace.queue.executing(), trace_carrier.continued(carrier):
        await _execute(run_id)


async def launch(
    url: str,
    engine: Engine,
    executor_id: str,
    execute: Callable[[str], Awaitable[None]],
    *,
    slots: int,
    total: int | None,
    log_level: str,
) -> None:
    """Start DBOS: it executes queued runs, and resumes those that this executor left unfinished.

    It runs workflows on the event loop of the thread that launches it: this one.

    Args:
        url: The URL of DBOS's database.
        engine: The engine for it.
        executor_id: The id of this process, which no other living process has.
        execute: Executes a run, by its id.
        slots: How many runs this process executes at once; with 0 it takes none from the queue.
        total: How many all processes together may execute at once; None for no such limit.
        log_level: The studio's log level.
    """
    global _execute, _executor_id, _dbos, _engine, _offer
    _configure_logging(log_level)
    await asyncio.to_thread(dbos_tables.create, url)
    offer = partial(notices.offer, engine, QUEUE)
    _execute, _executor_id, _offer = execute, executor_id, None if slots else offer
    dbos = DBOS(
        config={
            "name": _NAME,
            "system_database_url": url,
            "system_database_engine": engine,
            "dbos_system_schema": dbos_tables.SCHEMA,
            "application_version": VERSION,
            "executor_id": executor_id,
            "log_level": _level(log_level),
            "enable_otlp": False,
            # We use no notifications: the threads that look for them are to end soon.
            "notification_listener_polling_interval_sec": 0.2,
            "notification_coalesce_sec": 0.2,
        }
    )
    await asyncio.to_thread(partial(dbos_queue.declare, dbos, url, _NAME, slots=slots, total=total))
    DBOS.launch()
    _dbos, _engine = dbos, engine
    if slots and total is not None and engine.dialect.name == "postgresql":
        dbos_queue.hold_total(dbos, engine, slots=slots, total=total)
    dbos_reads.commit_nothing(dbos)
    dbos_pace.wake_all()
    dbos_pace.slow_down(dbos, QUEUE, dbos_tables.queue_question(engine, QUEUE), offer)


async def restore_tables(url: str, engine: Engine) -> None:
    """Create the tables of DBOS that are missing."""
    await asyncio.to_thread(dbos_tables.restore, url, engine)
    dbos_pace.wake_all()


async def destroy() -> None:
    """Stop DBOS. Unfinished workflows stay as they are, for the next start."""
    global _execute  # noqa: PLW0603 - see launch
    _execute = None
    loop = asyncio.get_running_loop()
    # Not in the loop's default executor: DBOS has set its own there, and shuts it down.
    threads = ThreadPoolExecutor(thread_name_prefix="asyncio")
    await loop.run_in_executor(threads, DBOS.destroy)
    loop.set_default_executor(threads)


async def enqueue(run_id: str, carrier: trace_carrier.Carrier | None = None) -> None:
    """Queue a run, with the trace that asked for it if any; doing it twice has no effect."""
    with SetWorkflowID(run_id):
        await DBOS.enqueue_workflow_async(QUEUE, run_workflow, run_id, *(() if carrier is None else (carrier,)))
    await _announce()


async def cancel(run_id: str) -> None:
    """Remove a run from the queue, or stop it in the process that executes it."""
    await DBOS.cancel_workflow_async(run_id)


async def requeue(run_id: str, executor_id: str) -> bool:
    """Queue a run that is an executor's to execute, which is gone or does not; return False if it is not its any more.

    Of several processes that do so at once one succeeds, and the executor's own writes to the workflow fail from then
    on. The run has its place in the queue by its age.
    """
    if not await asyncio.to_thread(_requeue, run_id, executor_id):
        return False
    await _announce()
    return True


def _requeue(run_id: str, executor_id: str) -> bool:
    database: Any = getattr(_dbos, "_sys_db_field", None)
    requeue = getattr(database, "reenqueue_for_recovery", None)
    if requeue is not None:
        # What DBOS calls at its own recovery. There is no public way that is bound to the executor.
        return bool(requeue(run_id, [executor_id], QUEUE))
    status = DBOS.get_workflow_status(run_id)
    if status is None or (status.status, status.executor_id) != ("PENDING", executor_id):
        return False
    DBOS.resume_workflow(run_id, queue_name=QUEUE)
    return True


async def requeue_in_own_version(run_id: str, version: str, executor_id: str | None) -> bool:
    """Queue a run of another version as one of this process's: its finished steps are answered by their rows.

    Args:
        run_id: The run.
        version: The version that it is of.
        executor_id: The executor that it is assigned to, which is gone; None if it waits in the queue.

    Returns:
        Whether this call did it, and not another process.
    """
    assert _engine is not None  # noqa: S101 - launched
    moved = await asyncio.to_thread(dbos_tables.move_to_version, _engine, run_id, version, VERSION, QUEUE, executor_id)
    if moved:
        dbos_pace.look_now()
    return moved


async def _announce() -> None:
    """Have a run that was queued looked for: here, or by others where this process takes none."""
    if _offer is None:
        dbos_pace.look_now()
    else:
        await asyncio.to_thread(_offer)


async def enqueue_anew(run_id: str) -> None:
    """Queue a run that has ended for DBOS, as if it were new: the results of its steps are in their rows."""
    await DBOS.delete_workflow_async(run_id)
    await enqueue(run_id)


async def get_statuses(run_ids: Sequence[str]) -> dict[str, WorkflowStatus]:
    """Return DBOS's status of each of these runs that it knows."""
    if not run_ids:
        return {}
    statuses = await DBOS.list_workflows_async(workflow_ids=list(run_ids), load_input=False, load_output=False)
    return {status.workflow_id: status for status in statuses}


async def list_pending(executor_ids: Sequence[str]) -> list[WorkflowStatus]:
    """Return the workflows that are assigned to these executors and have not ended."""
    return await DBOS.list_workflows_async(
        executor_id=list(executor_ids), status="PENDING", name=_WORKFLOW, load_input=False, load_output=False
    )


async def get_status(run_id: str) -> WorkflowStatus | None:
    """Return DBOS's status of a run; a workflow may ask for its own, at any moment and without a step of its own."""
    loop = asyncio.get_running_loop()
    # In a fresh context: inside a workflow a call of DBOS is a step, which raises where the workflow is cancelled.
    return (await loop.create_task(get_statuses([run_id]), context=contextvars.Context())).get(run_id)


async def cancelled_among(run_ids: Sequence[str]) -> list[str]:
    """Return which of these runs are cancelled for DBOS."""
    if not run_ids:
        return []
    cancelled = await DBOS.list_workflows_async(
        workflow_ids=list(run_ids), status="CANCELLED", load_input=False, load_output=False
    )
    return [status.workflow_id for status in cancelled]


async def is_claimed_here(run_id: str) -> bool:
    """Return whether a run is this process's to execute."""
    status = await get_status(run_id)
    return status is not None and (status.status, status.executor_id) == ("PENDING", _executor_id)


async def delete_ended_before(cutoff: datetime, limit: int) -> int:
    """Delete the rows of some workflows that ended before a moment, and return of how many."""
    ended = await DBOS.list_workflows_async(
        completed_before=cutoff.isoformat(),
        status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
        name=_WORKFLOW,
        limit=limit,
        load_input=False,
        load_output=False,
    )
    ids = [status.workflow_id for status in ended]
    if ids:
        await DBOS.delete_workflows_async(ids)
    return len(ids)


def durable_step(name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
    """Return ``work`` as a DBOS step: once done it is not repeated after a crash, because its result is stored.

    The step's number is reserved here, before anything is awaited, so that parallel steps have the same numbers at each
    attempt. DBOS does not preempt it, as that would break off an answer that has come: `RunExecutor` cancels it.
    """
    return partial(DBOS.reserve_step().run_async, {"name": name}, work)


def claimed_at(status: WorkflowStatus) -> datetime | None:
    """Return when a process last started or resumed a run."""
    moment = status.dequeued_at or status.updated_at
    return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC)


def _configure_logging(log_level: str) -> None:
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # otherwise DBOS adds a handler with a format of its own
        logger.propagate = True
    logger.setLevel(_level(log_level))
    if log_level != "debug":
        logger.addFilter(_shorten)


def _level(log_level: str) -> str:
    return "DEBUG" if log_level == "debug" else "WARNING"


def _shorten(record: logging.LogRecord) -> bool:
    """Return False for messages that the studio logs itself; leave out the traceback of others, which may be long."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (EngineFailed, errors.DBOSAwaitedWorkflowCancelledError)):  # a run cancelled elsewhere
        return False
    if error is not None:
        record.msg, record.args = f"{record.getMessage()} {type(error).__name__}", ()
        record.exc_info = record.exc_text = None
    return not str(record.msg).startswith(("Asyncio task cancelled", "DBOS failed to launch"))
