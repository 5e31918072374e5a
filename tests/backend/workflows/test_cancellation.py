"""A run is cancelled through another process, or while one that is suspended holds its row."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Event

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.settings import Settings
from app.workflows import dbos_client, dbos_pace, notices
from app.workflows.executor import CANCELLATION_CHECK
from tests.support.in_process_studio import (
    NewSettings,
    RecordedEvents,
    matching_reply,
    running_studio,
    usage_of,
)
from tests.support.openai_server import OpenAIServer
from tests.support.run_metrics import RunMetrics
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def settings(new_settings: NewSettings, new_migrated_postgres: Callable[[], str]) -> Settings:
    return new_settings(database_url=new_migrated_postgres())


async def test_the_process_that_executes_a_run_is_told_of_its_cancellation(  # noqa: PLR0917 - fixtures
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It does not wait until it looks for one."""
    caplog.set_level("INFO", "app.workflows")
    monkeypatch.setattr("app.workflows.executor.CANCELLATION_CHECK", 600.0)
    model.behaviour = lambda request: replace(matching_reply(request), delay=600.0)
    async with running_studio(settings) as studio:
        await until(lambda: dbos_pace.queue.is_listening)
        run_id, other = [await studio.submit() for _ in range(2)]
        await until(lambda: model.tally.requests == 2)
        await dbos_client.cancel(run_id)  # as another process does
        notices.tell_cancelled(studio.service.dbos_engine, run_id)
        run = await studio.wait_for_end(run_id)
        assert (run.status, [step.status for step in run.steps]) == ("cancelled", ["cancelled"])
        [finished] = recorded.finished
        assert usage_of(finished) == run.usage
        assert f"run {run_id} was cancelled by another process" in caplog.text
        assert (await studio.run(other)).status == "running"
        run_metrics.assert_balanced(active=1)
        await studio.service.cancel(other)
    assert model.tally.requests == 2


async def test_a_cancellation_whose_notice_is_lost_is_found(
    model: OpenAIServer, run_metrics: RunMetrics, settings: Settings
) -> None:
    model.behaviour = lambda request: replace(matching_reply(request), delay=600.0)
    async with running_studio(settings) as studio:
        run_id, other = [await studio.submit() for _ in range(2)]
        await until(lambda: model.tally.requests == 2)
        await dbos_client.cancel(run_id)
        run = await studio.wait_for_end(run_id)
        assert (run.status, [step.status for step in run.steps]) == ("cancelled", ["cancelled"])
        assert (await studio.run(other)).status == "running"
        run_metrics.assert_balanced(active=1)
        await studio.service.cancel(other)


@pytest.mark.parametrize("with_notice", [True, False])
async def test_an_answer_that_came_before_the_cancellation_was_found_is_paid(
    model: OpenAIServer, recorded: RecordedEvents, settings: Settings, with_notice: bool
) -> None:
    """As in a process that was suspended meanwhile: it finds the answer, the notice and its own look due at once."""
    may_answer = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=may_answer)
    async with running_studio(settings) as studio:
        await until(lambda: dbos_pace.queue.is_listening)
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        await dbos_client.cancel(run_id)
        if with_notice:
            notices.tell_cancelled(studio.service.dbos_engine, run_id)
        may_answer.set()
        while not model.tally.completed:
            time.sleep(0.01)  # noqa: ASYNC251  # nothing runs here
        time.sleep(1.2 * CANCELLATION_CHECK)  # noqa: ASYNC251  # until it looks
        run = await studio.wait_for_end(run_id)
        assert (run.status, [step.status for step in run.steps]) == ("cancelled", ["cancelled"])
        assert run.usage.completion_tokens > 0
        [finished] = recorded.finished
        assert usage_of(finished) == run.usage
    assert model.tally.requests == 1


async def test_a_run_is_cancelled_whose_row_a_suspended_process_holds(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, settings: Settings
) -> None:
    """PostgreSQL ends the transaction, which idles; nothing else would before the process goes on."""
    model.behaviour = lambda request: replace(matching_reply(request), delay=600.0)
    async with running_studio(settings) as studio:
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        with suppress(SQLAlchemyError):  # the connection is gone when it is to be used again
            async with studio.database.session() as session:
                await session.execute(text("SELECT FROM runs WHERE id = :id FOR UPDATE"), {"id": run_id})
                assert (await studio.service.cancel(run_id)).status == "cancelled"
                with pytest.raises(SQLAlchemyError):
                    await session.commit()
        run_metrics.assert_balanced()
    assert len(recorded.finished) == 1
