"""However a run ends, its rows, its events and the model server's counts agree."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from app.workflows.workflow_errors import IdempotencyConflict, RunAlreadyEnded, RunNotFound, WorkflowNotFound
from tests.support.in_process_studio import (
    BRIEF,
    NewSettings,
    RecordedEvents,
    matching_reply,
    replies_in_order,
    running_studio,
    usage_of,
)
from tests.support.openai_server import OpenAIServer, fails, sends, stalls
from tests.support.postgresql import set_default
from tests.support.wait import until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workflow_type", ["product_content", "brand_identity", "content_review", "campaign"])
async def test_the_events_of_a_run_agree_with_its_rows_and_the_model_server(
    workflow_type: str, model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """Tokens from three sources: the steps' rows, the event and the model server."""
    async with running_studio(new_settings()) as studio:
        run = await studio.wait_for_end(await studio.submit(workflow_type))
        assert run.status == "completed", run.error
        assert run.output is not None
        assert run.output["text"]
        assert {step.status for step in run.steps} == {"success"}
        assert [step.position for step in run.steps] == list(range(len(run.steps)))

    [started], [finished] = recorded.started, recorded.finished
    assert (started.workflow_type, finished.workflow_type) == (workflow_type, workflow_type)
    assert (finished.run_id, finished.status, finished.error) == (run.id, "completed", "")
    assert usage_of(finished) == run.usage
    tally = model.tally
    assert run.usage.llm_calls == tally.requests
    assert (run.usage.prompt_tokens, run.usage.completion_tokens) == (tally.prompt_tokens, tally.completion_tokens)
    assert started.queue_wait is not None
    assert finished.duration > 0
    assert {call.run_id for call in recorded.calls} == {run.id}
    assert {call.workflow_type for call in recorded.calls} == {workflow_type}


