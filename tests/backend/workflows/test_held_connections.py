"""No agent and no workflow of the studio holds a database connection during a model call."""

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

pytestmark = pytest.mark.slow

MODEL_SECONDS = 1.0  # seconds that a model call takes here


def replies_late(request: ChatRequest) -> Reply:
    """Reply after the time that a model takes."""
    return replace(matching_reply(request), delay=MODEL_SECONDS)


@pytest.mark.parametrize("workflow_type", ["product_content", "brand_identity", "content_review", "campaign"])
async def test_no_connection_is_held_across_a_model_call(
    workflow_type: str, model: OpenAIServer, recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """The longest time that a connection is held idle is far below one model call."""
    model.behaviour = replies_late
    async with running_studio(new_settings()) as studio:
        with instrument(studio.database.engine, metadata=Base.metadata), connection_released.captured() as released:
            run = await studio.wait_for_end(await studio.submit(workflow_type))
            assert run.status == "completed", run.error
    holds = [event for event in released if event.scope in ("agent", "workflow")]
    assert {event.scope for event in holds} == {"agent", "workflow"}
    assert min(call.duration or 0.0 for call in recorded.calls) >= MODEL_SECONDS
    assert max(event.idle for event in holds if event.idle is not None) < MODEL_SECONDS / 2


async def test_a_connection_that_is_held_is_detected_and_attributed(
    model: OpenAIServer, new_settings: NewSettings
) -> None:
    """The same measurement detects an agent that does hold one."""
    async with running_studio(new_settings()) as studio:
        with (
            instrument(studio.database.engine, metadata=Base.metadata),
            connection_released.captured() as released,
            agent_run(agent_name="copywriter"),
        ):
            async with studio.database.session() as session:
                await session.connection()
                await asyncio.to_thread(Event().wait, MODEL_SECONDS)
    [held] = [event for event in released if event.agent_name == "copywriter"]
    assert held.scope == "agent"
    assert held.idle is not None
    assert held.idle >= MODEL_SECONDS * 0.9
