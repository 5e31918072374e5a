"""The comparison of the audit trail with the counters of running servers, and with the rows of runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isclose
from time import monotonic

from app.database import Database
from app.database.repositories import audit_events, audit_sums
from app.database.repositories.audit_sums import Sums, Window
from app.listeners.audit_trail import AUDITED, NAME
from app.monitoring.counters import Counters

from .compared_families import COMPARISONS, Comparison

OTHER = "other"
"""The label value under which counters have what is past a label's limit."""

CLOCK_SLACK = 0.1
"""Seconds by which the time of an event and that of reading the counters may be apart."""

START_SLACK = 2.0
"""Seconds by which the start of a process may be known wrongly: the kernel counts from a boot time in whole seconds."""

STOPPED_SLACK = timedelta(seconds=1)
"""How long after a server's start a process that stops is one of before: none of its own has started by then."""

_POLL = 0.2  # seconds


class CannotReconcile(Exception):
    """There is nothing to compare, or it cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sum of the trail and of what it is compared with.

    Attributes:
        title: What is added up.
        against: What the trail is compared with.
        labels: The labels that the sum is of.
        trail: The sum of the trail.
        other: The other sum.
        difference: How much more that is; 0 where they agree.
    """

    title: str
    against: str
    labels: Mapping[str, str]
    trail: float
    other: float
    difference: float


