"""DBOS, kept behind a few functions: workflows that outlive their process.

DBOS is one a process. It remembers which workflows were queued and begun, and which of their steps are done; what it
starts again after a crash is `run_workflow`, the one workflow function that it knows. What a run is and how it fares is
told by its row, not by DBOS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from dbos import DBOS, DBOSClient, SetWorkflowID, WorkflowStatus
from dbos import error as errors
from sqlalchemy import Engine

T = TypeVar("T")

QUEUE = "runs"
VERSION = "1"  # raised when the steps of a workflow change order or name: a run under way ends as it began
_NAME = "sparklio"
_SCHEMA = "dbos"
_POLL = 0.2  # seconds between two looks into the queue

TakenOver = errors.DBOSWorkflowConflictIDError
"""Leaves a workflow whose run another process has taken over."""

CancelledElsewhere = errors.DBOSWorkflowCancelledError
"""Leaves a workflow that another process has cancelled."""

_perform: Callable[[str], Awaitable[None]] | None = None


@DBOS.workflow(name="sparklio.run")
async def run_workflow(run_id: str) -> None:
    """Do what is left of a run. DBOS calls it: from the queue, and again after a crash."""
    if _perform is None:
        raise asyncio.CancelledError  # between two lives of the studio: the next start takes it up
    await _perform(run_id)


async def launch(
    url: str,
    engine: Engine,
    executor_id: str,
    perform: Callable[[str], Awaitable[None]],
    *,
    concurrency: int,
    log_level: str,
) -> None:
    """Start DBOS on an engine: it performs what is queued, so many runs at once, and what this executor left behind.

    It runs workflows on the event loop that it finds in the thread where it is launched: this one.
    """
    global _perform  # noqa: PLW0603 - DBOS is one a process and calls a module-level function
    _quieten(log_level)
    await asyncio.to_thread(_prepare, url, concurrency)
    _perform = perform
    DBOS(
        config={
            "name": _NAME,
            "system_database_url": url,
            "system_database_engine": engine,
            "dbos_system_schema": _SCHEMA,
            "application_version": VERSION,
            "executor_id": executor_id,
            "log_level": _level(log_level),
            "enable_otlp": False,
            "notification_listener_polling_interval_sec": 0.1,  # nothing is notified; a stop waits for this
        }
    )
    DBOS.launch()


def _prepare(url: str, concurrency: int) -> None:
    """Make the tables and the queue. A queue that comes later DBOS finds a second later, and with it the first run."""
    DBOS.migrate(url, schema=_SCHEMA)
    client = DBOSClient(
        system_database_url=url, dbos_system_schema=_SCHEMA, application_name=_NAME, retry_connection_errors=False
    )
    try:
        client.register_queue(QUEUE, worker_concurrency=concurrency, polling_interval_sec=_POLL)
    finally:
        client.destroy()


async def destroy() -> None:
    """Stop DBOS. What it has not finished stays as it is, for the next start."""
    global _perform  # noqa: PLW0603 - see launch
    _perform = None
    loop = asyncio.get_running_loop()
    # Not in the loop's default threads: DBOS has put its own there, and closes them.
    threads = ThreadPoolExecutor(thread_name_prefix="asyncio")
    await loop.run_in_executor(threads, DBOS.destroy)
    loop.set_default_executor(threads)


async def enqueue(run_id: str) -> None:
    """Queue a run; a second time is nothing."""
    with SetWorkflowID(run_id):
        await DBOS.enqueue_workflow_async(QUEUE, run_workflow, run_id)


async def cancel(run_id: str) -> None:
    """Take a run out of the queue, and stop it in whichever process it is under way."""
    await DBOS.cancel_workflow_async(run_id)


async def enqueue_again(run_id: str) -> None:
    """Queue a run that DBOS holds to be under way in a process that is gone."""
    await DBOS.resume_workflow_async(run_id, queue_name=QUEUE)


async def statuses(run_ids: Sequence[str]) -> dict[str, WorkflowStatus]:
    """Tell what DBOS knows of some runs."""
    if not run_ids:
        return {}
    known = await DBOS.list_workflows_async(workflow_ids=list(run_ids), load_input=False, load_output=False)
    return {status.workflow_id: status for status in known}


def step(name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
    """Make a step of ``work``: done before a crash, it is not done again, its answer is remembered.

    Its number is drawn here, before anything is awaited, so that parallel steps have the same ones at each attempt.
    A cancellation in another process reaches it within a second or two.
    """
    return partial(DBOS.reserve_step().run_async, {"name": name, "preemptible": True}, work)


def claimed_at(status: WorkflowStatus) -> datetime | None:
    """Tell when a process last took a run up."""
    moment = status.dequeued_at or status.updated_at
    return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC)


def _quieten(log_level: str) -> None:
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else DBOS prints in a format of its own
        logger.propagate = True
    logger.setLevel(_level(log_level))
    if log_level != "debug":
        logger.addFilter(_no_news)


def _level(log_level: str) -> str:
    return "DEBUG" if log_level == "debug" else "WARNING"


def _no_news(record: logging.LogRecord) -> bool:
    """Leave out what is told elsewhere: tasks of a run were cancelled, the start failed."""
    return not str(record.msg).startswith(("Asyncio task cancelled", "DBOS failed to launch"))
