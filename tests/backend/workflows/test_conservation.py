"""Started runs are ended or active, at any quiet moment and for every workflow."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from dbos._sys_db import SystemDatabase
from prometheus_client import CollectorRegistry

from app.workflows import dbos_client, recovery
from app.workflows.definitions import WORKFLOWS
from app.workflows.workflow_errors import RunAlreadyEnded
from events import workflow_released, workflow_step_finished
from metrics import CATALOGUE, subscribe
from tests.support.in_process_studio import (
    InProcessStudio,
    NewSettings,
    RecordedEvents,
    matching_reply,
    replies_in_order,
    running_studio,
)
from tests.support.openai_server import OpenAIServer, fails, says, stalls
from tests.support.run_metrics import RunMetrics
from tests.support.samples import samples
from tests.support.wait import until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workflow_type", WORKFLOWS)
async def test_counts_add_up_however_runs_end(
    workflow_type: str,
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
) -> None:
    """Completed, failed, timed out, cancelled while running and cancelled in the queue."""
    async with running_studio(new_settings(concurrency=1)) as studio:
        await studio.wait_for_end(await studio.submit(workflow_type))
        run_metrics.assert_balanced()
        model.behaviour = fails(400)
        await studio.wait_for_end(await studio.submit(workflow_type))
        run_metrics.assert_balanced()
    async with running_studio(new_settings(concurrency=1, run_time_limit=1.0)) as studio:
        model.behaviour = stalls()
        await studio.wait_for_end(await studio.submit(workflow_type))
        run_metrics.assert_balanced()
    async with running_studio(new_settings(concurrency=1)) as studio:
        asked = model.tally.requests
        run_id = await studio.submit(workflow_type)
        await until(lambda: model.tally.requests > asked)
        waiting = await studio.submit(workflow_type)
        run_metrics.assert_balanced(active=1)
        for one in (waiting, run_id):
            await studio.service.cancel(one)
        run_metrics.assert_balanced()
    ends = {
        labels["status"]: v
        for labels, v in samples(run_metrics.registry, "workflows_total")
        if labels["workflow_type"] == workflow_type and v
    }
    assert ends == {"completed": 1, "failed": 2, "cancelled": 2}


async def test_a_studio_that_stops_releases_its_runs(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, new_settings: NewSettings
) -> None:
    """They are not active until the next start; then they are active again, and end once."""
    model.behaviour = replies_in_order(None, stalls())
    with workflow_released.captured() as released:
        async with running_studio(new_settings()) as studio:
            run_id = await studio.submit()
            await until(lambda: model.tally.requests == 2)
            run_metrics.assert_balanced(active=1)
    assert [event.run_id for event in released] == [run_id]
    assert run_metrics.total("active_workflows", "product_content") == 0
    model.behaviour = matching_reply
    async with running_studio(new_settings()) as studio:
        assert (await studio.wait_for_end(run_id)).status == "completed"
        run_metrics.assert_balanced()


async def take_over(studio: InProcessStudio, model: OpenAIServer) -> str:
    """Queue a run again, as another process does that takes it over, while its first execution waits for the model."""
    model.behaviour = replies_in_order(None, says("Hear the music.", delay=0.5))
    run_id = await studio.submit("brand_identity")
    await until(lambda: model.tally.requests == 2)
    assert await dbos_client.requeue(run_id, dbos_client._executor_id)
    return run_id


async def test_a_run_that_is_taken_over_is_released_by_its_living_process(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, new_settings: NewSettings
) -> None:
    with workflow_released.captured() as released:
        async with running_studio(new_settings()) as studio:
            run_id = await take_over(studio, model)
            assert (await studio.wait_for_end(run_id)).status == "completed"
            await until(lambda: len(released) == 1)
            run_metrics.assert_balanced()
    assert [event.run_id for event in recorded.resumed] == [run_id]


@pytest.mark.parametrize("has_own_way", [True, False], ids=["DBOS's own statement", "without it"])
async def test_a_run_is_taken_from_the_executor_that_it_was_judged_by_alone(
    model: OpenAIServer,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    monkeypatch: pytest.MonkeyPatch,
    has_own_way: bool,
) -> None:
    """Two processes that find the same executor gone do not both queue its run."""
    model.behaviour = lambda _: says("Hear the music.", delay=0.5)
    async with running_studio(new_settings()) as studio:
        run_id = await studio.submit("brand_identity")
        await until(lambda: model.tally.requests == 1)
        if not has_own_way:
            monkeypatch.setattr(dbos_client, "_dbos", None)
        assert not await dbos_client.requeue(run_id, "elsewhere-0")
        assert await dbos_client.requeue(run_id, dbos_client._executor_id)
        assert not await dbos_client.requeue("nobody's", dbos_client._executor_id)
        await studio.wait_for_end(run_id)


def test_dbos_has_the_statement_that_takes_a_run_from_one_executor() -> None:
    statement = inspect.signature(SystemDatabase.reenqueue_for_recovery)
    assert [*statement.parameters] == ["self", "workflow_id", "executor_ids", "recovery_queue_name"]


async def test_a_step_that_ends_as_its_run_is_cancelled_elsewhere_ends_the_run_as_cancelled(  # noqa: PLR0917 - fixtures
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """DBOS says that another process has taken the run over."""
    caplog.set_level("INFO", "app.workflows")
    monkeypatch.setattr("app.workflows.executor.CANCELLATION_CHECK", 600.0)
    answer = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=answer)
    async with running_studio(new_settings()) as studio:
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        await dbos_client.cancel(run_id)
        answer.set()
        assert (await studio.wait_for_end(run_id)).status == "cancelled"
        run_metrics.assert_balanced()
    assert f"run {run_id} was cancelled by another process" in caplog.text
    assert "taken over" not in caplog.text
    assert model.tally.requests == 1


async def test_a_run_of_a_dead_process_is_abandoned_and_counted(
    model: OpenAIServer,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model.behaviour = replies_in_order(None, stalls())
    async with running_studio(new_settings()) as studio:
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 2)
    for lock in (new_settings().data_dir / "executors").iterdir():
        lock.unlink()
    with sqlite3.connect(new_settings().data_dir / "studio.workflows.db") as memory:
        memory.execute("UPDATE workflow_status SET executor_id = 'elsewhere-0'")
    monkeypatch.setattr(recovery, "_GRACE", timedelta(days=-1))
    async with running_studio(new_settings()) as studio:
        assert (await studio.wait_for_end(run_id)).status == "abandoned"
        run_metrics.assert_balanced()
    wasted_tokens = [
        v
        for labels, v in samples(run_metrics.registry, "workflow_tokens_total")
        if labels == {"workflow_type": "product_content", "outcome": "wasted"}
    ]
    assert wasted_tokens == [18]  # of the one step that was done: 11 prompt tokens, 7 completion tokens


async def test_what_a_run_spent_is_useful_unless_its_reviewer_rejects_the_work(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, new_settings: NewSettings
) -> None:
    """They are counted when the run ends, not before."""
    model.behaviour = reviewed("approved")
    async with running_studio(new_settings()) as studio:
        await studio.wait_for_end(await studio.submit("brand_identity"))
        model.behaviour = reviewed("rejected")
        await studio.wait_for_end(await studio.submit("brand_identity"))
    tokens = {
        labels["outcome"]: v
        for labels, v in samples(run_metrics.registry, "workflow_tokens_total")
        if labels["workflow_type"] == "brand_identity"
    }
    assert tokens == {"useful": 3 * 18, "wasted": 3 * 18}
    verdicts = {labels["verdict"]: v for labels, v in samples(run_metrics.registry, "agent_review_verdicts_total") if v}
    assert verdicts == {"approved": 1, "rejected": 1}


def reviewed(verdict: str) -> Callable[[Any], Any]:
    """Return a behaviour of the server that replies to reviewers with this verdict."""

    def choose(request: Any) -> Any:
        answer = matching_reply(request)
        if not answer.tool_calls:
            return answer
        [(name, _)] = answer.tool_calls
        return type(answer)(tool_calls=((name, {"verdict": verdict}),))

    return choose


async def test_steps_are_emitted_as_they_are_stored(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, new_settings: NewSettings
) -> None:
    model.behaviour = replies_in_order(None, stalls(), fails(400))
    with workflow_step_finished.captured() as steps:
        async with running_studio(new_settings()) as studio:
            run = await studio.wait_for_end(await studio.submit("campaign"))
    assert sorted((event.step, event.status) for event in steps) == sorted((s.name, s.status) for s in run.steps)
    assert {event.run_id for event in steps} == {run.id}
    assert [event.duration for event in sorted(steps, key=lambda event: event.step)] == pytest.approx(
        [step.duration for step in sorted(run.steps, key=lambda step: step.name)]
    )


async def test_the_oldest_run_is_as_old_as_its_row_says(
    model: OpenAIServer, recorded: RecordedEvents, run_metrics: RunMetrics, new_settings: NewSettings
) -> None:
    """It is read at each render: it grows from one to the next, and is 0 when nothing runs."""
    model.behaviour = stalls()
    registry = CollectorRegistry()

    def oldest(kind: str) -> float:
        return registry.get_sample_value("sparklio_workflow_oldest_active_seconds", {"workflow_type": kind}) or 0.0

    with subscribe(
        CATALOGUE, registry, namespace="sparklio", label_values={"workflow_type": WORKFLOWS}
    ) as subscription:
        async with running_studio(new_settings()) as studio:
            subscription.poll(studio.service.emit_oldest_runs)
            assert oldest("campaign") == 0
            run_id = await studio.submit("campaign")
            await until(lambda: model.tally.requests == 1)
            first = oldest("campaign")
            assert 0 < first < 20
            await until(lambda: oldest("campaign") > first)
            assert oldest("product_content") == 0
            with suppress(RunAlreadyEnded):
                await asyncio.wait_for(studio.service.cancel(run_id), 15)
            assert oldest("campaign") == 0
