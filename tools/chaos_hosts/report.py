"""The report: what has happened, and what has broken a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .history import History
from .rules import RULES, Violation
from .story import Story

SHOWN = 20  # violations of a rule; the others are counted


def describe(history: History, violations: Sequence[Violation]) -> str:
    """Return the report of a history."""
    story = Story(history)
    ends = Counter(story.status_of(run) for run in story.changes)
    kinds = Counter(fault.kind for fault in history.faults)
    taken = sum(len({claim.at for claim in claims}) - 1 for claims in story.claims.values() if claims)
    delays = sorted(
        story.end_of(run) - story.last_set_back(run, claims[0].at) for run, claims in story.claims.items() if claims
    )
    confirmed = [each.seconds for each in history.cancellations if each.status == 200]
    broken = Counter(violation.rule for violation in violations)
    lines = [
        f"runs: {', '.join(f'{number} {status}' for status, number in sorted(ends.items()))}",
        f"faults: {', '.join(f'{number} {kind}' for kind, number in sorted(kinds.items())) or 'none'}",
        f"model calls: {len(history.calls)}, answers sent {sum(call.is_sent for call in history.calls)},"
        f" stored {sum(attempt.prompt_tokens > 0 for attempt in history.attempts)}",
        f"runs taken up again: {taken}",
        f"seconds from a run's claim or last fault to its end: {delays[len(delays) // 2]:.1f} in the middle,"
        f" {delays[-1]:.1f} at most"
        if delays
        else "no run was claimed",
        f"cancellations that were confirmed: {len(confirmed)}, the slowest after {max(confirmed, default=0):.1f} s",
        "",
        "| rule | broken |",
        "|---|---|",
        *(f"| {rule} | {broken[rule] or '-'} |" for rule in RULES),
    ]
    for rule in RULES:
        found = [violation.about for violation in violations if violation.rule == rule]
        lines += [f"FAIL {rule}: {about}" for about in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"FAIL {rule}: and {len(found) - SHOWN} more")
    return "\n".join(lines)
