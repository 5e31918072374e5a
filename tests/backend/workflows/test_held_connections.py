"""No agent and no workflow of the studio keeps a database connection while a model thinks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from threading import Event

import pytest

from app.database import Base
from events import agent_run, connection_released
from events.bridges.sqlalchemy import instrument
from tests.support.in_process_studio import NewSettings, RecordedEvents, matching_reply, running_studio
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply

THINKING = 0.4  # seconds that a model call takes here


def thinks(request: ChatRequest) -> Reply:
    """Take the time of a model."""
    return replace(matching_reply(request), delay=THINKING)


@pytest.mark.parametrize("workflow_type", ["product_content", "brand_identity", "content_review", "campaign"])
async def test_no_connection_is_held_across_a_model_call(
    workflow_type: str, model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """The longest idle hold stays far under one model call."""
    model.behaviour = thinks
    async with running_studio(new_settings()) as studio:
        with instrument(studio.database.engine, metadata=Base.metadata), connection_released.captured() as released:
            run = await studio.wait_for_end(await studio.submit(workflow_type))
            assert run.status == "completed", run.error
    holds = [event for event in released if event.scope in ("agent", "workflow")]
    assert {event.scope for event in holds} == {"agent", "workflow"}
    assert min(call.duration for call in recorded.calls) >= THINKING
    assert max(event.idle for event in holds if event.idle is not None) < THINKING / 2


async def test_one_that_is_held_would_be_seen_and_named(model: OpenAIServer, new_settings: NewSettings) -> None:
    """The same measure, on an agent that does it."""
    async with running_studio(new_settings()) as studio:
        with (
            instrument(studio.database.engine, metadata=Base.metadata),
            connection_released.captured() as released,
            agent_run(agent_name="copywriter"),
        ):
            async with studio.database.session() as session:
                await session.connection()
                await asyncio.to_thread(Event().wait, THINKING)
    [held] = [event for event in released if event.agent_name == "copywriter"]
    assert held.scope == "agent"
    assert held.idle is not None
    assert held.idle >= THINKING * 0.9
