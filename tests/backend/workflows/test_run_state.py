"""Transitions are emitted once, although an error may hide that a transaction was committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from app.database import Database, passing_errors
from app.database.repositories import brands, runs
from app.workflows.run_state import CANCELLED, RunTransitions
from tests.support.in_process_studio import BRIEF, RecordedEvents, record_events


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing_errors, "_FIRST_DELAY", 0.001)


@pytest.fixture
def recorded() -> Iterator[RecordedEvents]:
    with record_events() as recorded:
        yield recorded
    recorded.assert_balanced()


@pytest.fixture
async def run_id(database: Database) -> str:
    """The id of a queued run."""
    async with database.session() as session, session.begin():
        brand = await brands.get_or_create(session, "Acme Audio")
        run = await runs.create(
            session, run_id="one", workflow_type="product_content", brand_id=brand.id, brief=BRIEF, idempotency_key=None
        )
    return run.id


def lose_the_answers_to_commits(database: Database, monkeypatch: pytest.MonkeyPatch, count: int = 1) -> None:
    """Commit as ever, but have the next transactions fail as if the connection broke before the answer."""
    dialect = database.engine.sync_engine.dialect
    commit, left = dialect.do_commit, [None] * count

    def do_commit(connection: Any) -> None:
        commit(connection)
        if left:
            left.pop()
            raise OperationalError("COMMIT", {}, psycopg.errors.ConnectionFailure())

    monkeypatch.setattr(dialect, "do_commit", do_commit)


async def test_a_start_whose_answer_is_lost_is_emitted_as_a_start(
    database: Database, run_id: str, recorded: RecordedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    transitions = RunTransitions(database)
    lose_the_answers_to_commits(database, monkeypatch, 2)
    assert (await transitions.start(run_id)) is not None
    assert await transitions.finish(run_id, CANCELLED)
    assert (len(recorded.started), len(recorded.resumed), len(recorded.finished)) == (1, 0, 1)


async def test_an_end_whose_answer_is_lost_is_emitted_once(
    database: Database, run_id: str, recorded: RecordedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    transitions = RunTransitions(database)
    await transitions.start(run_id)
    lose_the_answers_to_commits(database, monkeypatch)
    assert await transitions.finish(run_id, CANCELLED)
    assert not await transitions.finish(run_id, CANCELLED)
    assert len(recorded.finished) == 1


async def test_a_queued_run_is_ended_once_although_the_answer_is_lost(
    database: Database, run_id: str, recorded: RecordedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answers_to_commits(database, monkeypatch)
    assert await RunTransitions(database).finish_queued(run_id, CANCELLED)
    assert (len(recorded.started), len(recorded.finished)) == (1, 1)


async def test_a_run_that_another_process_ends_meanwhile_is_not_executed(
    database: Database, run_id: str, recorded: RecordedEvents
) -> None:
    assert await RunTransitions(database).finish_queued(run_id, CANCELLED)
    assert await RunTransitions(database).start(run_id) is None
    assert len(recorded.started) == 1
