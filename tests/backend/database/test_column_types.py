"""Column types behave the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import JSON, bindparam, text

from app.database import Database
from app.database.repositories import attempts, runs
from tests.backend.database.rows import MOMENT, queue_run, save_step


async def test_timestamps_come_back_in_utc(database: Database) -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=-7)))
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id
        assert await runs.mark_running(session, run_id, elsewhere)
    async with database.session() as session:
        run = await runs.get(session, run_id)
    assert run is not None
    assert run.started_at == MOMENT
    assert run.started_at.tzinfo is UTC
    assert run.queued_at.tzinfo is UTC


async def test_a_timestamp_without_time_zone_is_refused(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id
    async with database.session() as session:
        with pytest.raises(Exception, match="no time zone"):
            await runs.mark_running(session, run_id, datetime(2030, 1, 1))  # noqa: DTZ001 - the promise under test


async def test_any_text_can_be_stored(database: Database) -> None:
    """NULs and lone surrogates come out of models and providers; a run must not fail on them."""
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id
        await save_step(
            session,
            run_id,
            error="a\x00b\ud800c",
            output={"text": "a\x00b\ud800c - 'ü' 🎧", "\udfffkey": ["\ud800", {"deep": "\udc00"}]},
        )
    async with database.session() as session:
        step = await attempts.get_step(session, run_id, "copywriter")
    assert step is not None
    assert (step.error, step.output) == (
        "ab?c",
        {"text": "a\x00b?c - 'ü' 🎧", "?key": ["?", {"deep": "?"}]},
    )


async def test_an_output_that_an_earlier_version_stored_can_be_answered_with(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id
        await save_step(session, run_id, output={"text": "a"})
        earlier = text("UPDATE steps SET output = :output").bindparams(bindparam("output", type_=JSON))
        await session.execute(earlier, {"output": {"text": "a\ud800b"}})
    async with database.session() as session:
        step = await attempts.get_step(session, run_id, "copywriter")
    assert step is not None
    assert step.output == {"text": "a?b"}
