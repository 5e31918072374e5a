"""Attempts add up to steps, once each, and are late once their run has ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from app.database import Database, Step
from app.database.repositories import attempts, runs
from app.llm_usage import LLMUsage
from tests.backend.database.rows import MOMENT, queue_run, save_step


def a_step(run_id: str, *, cost: float | None = None, status: str = "success") -> Step:
    return Step(
        run_id=run_id,
        position=0,
        name="copywriter",
        agent_name="copywriter",
        status=status,
        error=None,
        output={"text": status},
        started_at=datetime.now(UTC),
        duration=1.0,
        llm_calls=1,
        prompt_tokens=10,
        completion_tokens=5,
        cost=cost,
    )


async def test_the_usage_of_both_attempts_at_a_step_is_added(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id
        await save_step(session, run_id, status="error", error="timed out", output=None, llm_calls=2)
        await save_step(session, run_id, name="reviewer", position=1, prompt_tokens=100, output=None)
    async with database.session() as session, session.begin():
        await save_step(session, run_id, duration=0.5, output={"text": "second"})
        assert await attempts.get_usage(session, run_id) == LLMUsage(
            llm_calls=4, prompt_tokens=120, completion_tokens=15
        )
        run = await runs.get(session, run_id)
    assert run is not None
    assert [step.name for step in run.steps] == ["copywriter", "reviewer"]
    again = run.steps[0]
    assert (again.status, again.error, again.output, again.duration) == ("success", None, {"text": "second"}, 0.5)
    assert (again.llm_calls, again.prompt_tokens, again.completion_tokens) == (3, 20, 10)
    assert run.usage == LLMUsage(4, 120, 15)


async def test_a_run_without_steps_has_no_usage(database: Database) -> None:
    async with database.session() as session, session.begin():
        run = await queue_run(session)
        assert await attempts.get_usage(session, run.id) == run.usage == LLMUsage(0, 0, 0)
        assert await attempts.get_step(session, run.id, "copywriter") is None
        assert await runs.get(session, "unknown") is None


async def test_attempts_that_are_stored_at_the_same_time_are_all_added_up(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id

    async def save(attempt_id: str, cost: float | None) -> attempts.SavedAttempt:
        async with database.writing_one_by_one() as session:
            return await attempts.save_step(session, a_step(run_id, cost=cost), attempt_id)

    costs = [None, 0.5, 0.25, None, 1.0]
    pairs = [(str(uuid4()), cost) for cost in costs]
    saved = await asyncio.gather(*(save(*pair) for pair in [*pairs, *pairs]))
    assert sorted(answer.is_new for answer in saved) == [False] * 5 + [True] * 5
    assert not any(answer.is_late for answer in saved)
    async with database.reading() as session:
        run = await runs.get(session, run_id)
    assert run is not None
    assert run.usage == LLMUsage(llm_calls=5, prompt_tokens=50, completion_tokens=25, cost=1.75)


async def test_a_step_without_a_known_cost_has_none(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id
        for _ in range(2):
            await attempts.save_step(session, a_step(run_id))
        step = await attempts.get_step(session, run_id, "copywriter")
    assert step is not None
    assert (step.llm_calls, step.cost) == (2, None)


async def test_an_attempt_whose_process_was_killed_leaves_the_outcome(database: Database) -> None:
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id
        await attempts.save_step(session, a_step(run_id))
        await attempts.save_step(session, a_step(run_id, status="cancelled"), interrupted=True)
        step = await attempts.get_step(session, run_id, "copywriter")
    assert step is not None
    assert (step.status, step.output, step.llm_calls) == ("success", {"text": "success"}, 2)


async def test_the_usage_of_an_attempt_is_in_the_end_of_its_run_or_late(database: Database) -> None:
    """However the two meet: whichever is first has the row of the run locked, and the other one waits for it."""
    for _ in range(20):
        async with database.session() as session, session.begin():
            run_id = (await queue_run(session)).id

        async def end(run_id: str = run_id) -> int:
            async with database.writing() as session:
                assert await runs.mark_finished(session, run_id, "completed", None, None, MOMENT)
                run = await runs.get(session, run_id)
                assert run is not None
                return run.usage.llm_calls

        async def save(run_id: str = run_id) -> bool:
            async with database.writing_one_by_one() as session:
                return (await attempts.save_step(session, a_step(run_id))).is_late

        counted, is_late = await asyncio.gather(end(), save())
        assert counted == (0 if is_late else 1)
