"""Recovery: the next start finishes the runs that a stopped studio left, counted once and with all tokens."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import Database
from app.database.repositories import brands, runs
from app.settings import Settings
from app.workflows import backlog_events, dbos_client, executor_locks, recovery
from events import workflow_backlog_read, workflow_requeued
from tests.support.in_process_studio import (
    BRIEF,
    NewSettings,
    RecordedEvents,
    matching_reply,
    replies_in_order,
    running_studio,
    usage_of,
)
from tests.support.openai_server import OpenAIServer, stalls
from tests.support.wait import until

pytestmark = pytest.mark.slow


async def leave_unfinished(model: OpenAIServer, settings: Settings, workflow_type: str = "product_content") -> str:
    """Stop a studio after the first step of a run, during the model call of the second, and return the run's id."""
    model.behaviour = replies_in_order(None, stalls(), stalls())
    asked = model.tally.requests
    async with running_studio(settings) as studio:
        run_id = await studio.submit(workflow_type)
        await until(lambda: model.tally.requests >= asked + 2)
    model.behaviour = matching_reply
    return run_id


async def test_a_run_is_resumed_where_the_last_studio_left_it(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    run_id = await leave_unfinished(model, new_settings())
    assert recorded.finished == []
    assert model.tally.disconnects == 1
    async with running_studio(new_settings()) as studio:
        run = await studio.wait_for_end(run_id)
    assert run.status == "completed", run.error
    assert [event.run_id for event in recorded.resumed] == [run_id]
    assert model.tally.requests == 4  # copywriter, reviewer twice, optimizer: a step that is done is not repeated
    [finished] = recorded.finished
    assert usage_of(finished) == run.usage
    assert run.usage.prompt_tokens == model.tally.prompt_tokens


async def test_a_parallel_stage_is_resumed(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    run_id = await leave_unfinished(model, new_settings(), "campaign")
    async with running_studio(new_settings()) as studio:
        run = await studio.wait_for_end(run_id)
    assert run.status == "completed", run.error
    assert [step.name for step in run.steps] == ["strategist", "copywriter", "copywriter_2", "reviewer"]


async def test_a_queued_run_is_executed_after_the_next_start(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    model.behaviour = lambda _: stalls()
    async with running_studio(new_settings(concurrency=1)) as studio:
        busy = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        waiting = await studio.submit()
    assert [event.run_id for event in recorded.started] == [busy]
    model.behaviour = matching_reply
    async with running_studio(new_settings()) as studio:
        for run_id in (busy, waiting):
            assert (await studio.wait_for_end(run_id)).status == "completed"
    assert [event.run_id for event in recorded.resumed] == [busy]


async def store_without_queueing(settings: Settings, ahead: timedelta) -> None:
    """Store a run as a process whose clock is ahead, and which ends before the run is queued in DBOS."""
    database = Database(settings)
    await database.upgrade()
    async with database.session() as session, session.begin():
        brand = await brands.get_or_create(session, "Acme Audio")
        run = await runs.create(
            session,
            run_id="left-over",
            workflow_type="brand_identity",
            brand_id=brand.id,
            brief=BRIEF,
            idempotency_key=None,
        )
        run.queued_at += ahead
    await database.close()


async def test_a_run_stored_but_never_queued_is_queued_at_the_start(
    recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    settings = new_settings()
    await store_without_queueing(settings, timedelta(0))
    with workflow_requeued.captured() as requeued:
        async with running_studio(settings) as studio:
            assert requeued == [], "another process may be submitting it"
            run = await studio.wait_for_end("left-over")
    assert run.status == "completed"
    assert [(event.run_id, event.reason) for event in requeued] == [("left-over", "not_queued")]
    assert run.started_at is not None
    assert run.started_at - run.queued_at >= timedelta(seconds=backlog_events.ENQUEUE_TIMEOUT)


async def test_a_run_of_a_host_whose_clock_was_ahead_is_queued_too(
    recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    settings = new_settings()
    await store_without_queueing(settings, timedelta(days=1))
    async with running_studio(settings) as studio:
        assert (await studio.wait_for_end("left-over")).status == "completed"


async def test_a_run_is_resumed_although_the_file_of_dbos_is_lost(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, tmp_path: Path
) -> None:
    """The steps are stored with the run: a step that is done is not repeated."""
    run_id = await leave_unfinished(model, new_settings())
    (tmp_path / "studio.workflows.db").unlink()
    async with running_studio(new_settings()) as studio:
        run = await studio.wait_for_end(run_id)
    assert run.status == "completed", run.error
    assert model.tally.requests == 4


async def test_a_run_of_a_dead_process_is_taken_over(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, tmp_path: Path
) -> None:
    """Two studios ran on this machine; only one is started again."""
    first = executor_locks.acquire(tmp_path / "executors")
    run_id = await leave_unfinished(model, new_settings())
    first.release()
    async with running_studio(new_settings()) as studio:
        assert (await studio.wait_for_end(run_id)).status == "completed"


async def test_a_run_that_waits_to_be_resumed_can_be_cancelled(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """No process executes it, so there is nothing to wait for."""
    model.behaviour = lambda _: stalls()
    async with running_studio(new_settings(concurrency=2)) as studio:
        both = {await studio.submit(), await studio.submit()}
        await until(lambda: model.tally.requests == 2)
    async with running_studio(new_settings(concurrency=1)) as studio:
        await until(lambda: model.tally.requests == 3)
        [busy] = [event.run_id for event in recorded.resumed]
        [waiting] = both - {busy}
        async with asyncio.timeout(5):
            for run_id in (waiting, busy):
                assert (await studio.service.cancel(run_id)).status == "cancelled"


async def test_a_run_of_a_living_process_is_left_alone(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, tmp_path: Path
) -> None:
    run_id = await leave_unfinished(model, new_settings())
    alive = executor_locks.acquire(tmp_path / "executors")
    async with running_studio(new_settings()) as studio:
        other = await studio.wait_for_end(await studio.submit())
        assert other.status == "completed"
        assert (await studio.run(run_id)).status == "running"
    alive.release()
    assert recorded.resumed == []
    async with running_studio(new_settings()) as studio:
        await studio.wait_for_end(run_id)


async def test_a_run_of_another_machine_is_abandoned_after_its_time_limit(
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is unknown whether that process lives; a living one would have ended the run by now."""
    run_id = await leave_unfinished(model, new_settings())
    for lock in (tmp_path / "executors").iterdir():
        lock.unlink()
    with sqlite3.connect(tmp_path / "studio.workflows.db") as memory:
        memory.execute("UPDATE workflow_status SET executor_id = 'elsewhere-0'")
    async with running_studio(new_settings()) as studio:
        assert (await studio.run(run_id)).status == "running"
    monkeypatch.setattr(recovery, "_GRACE", timedelta(days=-1))
    async with running_studio(new_settings()) as studio:
        run = await studio.wait_for_end(run_id)
    assert run.status == "abandoned"
    [finished] = recorded.finished
    assert (finished.status, finished.error) == ("abandoned", "ProcessGone")
    assert finished.prompt_tokens == run.usage.prompt_tokens == 11


@pytest.mark.parametrize(
    ("dbos_status", "requeues", "status"),
    [
        ("CANCELLED", 3, "cancelled"),
        ("ERROR", 3, "completed"),
        ("ERROR", 0, "failed"),
        ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 1, "completed"),
        ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 0, "failed"),
        ("SUCCESS", 1, "completed"),
    ],
)
async def test_a_run_that_has_ended_for_dbos_is_queued_again_or_ends(  # noqa: PLR0917 - fixtures
    dbos_status: str,
    requeues: int,
    status: str,
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
) -> None:
    """A run that DBOS gave up is queued again, and the step that is done is not repeated."""
    run_id = await leave_unfinished(model, new_settings())
    with sqlite3.connect(new_settings().data_dir / "studio.workflows.db") as memory:
        memory.execute("UPDATE workflow_status SET status = ?", (dbos_status,))
    async with running_studio(new_settings(run_requeues=requeues)) as studio:
        run = await studio.wait_for_end(run_id)
    assert run.status == status, run.error
    assert run.requeues == (1 if status == "completed" else 0)
    if status == "completed":
        assert model.tally.requests == 4
    [finished] = recorded.finished
    assert finished.error_type == ("engine" if status == "failed" else None)
    if status == "failed":
        assert run.error is not None
        assert run.error.startswith("The workflow engine gave the run up")


@pytest.mark.parametrize("on_postgresql", [False, True], ids=["sqlite", "postgresql"])
async def test_a_raised_version_leaves_no_run_behind(  # noqa: PLR0917 - fixtures
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    on_postgresql: bool,
) -> None:
    """What is queued, and what is under way: finished steps are not repeated. And so on the way back."""
    more = {"database_url": new_migrated_postgres()} if on_postgresql else {}
    settings = new_settings(concurrency=1, sweep_interval=0.3, **more)
    for version in ("2", "1"):
        model.behaviour = replies_in_order(None, stalls())
        asked = model.tally.requests
        async with running_studio(settings) as studio:
            run_ids = [await studio.submit() for _ in range(3)]
            await until(lambda asked=asked: model.tally.requests >= asked + 2)  # type: ignore[misc]
        model.behaviour = matching_reply
        monkeypatch.setattr(dbos_client, "VERSION", version)
        async with running_studio(settings) as studio:
            for run_id in run_ids:
                run = await studio.wait_for_end(run_id)
                assert run.status == "completed", run.error
        assert model.tally.requests == asked + 3 * 3 + 1, "a finished step is not repeated"


async def test_a_run_of_another_version_stays_with_the_process_that_executes_it(
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another one of its version may be starting, or be busy."""
    run_id = await leave_unfinished(model, new_settings())
    for version in ("1", ""):  # a process of an earlier release names none
        alive = executor_locks.acquire(tmp_path / "executors", "other", version=version)
        monkeypatch.setattr(dbos_client, "VERSION", "2")
        async with running_studio(new_settings(sweep_interval=0.1)) as studio:
            other = await studio.wait_for_end(await studio.submit())
            assert (other.status, (await studio.run(run_id)).status) == ("completed", "running")
        alive.release()
    async with running_studio(new_settings(sweep_interval=0.1)) as studio:
        assert (await studio.wait_for_end(run_id)).status == "completed"


async def test_a_run_that_nobody_executes_is_moved_by_a_process_that_does(
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that serve the API alone, of two versions, would move it back and forth at each sweep."""
    url = new_migrated_postgres()
    serving = new_settings(database_url=url, role="api", sweep_interval=0.1)
    with workflow_requeued.captured() as requeued, workflow_backlog_read.captured() as read:
        async with running_studio(serving) as studio:
            run_id = await studio.submit()
        for version in ("2", "3", "2"):
            monkeypatch.setattr(dbos_client, "VERSION", version)
            seen = len(read)
            async with running_studio(serving):
                await until(lambda seen=seen: len(read) >= seen + 3)  # type: ignore[misc]
        assert requeued == []
        assert read[-2].queued_without_holder == 1
        async with running_studio(new_settings(database_url=url)) as studio:
            assert (await studio.wait_for_end(run_id)).status == "completed"
        assert [event.reason for event in requeued] == ["process_gone"]


async def test_runs_balance_however_often_the_studio_restarts(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """Whenever a stop interrupts, nothing is lost, done twice or emitted twice."""
    rng = random.Random(4)
    model.behaviour = lambda request: replace(matching_reply(request), delay=0.05)
    kinds = ("campaign", "product_content", "content_review")
    run_ids: list[str] = []
    for _ in range(8):
        async with running_studio(new_settings(concurrency=3)) as studio:
            run_ids += [await studio.submit(kind) for kind in kinds]
            await asyncio.sleep(rng.uniform(0, 1))  # the moment of the stop, not a wait for something
    async with running_studio(new_settings(concurrency=3)) as studio:
        for run_id in run_ids:
            run = await studio.wait_for_end(run_id, within=40)
            assert (run.status, {step.status for step in run.steps}) == ("completed", {"success"})
            [finished] = [event for event in recorded.finished if event.run_id == run_id]
            assert usage_of(finished) == run.usage


async def test_a_run_is_resumed_on_postgresql(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings, new_postgres: Callable[[], str]
) -> None:
    """DBOS has its tables in a schema of its own, beside the studio's."""
    settings = new_settings(database_url=new_postgres())
    run_id = await leave_unfinished(model, settings)
    async with running_studio(settings) as studio:
        run = await studio.wait_for_end(run_id)
        assert (run.status, [event.run_id for event in recorded.resumed]) == ("completed", [run_id])
        async with studio.database.session() as session:
            schemas = "SELECT table_schema FROM information_schema.tables WHERE table_name = '%s'"
            assert await session.scalar(text(schemas % "workflow_status")) == "dbos"
            assert await session.scalar(text(schemas % "runs")) == "public"
    assert model.tally.requests == 4
