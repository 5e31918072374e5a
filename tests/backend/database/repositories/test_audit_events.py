"""Events of the audit trail are stored once, and deleted by age, the oldest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from app.database import Database
from app.database.models import AuditEvent
from app.database.repositories import audit_events
from tests.backend.database.rows import MOMENT


def row(number: int, **more: Any) -> dict[str, Any]:
    record = {"schema": 1, "signal": "tool_called", "time": 1.0, "fields": {"tool_name": "search"}}
    return {
        "id": f"p-{number:09}",
        "time": MOMENT + timedelta(seconds=number),
        "process": "p",
        "signal": "tool_called",
        "run_id": None,
        "workflow_type": None,
        "agent_name": "writer",
        "record": record,
        **more,
    }


async def stored(database: Database) -> list[AuditEvent]:
    async with database.session() as session:
        return list(await session.scalars(select(AuditEvent).order_by(AuditEvent.id)))


async def test_an_event_that_is_stored_again_has_one_row_and_stays_as_it_is(database: Database) -> None:
    async with database.writing() as session:
        await audit_events.add(session, [row(1), row(2)])
    async with database.writing() as session:
        await audit_events.add(session, [row(2, agent_name="other"), row(3, run_id="r-1")])
    rows = await stored(database)
    assert [(each.id, each.agent_name, each.run_id) for each in rows] == [
        ("p-000000001", "writer", None),
        ("p-000000002", "writer", None),
        ("p-000000003", "writer", "r-1"),
    ]
    assert rows[0].record == row(1)["record"]
    assert rows[0].time == MOMENT + timedelta(seconds=1)


async def test_texts_that_a_database_refuses_are_stored_without_what_it_refuses(database: Database) -> None:
    async with database.writing() as session:
        record = {"schema": 1, "signal": "tool_called", "time": 1.0, "fields": {"tool_name": "a\x00b"}}
        await audit_events.add(session, [row(1, run_id="r\x00", agent_name="\ud800", record=record)])
    [one] = await stored(database)
    assert (one.run_id, one.agent_name) == ("r", "?")
    assert one.record["fields"]["tool_name"] == "a\x00b"


async def test_the_oldest_are_deleted_first_and_no_more_than_asked(database: Database) -> None:
    async with database.writing() as session:
        await audit_events.add(session, [row(number) for number in (5, 3, 1, 2, 4)])
    cutoff = MOMENT + timedelta(seconds=4)
    for left in ([3, 4, 5], [4, 5], [4, 5]):
        async with database.writing() as session:
            deleted = await audit_events.delete_before(session, cutoff, 2)
        assert [int(each.id[2:]) for each in await stored(database)] == left
    assert deleted == 0
    async with database.session() as session:
        assert await audit_events.first_time(session) == cutoff


async def test_an_empty_trail_has_no_first_time(database: Database) -> None:
    async with database.session() as session:
        assert await audit_events.first_time(session) is None
