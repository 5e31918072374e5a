"""The sums of the audit trail, and those of the rows of runs that they are compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, and_, case, func, literal, select, type_coerce, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import AuditEvent, Run, Step

UNKNOWN = "unknown"
"""The value of a label that an event does not have."""

Sums = dict[tuple[str, ...], float]
"""Amounts by the values of labels."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum over a signal's events: of one each, or of the value of a field, by some of their fields.

    Attributes:
        signal: The signal; empty for all.
        labels: The fields that the sums are by; one in ``fixed`` has the value that stands there.
        value: The field that is added up; None to count the events.
        without: Values of fields with which an event is left out.
        fixed: Labels that are no fields.
    """

    signal: str
    labels: tuple[str, ...]
    value: str | None = None
    without: Mapping[str, str | bool] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """Which events of the trail are added up: those of some processes, up to a moment between two others."""

    processes: Collection[str]
    since: datetime
    earliest_end: datetime
    latest_end: datetime


async def processes_between(
    session: AsyncSession, since: datetime, until: datetime, *, alive_at: datetime
) -> list[str]:
    """Return the processes that began to write to the trail between two moments, and had not stopped before a third."""
    stopped = select(AuditEvent.process).where(
        AuditEvent.time.between(since, alive_at), AuditEvent.signal == "worker_finished"
    )
    began = select(AuditEvent.process).where(
        AuditEvent.time.between(since, until),
        AuditEvent.signal == "worker_started",
        AuditEvent.process.not_in(stopped),
    )
    return sorted({*await session.scalars(began)})


async def add_up(session: AsyncSession, amounts: Sequence[Amount], window: Window) -> tuple[Sums, Sums]:
    """Return the sums of amounts with the same labels, up to the earliest and up to the latest end of a window."""
    events = union_all(*(_select_amount(amount, window) for amount in amounts)).subquery()
    labels = [events.c[f"label_{number}"] for number in range(len(amounts[0].labels))]
    early = func.sum(case((events.c.time <= window.earliest_end, events.c.amount), else_=0.0))
    found = await session.execute(select(*labels, early, func.sum(events.c.amount)).group_by(*labels))
    least: Sums = {}
    most: Sums = {}
    for *key, low, high in found:
        least[tuple(key)], most[tuple(key)] = float(low), float(high)
    return least, most


def _select_amount(amount: Amount, window: Window) -> Select[Any]:
    columns: list[Any] = [AuditEvent.time]
    for number, label in enumerate(amount.labels):
        column = literal(amount.fixed[label]) if label in amount.fixed else _text(label)
        columns.append(column.label(f"label_{number}"))
    value = literal(1.0) if amount.value is None else _number(amount.value)
    columns.append(value.label("amount"))
    criteria: list[ColumnElement[bool]] = [
        AuditEvent.time.between(window.since, window.latest_end),
        AuditEvent.process.in_(window.processes),
    ]
    if amount.signal:
        criteria.append(AuditEvent.signal == amount.signal)
    if amount.value is not None:
        criteria.append(value >= 0)  # what is none or negative is in no counter
    for name, unwanted in amount.without.items():
        found = _field(name).as_boolean() if isinstance(unwanted, bool) else _field(name).as_string()
        criteria.append(found.is_(None) | (found != unwanted))
    return select(*columns).where(*criteria)


def _field(name: str) -> Any:
    return type_coerce(AuditEvent.record, JSON)["fields", name]


def _text(name: str) -> ColumnElement[str]:
    if name == "signal":
        return AuditEvent.signal.expression
    return func.coalesce(_field(name).as_string(), UNKNOWN)


def _number(name: str) -> ColumnElement[float]:
    value: ColumnElement[float] = _field(name).as_float()
    return value


@dataclass(frozen=True, slots=True)
class RunSums:
    """The sums of the rows of some runs, and of their events in the trail.

    Attributes:
        rows: Of the rows, by what is added up and its labels.
        trail: The same of the trail.
        untold: Some ids of runs whose end is not in the trail, or not once, or with another status.
        unknown: Some ids of runs whose end is in the trail, and that have no row.
    """

    rows: Sums
    trail: Sums
    untold: list[str]
    unknown: list[str]


_SAMPLE = 10  # ids


async def compare_runs(session: AsyncSession, since: datetime, until: datetime, kept_since: datetime | None) -> RunSums:
    """Return the sums of the runs that were queued and ended between two moments.

    Args:
        session: The session.
        since: When the first of them was queued.
        until: When the last of them ended.
        kept_since: Runs that ended later have a row; None where all have.
    """
    ended = and_(Run.queued_at >= since, Run.finished_at <= until)
    rows: Sums = {}
    trail: Sums = {}
    by_status = select(Run.workflow_type, Run.status, func.count()).where(ended).group_by(Run.workflow_type, Run.status)
    for kind, status, number in await session.execute(by_status):
        rows["runs", kind, status] = float(number)
    usage = (Step.llm_calls, Step.prompt_tokens, Step.completion_tokens, Step.cost)
    of_steps = select(*map(func.sum, usage)).join(Run, Run.id == Step.run_id).where(ended)
    rows |= _usage_sums((await session.execute(of_steps)).one())

    of_runs = AuditEvent.run_id.in_(select(Run.id).where(ended))
    finishes = select(AuditEvent.workflow_type, _text("status").label("status"), AuditEvent.run_id)
    finished = finishes.where(AuditEvent.signal == "workflow_finished").subquery()
    told = select(finished.c.workflow_type, finished.c.status, func.count())
    told = told.where(finished.c.run_id.in_(select(Run.id).where(ended)))
    for kind, status, number in await session.execute(told.group_by(finished.c.workflow_type, finished.c.status)):
        trail["runs", kind, status] = float(number)
    calls = select(func.count(), *(func.sum(_number(name)) for name in ("prompt_tokens", "completion_tokens", "cost")))
    of_calls = calls.where(AuditEvent.signal == "llm_called", of_runs)
    trail |= _usage_sums((await session.execute(of_calls)).one())

    matching = select(func.count()).where(finished.c.run_id == Run.id, finished.c.status == Run.status)
    every = select(func.count()).where(finished.c.run_id == Run.id)
    once = and_(matching.scalar_subquery() == 1, every.scalar_subquery() == 1)
    untold = select(Run.id).where(ended, ~once).order_by(Run.finished_at).limit(_SAMPLE)

    first = since if kept_since is None else max(since, kept_since)
    without_row = select(AuditEvent.run_id).where(
        AuditEvent.signal == "workflow_finished",
        AuditEvent.time >= first,
        AuditEvent.time <= until,
        ~select(Run.id).where(Run.id == AuditEvent.run_id).exists(),
    )
    unknown = without_row.order_by(AuditEvent.time).limit(_SAMPLE)
    return RunSums(
        rows, trail, list(await session.scalars(untold)), [run or "" for run in await session.scalars(unknown)]
    )


def _usage_sums(row: Any) -> Sums:
    names = ("model calls", "prompt tokens", "completion tokens", "USD")
    return {(name,): float(value) for name, value in zip(names, row, strict=True) if value}
