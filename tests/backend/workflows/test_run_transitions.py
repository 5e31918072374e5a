"""Transitions are emitted once, although an error may hide that a transaction was committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.event import listen
from sqlalchemy.exc import OperationalError

from app.database import Database, passing_errors
from app.database.repositories import brands, runs
from app.llm_usage import LLMUsage
from app.workflows import run_transitions
from app.workflows.journal_entries import AttemptUsage
from app.workflows.run_transitions import CANCELLED, RunOutcome, RunTransitions
from app.workflows.usage_journal import SUFFIX, UsageJournal
from app.workflows.usage_recovery import store_usage_of
from events import (
    workflow_billed_late,
    workflow_call_interrupted,
    workflow_released,
    workflow_step_finished,
)
from tests.support.in_process_studio import BRIEF, RecordedEvents, record_events
from tests.support.sqlite_files import let_settle


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
    return await create_run(database)


async def create_run(database: Database) -> str:
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


async def test_a_run_waits_for_its_own_transition_and_not_for_those_of_another(
    database: Database, run_id: str, recorded: RecordedEvents
) -> None:
    """Of a row that another program has locked a transition may last for hours."""
    transitions = RunTransitions(database)
    async with transitions._turn_of("another"):
        assert (await transitions.start(run_id)) is not None
    async with transitions._turn_of(run_id):
        ending = asyncio.create_task(transitions.finish(run_id, CANCELLED))
        await asyncio.sleep(0)  # it has come to the lock
        assert transitions._turn_of(run_id).locked()
        assert recorded.finished == []
    assert await ending
    assert not transitions._turns


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


def an_attempt(run_id: str, attempt_id: str = "first", **usage: Any) -> AttemptUsage:
    return AttemptUsage(
        attempt_id=attempt_id,
        run_id=run_id,
        position=0,
        name="copywriter",
        agent_name="copywriter",
        started_at=datetime.now(UTC),
        duration=1.0,
        usage=LLMUsage(**{"llm_calls": 1, "prompt_tokens": 11, "completion_tokens": 7, "cost": 0.5, **usage}),
    )


async def test_the_usage_of_an_attempt_is_stored_once(
    database: Database, run_id: str, recorded: RecordedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own process, whose answer is lost, and from the journal after that."""
    transitions = RunTransitions(database)
    run = await transitions.start(run_id)
    assert run is not None
    attempt = an_attempt(run_id)
    lose_the_answers_to_commits(database, monkeypatch)
    await transitions.save_step(run, attempt.as_step(), attempt.attempt_id)
    assert await transitions.save_interrupted(attempt)
    await transitions.save_interrupted(an_attempt(run_id, "second", cost=None))
    assert await transitions.finish(run_id, CANCELLED)
    [finished] = recorded.finished
    assert (finished.llm_calls, finished.prompt_tokens, finished.completion_tokens, finished.cost) == (2, 22, 14, 0.5)


async def test_an_interrupted_attempt_leaves_the_outcome_of_another(
    database: Database, run_id: str, recorded: RecordedEvents
) -> None:
    transitions = RunTransitions(database)
    run = await transitions.start(run_id)
    assert run is not None
    done = an_attempt(run_id).as_step()
    done.status, done.output = "success", {"text": "Hear."}
    await transitions.save_step(run, done, "first")
    await transitions.save_interrupted(an_attempt(run_id, "second"))
    # Its process was stopped, and stores it when another one has finished the step.
    await transitions.save_step(run, an_attempt(run_id).as_step(), "third")
    await transitions.finish(run_id, CANCELLED)
    [step] = (await transitions.get_run(run_id) or run).steps
    assert (step.status, step.output, step.prompt_tokens) == ("success", {"text": "Hear."}, 33)


async def test_usage_that_is_stored_after_the_end_is_emitted_with_the_outcome_of_its_run(
    database: Database, run_id: str, recorded: RecordedEvents
) -> None:
    transitions = RunTransitions(database)
    await transitions.start(run_id)
    await transitions.finish(run_id, CANCELLED)
    with workflow_billed_late.captured() as late:
        for _ in range(2):
            await transitions.save_interrupted(an_attempt(run_id))
    [event] = late
    assert (event.workflow_type, event.outcome) == ("product_content", "wasted")
    assert (event.prompt_tokens, event.completion_tokens, event.cost) == (11, 7, 0.5)


