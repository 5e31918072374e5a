"""Runs that ended long ago are deleted with all that belongs to them, in small batches; the counters stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from app.database import Database, Run, Step, retention_schedule
from app.database.models import Attempt
from app.database.repositories import runs
from app.workflows import dbos_client, retention
from events import rows_expired
from tests.backend.database.rows import queue_run, save_step
from tests.support.in_process_studio import NewSettings, RecordedEvents, running_studio
from tests.support.run_metrics import RunMetrics


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_schedule, "PAUSE", 0)


async def end_run(database: Database, age: timedelta | None) -> str:
    """Store a run with a step that ended so long ago, or has not ended, and return its id."""
    async with database.session() as session, session.begin():
        run = await queue_run(session)
        await save_step(session, run.id)
        if age is not None:
            await runs.mark_finished(session, run.id, "completed", None, None, datetime.now(UTC) - age)
    return run.id


async def counts(database: Database) -> tuple[int, ...]:
    """Return the numbers of runs, steps and attempts."""
    async with database.session() as session:
        numbers = [await session.scalar(select(func.count()).select_from(model)) for model in (Run, Step, Attempt)]
    return tuple(number or 0 for number in numbers)


async def test_what_ended_long_ago_is_deleted_batch_by_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)

    async def nothing_in_the_engine(_cutoff: datetime, _limit: int) -> int:
        return 0

    monkeypatch.setattr(dbos_client, "delete_ended_before", nothing_in_the_engine)
    for _ in range(5):
        await end_run(database, timedelta(days=91))
    kept = {await end_run(database, timedelta(days=89)), await end_run(database, None)}
    with rows_expired.captured() as expired:
        await retention.delete_expired(database, 90)
    assert await counts(database) == (2, 2, 2)
    async with database.session() as session:
        assert set(await session.scalars(select(Run.id))) == kept
    rows: Counter[str] = Counter()
    for event in expired:
        rows[event.resource] += event.rows
        assert event.rows <= 2
    assert rows == {"runs": 5, "steps": 5, "attempts": 5}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
async def test_the_engines_rows_go_as_well_and_the_counters_stay(
    where: str,
    recorded: RecordedEvents,
    run_metrics: RunMetrics,
    new_settings: NewSettings,
    request: pytest.FixtureRequest,
) -> None:
    more = {}
    if where == "postgresql":
        create: Callable[[], str] = request.getfixturevalue("new_postgres")
        more = {"database_url": create()}
    async with running_studio(new_settings(**more)) as studio:
        old, young = await studio.submit(), await studio.submit()
        for run_id in (old, young):
            assert (await studio.wait_for_end(run_id)).status == "completed"
        long_ago = datetime.now(UTC) - timedelta(days=100)
        async with studio.database.session() as session, session.begin():
            await session.execute(update(Run).where(Run.id == old).values(finished_at=long_ago))
        prefix = "" if where == "sqlite" else "dbos."
        with studio.service.dbos_engine.begin() as connection:
            connection.execute(
                text(f"UPDATE {prefix}workflow_status SET completed_at = :moment WHERE workflow_uuid = :run"),
                {"moment": int(long_ago.timestamp() * 1000), "run": old},
            )
        with rows_expired.captured() as expired:
            await retention.delete_expired(studio.database, 90)
        assert {event.resource: event.rows for event in expired} == {
            "runs": 1, "steps": 3, "attempts": 3, "workflows": 1
        }  # fmt: skip
        assert set(await dbos_client.get_statuses([old, young])) == {young}
        assert (await studio.run(young)).status == "completed"
        assert run_metrics.total("workflows_total", "product_content") == 2
        run_metrics.assert_balanced()