@dataclass(slots=True)
class Report:
    """The outcome of a comparison."""

    lines: list[Line] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether all sums agree and nothing else is wrong."""
        return not self.faults and not any(line.difference for line in self.lines)


async def reconcile(
    database: Database,
    servers: Sequence[Counters],
    *,
    since: datetime | None = None,
    retention_days: int = 0,
    wait: float = 10.0,
) -> Report:
    """Return how the trail compares with the counters of servers and with the rows of runs.

    What was emitted is stored within a second, and later where the database is slow, so a difference is looked at again
    until it is gone or the time to wait is over.

    Args:
        database: Where the trail and the rows are.
        servers: The counters of every server that writes to the trail; none to compare with the rows alone.
        since: From when on runs are compared with their rows; None for the begin of the trail.
        retention_days: For how many days the rows of ended runs are kept; 0 for ever.
        wait: For how many seconds at most differences are looked at again.

    Raises:
        CannotReconcile: The trail is empty, or does not reach back to where the counters began.
    """
    async with database.session() as session:
        begin = await audit_events.first_time(session)
    if begin is None:
        raise CannotReconcile("the audit trail is empty: set SPARKLIO_AUDIT_DAYS to the days that it is to be kept")
    until = datetime.now(UTC)
    kept_since = until - timedelta(days=retention_days) + timedelta(minutes=1) if retention_days else None
    deadline = monotonic() + wait
    while True:
        report = Report()
        if servers:
            await _compare_with_counters(database, servers, begin, report)
        await _compare_with_rows(database, max(since or begin, begin), until, kept_since, report)
        if report.agrees or monotonic() > deadline:
            return report
        await asyncio.sleep(_POLL)


async def _compare_with_counters(
    database: Database, servers: Sequence[Counters], begin: datetime, report: Report
) -> None:
    started_at = datetime.fromtimestamp(min(server.started_at for server in servers), UTC)
    since = started_at - timedelta(seconds=START_SLACK)
    if begin > since and any(server.total("rows_expired_total", resource="audit_events") > 0 for server in servers):
        raise CannotReconcile(
            f"the counters began at {since:%Y-%m-%d %H:%M:%S} UTC, and the trail is kept from {begin:%Y-%m-%d %H:%M:%S}"
            " on: they agree from the next start of the studio on; --rows-only compares with the rows alone"
        )
    earliest = datetime.fromtimestamp(min(server.sent_at for server in servers) - CLOCK_SLACK, UTC)
    latest = datetime.fromtimestamp(max(server.received_at for server in servers) + CLOCK_SLACK, UTC)
    async with database.session() as session:
        processes = await audit_sums.processes_between(session, since, latest, alive_at=started_at + STOPPED_SLACK)
        window = Window(processes, since, earliest, latest)
        for comparison in COMPARISONS:
            least, most = await audit_sums.add_up(session, comparison.amounts, window)
            report.lines += _counter_lines(comparison, least, most, servers)
    _explain(servers, processes, report)


def _counter_lines(comparison: Comparison, least: Sums, most: Sums, servers: Sequence[Counters]) -> list[Line]:
    """Return a line for each sum that is not 0 on both sides."""
    counted: Sums = {}
    for server in servers:
        for key, value in server.by(comparison.family, comparison.labels).items():
            counted[key] = counted.get(key, 0.0) + value
    if comparison.labels == ("signal",):
        audited = {signal.name for signal in AUDITED}
        counted = {key: value for key, value in counted.items() if key[0] in audited}
    least, most = fold_others(least, counted), fold_others(most, counted)
    lines = []
    for key in sorted({*most, *counted}):
        low, high, value = least.get(key, 0.0), most.get(key, 0.0), counted.get(key, 0.0)
        if high or value:
            bound = max(low, min(value, high))
            difference = 0.0 if isclose(value, bound, rel_tol=1e-9, abs_tol=1e-12) else value - bound
            labels = dict(zip(comparison.labels, key, strict=True))
            trail = bound if difference else value  # a sum between the two ends of the window
            lines.append(
                Line(
                    title=comparison.title,
                    against=comparison.family,
                    labels=labels,
                    trail=trail,
                    other=value,
                    difference=difference,
                )
            )
    return lines


def fold_others(sums: Sums, counted: Sums) -> Sums:
    """Return sums in which label values that the counters have under ``other`` are there too.

    >>> fold_others({("a",): 1.0, ("b",): 2.0}, {("a",): 1.0, ("other",): 2.0})
    {('a',): 1.0, ('other',): 2.0}
    """
    known = [{key[place] for key in counted} for place in range(len(next(iter(counted), ())))]
    folded: Sums = {}
    for key, value in sums.items():
        if len(key) == len(known):
            key = tuple(  # noqa: PLW2901 - what the counters call it
                OTHER if part not in values and OTHER in values else part
                for part, values in zip(key, known, strict=True)
            )
        folded[key] = folded.get(key, 0.0) + value
    return folded


def _explain(servers: Sequence[Counters], processes: Sequence[str], report: Report) -> None:
    """Note what may be why the sums differ."""
    started = round(sum(server.total("workers_started_total") for server in servers))
    if started != len(processes):
        report.notes.append(
            f"{len(processes)} processes began to write to the trail since then, and the counters are of {started}:"
            " name every server that writes to this database; one without a trail is in no sum of it"
        )
    for outcome, meaning in (
        ("dropped", "had no room or no time for"),
        ("failed", "lost, by errors that the log names,"),
    ):
        lost = round(sum(server.total("listener_events_total", listener=NAME, outcome=outcome) for server in servers))
        if lost:
            report.notes.append(f"the trail {meaning} {lost:,} events, as listener_events_total counts")


async def _compare_with_rows(
    database: Database, since: datetime, until: datetime, kept_since: datetime | None, report: Report
) -> None:
    async with database.session() as session:
        sums = await audit_sums.compare_runs(session, since, until, kept_since)
    for key in sorted({*sums.rows, *sums.trail}):
        trail, rows = sums.trail.get(key, 0.0), sums.rows.get(key, 0.0)
        labels = dict(zip(("workflow_type", "status"), key[1:], strict=False))
        difference = 0.0 if isclose(rows, trail, rel_tol=1e-9, abs_tol=1e-12) else rows - trail
        report.lines.append(
            Line(title=key[0], against="rows", labels=labels, trail=trail, other=rows, difference=difference)
        )
    for ids, meaning in (
        (sums.untold, "the end of these runs is not in the trail once and with the status of their row"),
        (sums.unknown, "the end of these runs is in the trail, and they have no row"),
    ):
        if ids:
            report.faults.append(f"{meaning}: {', '.join(ids)}")
