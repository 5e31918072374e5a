"""The repository of attempts and of the steps that they make: functions that take a session; the caller commits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import bindparam, func, literal, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.llm_usage import LLMUsage

from ..models import Attempt, Run, Step
from ..upserts import insert_into
from .runs import UNFINISHED

AnyInsert = TypeVar("AnyInsert", sqlite.Insert, postgresql.Insert)

_BY_NAME = (
    select(Step)
    .where(Step.run_id == bindparam("run_id"), Step.name == bindparam("name"))
    .execution_options(populate_existing=True)
)
_STEP_COLUMNS = [column.key for column in Step.__table__.columns if column.key != "id"]
_STEP_KEY = ["run_id", "name"]
_USAGE = [field.name for field in fields(LLMUsage)]


@dataclass(frozen=True, slots=True)
class SavedAttempt:
    """The answer of `save_step`.

    Attributes:
        is_new: Whether the attempt was stored now; False if it had been before.
        is_late: Whether the run had ended, so that its end was without this usage.
    """

    is_new: bool
    is_late: bool = False


async def save_step(
    session: AsyncSession, step: Step, attempt_id: str | None = None, *, interrupted: bool = False
) -> SavedAttempt:
    """Insert a step. If an earlier attempt is stored, replace its outcome and add the usage of both.

    Args:
        session: The session. On PostgreSQL its isolation level is READ COMMITTED, and this is one statement.
        step: The outcome and the usage of one attempt.
        attempt_id: The id of the attempt; None for a new one. If it is stored already, nothing is changed.
        interrupted: The attempt's process was killed: an outcome that is stored stays.
    """
    usage = {name: getattr(step, name) for name in _USAGE}
    attempt = {"id": attempt_id or str(uuid4()), "run_id": step.run_id, "step": step.name, **usage}
    insert_attempt = insert_into(session, Attempt).values(attempt).on_conflict_do_nothing(index_elements=["id"])
    new_attempt = insert_attempt.returning(Attempt.id)
    # With the run's row locked, the run ends before this, which is late then, or after this, which its end has then.
    status = select(Run.status).where(Run.id == step.run_id).with_for_update(key_share=True)
    values = {name: getattr(step, name) for name in _STEP_COLUMNS}
    insert = insert_into(session, Step)
    if isinstance(insert, postgresql.Insert):
        added, locked = new_attempt.cte("added"), status.cte("locked")
        row = select(*(literal(value, Step.__table__.c[name].type) for name, value in values.items()))
        insert = insert.from_select(list(values), row.select_from(added).join(locked, true()))
        stored = _added_up(insert, interrupted).returning(select(locked.c.status).scalar_subquery())
        found = (await session.execute(stored)).one_or_none()
        return SavedAttempt(is_new=found is not None, is_late=found is not None and found[0] not in UNFINISHED)
    if await session.scalar(new_attempt) is None:
        return SavedAttempt(is_new=False)
    found_status = await session.scalar(status)
    await session.execute(_added_up(insert.values(values), interrupted))
    return SavedAttempt(is_new=True, is_late=found_status not in UNFINISHED)


async def get_step(session: AsyncSession, run_id: str, name: str) -> Step | None:
    """Return a run's step with a name, or None."""
    return await session.scalar(_BY_NAME, {"run_id": run_id, "name": name})


async def get_usage(session: AsyncSession, run_id: str) -> LLMUsage:
    """Return the usage of models by all steps of a run so far."""
    columns = (Step.llm_calls, Step.prompt_tokens, Step.completion_tokens, Step.cost)
    row = (await session.execute(select(*(func.sum(column) for column in columns)).where(Step.run_id == run_id))).one()
    *counts, cost = row
    calls, prompt, completion = (int(count or 0) for count in counts)
    return LLMUsage(calls, prompt, completion, cost)


def _added_up(insert: AnyInsert, interrupted: bool) -> AnyInsert:
    """Return an insert of an attempt's step that replaces an earlier outcome and adds to its usage."""
    old, new = Step.__table__.c, insert.excluded
    sums: dict[str, Any] = {name: old[name] + new[name] for name in _USAGE}
    sums["cost"] = func.coalesce(sums["cost"], old.cost, new.cost)  # None is an unknown cost, which adds nothing
    outcome = [] if interrupted else [name for name in _STEP_COLUMNS if name not in {*_STEP_KEY, *_USAGE}]
    replaced = {name: new[name] for name in outcome}
    return insert.on_conflict_do_update(index_elements=_STEP_KEY, set_={**replaced, **sums})
