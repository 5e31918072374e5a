"""The queue of runs has a limit, and submissions take turns where the database lets one write at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from threading import Event

import pytest
from sqlalchemy import func, select

from app.database import Run
from app.workflows.workflow_errors import QueueFull
from events import limit_reached
from tests.support.in_process_studio import BRIEF, NewSettings, RecordedEvents, matching_reply, running_studio
from tests.support.openai_server import OpenAIServer

pytestmark = pytest.mark.slow


async def test_a_run_past_the_limit_is_refused_and_not_stored(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """A repeated request has its place in the queue already; once a run has left it, there is room."""
    go_on = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=go_on)
    async with running_studio(new_settings(concurrency=1, max_queued=2)) as studio:
        first = await studio.submit()
        await studio.wait_for_status(first, ["running"])
        [second, third] = [(await studio.service.submit("campaign", "Acme", BRIEF, key)).id for key in ("b", "c")]
        with limit_reached.captured() as reached:
            for key in ("d", None):
                with pytest.raises(QueueFull, match="2 runs are queued"):
                    await studio.service.submit("campaign", "Acme", BRIEF, key)
            assert (await studio.service.submit("campaign", "Acme", BRIEF, "c")).id == third
        assert [event.limit for event in reached] == ["queued_runs"] * 2
        async with studio.database.session() as session:
            assert await session.scalar(select(func.count()).select_from(Run)) == 3
        go_on.set()
        await studio.wait_for_status(second, ["running", "completed"])
        fourth = await studio.submit()
        for run_id in (first, second, third, fourth):
            assert (await studio.wait_for_end(run_id)).status == "completed"


async def test_concurrent_submissions_all_get_their_turn_and_no_more_than_fit(
    model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    go_on = Event()
    model.behaviour = lambda request: replace(matching_reply(request), wait_for=go_on)
    async with running_studio(new_settings(concurrency=1, max_queued=40)) as studio:
        first = await studio.submit()
        await studio.wait_for_status(first, ["running"])
        outcomes = await asyncio.gather(*(studio.submit() for _ in range(60)), return_exceptions=True)
        assert Counter(type(outcome) for outcome in outcomes) == {str: 40, QueueFull: 20}
        for run_id in outcomes:
            if isinstance(run_id, str):
                await studio.service.cancel(run_id)
        go_on.set()
        assert (await studio.wait_for_end(first)).status == "completed"


async def test_a_step_whose_answer_is_too_long_to_be_stored_fails(
    recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """Its tokens are stored: they were paid for."""
    async with running_studio(new_settings(max_step_text=20)) as studio:
        with limit_reached.captured() as reached:
            run = await studio.wait_for_end(await studio.submit())
    [step] = run.steps
    assert (run.status, step.status, step.output) == ("failed", "error", None)
    assert "SPARKLIO_MAX_STEP_TEXT" in str(step.error)
    assert "SPARKLIO_MAX_STEP_TEXT" in str(run.error)
    assert step.usage.prompt_tokens > 0
    assert [event.limit for event in reached] == ["step_text"]
    assert [event.error_type for event in recorded.finished] == ["answer_too_long"]