@pytest.mark.parametrize(
    "answer", [fails(500, "out of order"), sends(b"<html>rubbish</html>"), sends(b"{}")], ids=["500", "html", "empty"]
)
async def test_a_model_that_fails_ends_the_run_with_the_reason(
    answer: object, model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """The next run is not affected."""
    model.behaviour = replies_in_order(None, answer, answer, answer)  # type: ignore[arg-type]  # answers, as parametrized
    async with running_studio(new_settings()) as studio:
        run = await studio.wait_for_end(await studio.submit())
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.startswith("reviewer: ")
        assert "\n" not in run.error
        assert [(step.name, step.status) for step in run.steps] == [("copywriter", "success"), ("reviewer", "error")]
        assert run.output is None
        model.behaviour = matching_reply
        assert (await studio.wait_for_end(await studio.submit())).status == "completed"

    assert [event.status for event in recorded.finished] == ["failed", "completed"]
    assert recorded.finished[0].error == "AgentFailed"
    assert recorded.finished[0].prompt_tokens == run.usage.prompt_tokens


async def test_a_model_that_cannot_be_reached_ends_the_run_with_the_reason(
    recorded: RecordedEvents, new_settings: NewSettings, free_port: Callable[[], int]
) -> None:
    async with running_studio(new_settings(llm_base_url=f"http://127.0.0.1:{free_port()}/v1")) as studio:
        run = await studio.wait_for_end(await studio.submit())
    assert run.status == "failed"
    assert [(step.name, step.status) for step in run.steps] == [("copywriter", "error")]
    assert [event.error_type for event in recorded.finished] == ["connection"]
    assert run.error


async def test_a_model_call_past_its_limit_is_a_timeout_of_the_step(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    model.behaviour = replies_in_order(stalls(), stalls(), stalls())
    async with running_studio(new_settings(llm_timeout=0.3)) as studio:
        run = await studio.wait_for_end(await studio.submit())
    assert run.status == "failed"
    assert [(step.name, step.status) for step in run.steps] == [("copywriter", "timeout")]


async def test_when_one_of_two_parallel_steps_fails_the_other_is_stopped_and_stored(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """No model call goes on after its run has ended."""
    model.behaviour = replies_in_order(None, stalls(), fails(500))
    async with running_studio(new_settings()) as studio:
        run = await studio.wait_for_end(await studio.submit("campaign"))
        assert run.status == "failed"
        assert run.steps[0].status == "success"
        assert sorted(step.status for step in run.steps[1:]) == ["cancelled", "error"]
        await until(lambda: model.tally.disconnects == 1)
    assert sorted(call.status for call in recorded.calls) == ["cancelled", "error", "success"]


async def test_cancelling_a_run_stops_its_model_call_and_stores_its_tokens(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    model.behaviour = replies_in_order(None, stalls())
    async with running_studio(new_settings()) as studio:
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 2)
        run = await studio.service.cancel(run_id)
        assert run.status == "cancelled"
        assert [(step.name, step.status) for step in run.steps] == [
            ("copywriter", "success"),
            ("reviewer", "cancelled"),
        ]
        await until(lambda: model.tally.disconnects == 1)
        with pytest.raises(RunAlreadyEnded, match="is cancelled"):
            await studio.service.cancel(run_id)
        model.behaviour = matching_reply
        # The place of the cancelled run in the queue is free.
        assert (await studio.wait_for_end(await studio.submit())).status == "completed"
    [cancelled, _] = recorded.finished
    assert cancelled.status == "cancelled"
    assert cancelled.prompt_tokens == run.usage.prompt_tokens == 11
    assert cancelled.completion_tokens == run.usage.completion_tokens == 7


async def test_cancelling_a_parallel_stage_stops_both_calls(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    model.behaviour = replies_in_order(None, stalls(), stalls())
    async with running_studio(new_settings()) as studio:
        run_id = await studio.submit("campaign")
        await until(lambda: model.tally.requests == 3)
        run = await studio.service.cancel(run_id)
        assert [step.status for step in run.steps] == ["success", "cancelled", "cancelled"]
        await until(lambda: model.tally.disconnects == 2)


async def test_a_run_cancelled_in_the_queue_never_asks_the_model(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """Its start and its end are emitted: as many runs end as start."""
    model.behaviour = lambda _: stalls()
    async with running_studio(new_settings(concurrency=1)) as studio:
        busy = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        waiting = await studio.submit()
        run = await studio.service.cancel(waiting)
        assert (run.status, run.steps) == ("cancelled", [])
        await studio.service.cancel(busy)
    assert model.tally.requests == 1
    assert [event.run_id for event in recorded.finished] == [waiting, busy]
    assert recorded.finished[0].duration == 0


async def test_a_run_cancelled_twice_at_the_same_time_ends_once(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    model.behaviour = lambda _: stalls()
    async with running_studio(new_settings()) as studio:
        run_id = await studio.submit()
        await until(lambda: model.tally.requests == 1)
        both = await asyncio.gather(*(studio.service.cancel(run_id) for _ in range(2)))
        assert {run.status for run in both} == {"cancelled"}
    assert len(recorded.finished) == 1


async def test_a_run_past_its_time_limit_fails_and_its_model_call_stops(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    model.behaviour = replies_in_order(None, stalls())
    async with running_studio(new_settings(run_time_limit=1.0)) as studio:
        run = await studio.wait_for_end(await studio.submit())
        await until(lambda: model.tally.disconnects == 1)
    assert run.status == "failed"
    assert run.error is not None
    assert "time limit of 1 seconds" in run.error
    assert "SPARKLIO_RUN_TIME_LIMIT" in run.error
    assert [step.status for step in run.steps] == ["success", "cancelled"]
    [finished] = recorded.finished
    assert (finished.status, finished.error, finished.prompt_tokens) == ("failed", "TimeLimitPassed", 11)
    assert (finished.error_type, finished.waste_reason) == ("time_limit", "failed")


async def test_no_more_runs_are_executed_at_the_same_time_than_the_settings_say(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    model.behaviour = lambda _: stalls()
    async with running_studio(new_settings(concurrency=2)) as studio:
        run_ids = [await studio.submit() for _ in range(4)]
        await until(lambda: model.tally.requests == 2)
        assert sorted([(await studio.run(run_id)).status for run_id in run_ids]) == ["queued"] * 2 + ["running"] * 2
        for run_id in run_ids:
            await studio.service.cancel(run_id)
    assert len(recorded.finished) == 4


async def test_a_repeated_idempotency_key_gives_the_first_run(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    async with running_studio(new_settings()) as studio:
        answers = await asyncio.gather(
            *(studio.service.submit("brand_identity", "Acme Audio", BRIEF, "key-1") for _ in range(3))
        )
        [run_id] = {run.id for run in answers}
        with pytest.raises(IdempotencyConflict, match="key-1"):
            await studio.service.submit("brand_identity", "Acme Audio", {**BRIEF, "product": "amplifier"}, "key-1")
        await studio.wait_for_end(run_id)
        again = await studio.service.submit("brand_identity", "Acme Audio", BRIEF, "key-1")
        assert (again.id, again.status) == (run_id, "completed")
    assert len(recorded.finished) == 1


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_isolation", "repeatable read"),
        ("datestyle", "German, DMY"),
        ("client_encoding", "LATIN1"),
        ("timezone", "Pacific/Auckland"),
        ("lock_timeout", "50ms"),
    ],
)
async def test_keys_of_requests_at_once_give_a_run_each_whatever_sessions_of_the_database_have_as_default(
    parameter: str,
    value: str,
    recorded: RecordedEvents,
    new_settings: NewSettings,
    new_migrated_postgres: Callable[[], str],
) -> None:
    url = new_migrated_postgres()
    set_default(url, parameter, value)
    async with running_studio(new_settings(database_url=url)) as studio:
        keys = [f"key-{number % 4}" for number in range(32)]
        answers = await asyncio.gather(
            *(studio.service.submit("product_content", "Acmé 한국", BRIEF, key) for key in keys)
        )
        runs = {run.id for run in answers}
        assert len(runs) == 4
        for run_id in runs:
            assert (await studio.wait_for_end(run_id)).status == "completed"


async def test_the_errors_of_unknown_workflows_and_runs_say_what_to_do(
    recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    async with running_studio(new_settings()) as studio:
        with pytest.raises(WorkflowNotFound, match="brand_identity, campaign, content_review, product_content"):
            await studio.submit("nonsense")
        with pytest.raises(RunNotFound, match="no-such-run"):
            await studio.service.cancel("no-such-run")


async def test_runs_cancelled_at_any_moment_balance(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """Whenever a cancellation interrupts, each run ends once, and its event has the usage of its rows."""
    rng = random.Random(2)
    async with running_studio(new_settings(concurrency=4)) as studio:

        async def one(workflow_type: str, delay: float) -> None:
            run_id = await studio.submit(workflow_type)
            await asyncio.sleep(delay)  # the moment of the cancellation; nothing is waited for
            with suppress(RunAlreadyEnded):
                await studio.service.cancel(run_id)
            run = await studio.wait_for_end(run_id)
            [finished] = [event for event in recorded.finished if event.run_id == run_id]
            assert finished.status == run.status
            assert usage_of(finished) == run.usage

        kinds = ("campaign", "product_content", "brand_identity")
        await asyncio.gather(*(one(kinds[i % 3], rng.uniform(0, 4)) for i in range(40)))
    statuses = {event.status for event in recorded.finished}
    assert statuses <= {"completed", "cancelled"}
    assert len(recorded.finished) == 40