async def test_the_usage_of_a_run_that_is_gone_is_dropped(database: Database) -> None:
    assert not await RunTransitions(database).save_interrupted(an_attempt("gone"))


class Killed(BaseException):
    """Raised where the process is killed: after a commit, and before its event."""


FAILED = RunOutcome(status="failed", error="The model is away.", error_name="AgentFailed", error_type="other")


async def test_events_that_a_killed_process_left_are_emitted_once(
    database: Database, run_id: str, recorded: RecordedEvents, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It stored a start, a step and an end, and emitted none of them; other changes that it tried came to nothing."""
    transitions = RunTransitions(database)
    transitions.journal = UsageJournal(tmp_path, "host-0")

    def kill(*_arguments: object) -> None:
        raise Killed

    attempt = an_attempt(run_id)
    transitions.record(replace(attempt, status="success"))
    with monkeypatch.context() as patch:
        for name in ("emit_started", "emit_step_finished", "emit_finished"):
            patch.setattr(run_transitions, name, kill)
        with pytest.raises(Killed):
            await transitions.start(run_id)
        [run] = transitions._active.values()
        with pytest.raises(Killed):
            await transitions.save_step(run, attempt.as_step(), attempt.attempt_id)
        with pytest.raises(Killed):
            await transitions.finish(run_id, FAILED)
    assert not await transitions.finish(run_id, CANCELLED)
    transitions.journal.close()

    with workflow_released.captured() as released, workflow_step_finished.captured() as steps:
        for _ in range(2):
            await store_usage_of(tmp_path / f"host-0{SUFFIX}", RunTransitions(database))
    assert [event.run_id for event in recorded.started] == [event.run_id for event in released] == [run_id]
    assert [(event.step, event.status) for event in steps] == [("copywriter", "success")]
    [finished] = recorded.finished
    assert (finished.status, finished.error, finished.prompt_tokens) == ("failed", "AgentFailed", 11)


async def test_what_a_process_emitted_before_it_was_killed_is_not_emitted_again(
    database: Database, run_id: str, recorded: RecordedEvents, tmp_path: Path
) -> None:
    transitions = RunTransitions(database)
    transitions.journal = UsageJournal(tmp_path, "host-0")
    transitions.record(an_attempt(run_id, "another"))  # so that the file is not emptied
    await transitions.start(run_id)
    await transitions.finish(run_id, FAILED)
    transitions.journal.close()
    await store_usage_of(tmp_path / f"host-0{SUFFIX}", RunTransitions(database))
    assert (len(recorded.started), len(recorded.finished)) == (1, 1)


@pytest.mark.parametrize("calls", [0, 2])
async def test_a_call_that_was_under_way_is_counted_as_interrupted(
    calls: int, database: Database, run_id: str, recorded: RecordedEvents, tmp_path: Path
) -> None:
    """It is not one of the run's calls, as its tokens are not known."""
    transitions = RunTransitions(database)
    await transitions.start(run_id)
    path = tmp_path / f"host-0{SUFFIX}"
    usage = LLMUsage(calls, 11 * calls, 7 * calls, 0.5 * calls)
    path.write_text(replace(an_attempt(run_id), usage=usage, in_call=True).to_json() + "\n")
    with workflow_call_interrupted.captured() as interrupted:
        for _ in range(2):
            await store_usage_of(path, transitions)
    assert [(event.run_id, event.workflow_type, event.step) for event in interrupted] == [
        (run_id, "product_content", "copywriter")
    ]
    await transitions.finish(run_id, CANCELLED)
    run = await transitions.get_run(run_id)
    assert run is not None
    assert [(step.llm_calls, step.prompt_tokens) for step in run.steps] == ([(2, 22)] if calls else [])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_file_in_which_no_run_was_unfinished_is_read_again_once_it_has_changed(database: Database) -> None:
    transitions, statements = RunTransitions(database), list[str]()
    listen(
        database.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )

    async def looks() -> tuple[list[str], int]:
        """Return the ids of the unfinished runs, and how many statements it took."""
        let_settle(Path(str(database.engine.url.database)))
        statements.clear()
        _, found = await transitions.list_unfinished()
        return [run.id for run in found], len(statements)

    assert await looks() == ([], 1)
    assert await looks() == ([], 0)
    run_id = await create_run(database)
    assert await looks() == ([run_id], 1)
    assert await looks() == ([run_id], 1)
    assert await transitions.finish_queued(run_id, CANCELLED)
    assert await looks() == ([], 1)
    assert await looks() == ([], 0)
