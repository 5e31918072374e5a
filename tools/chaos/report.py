"""The table of all cases, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .cases import Outcome

HEADER = (
    "fault", "database", "workers", "accepted", "completed", "failed", "cancelled", "seconds until all ended",
    "started - ended - active", "answers sent", "stored", "interrupted", "result",
)  # fmt: skip


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print a row for each case, then the faults of those that failed."""
    print(f"\n| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for outcome in outcomes:
        print(f"| {' | '.join(_cells(outcome))} |")
    for outcome in outcomes:
        for fault in outcome.faults:
            print(f"\nFAIL {outcome.fault}, {outcome.database}, {outcome.workers} workers: {fault}")


def _cells(outcome: Outcome) -> list[str]:
    result = "FAIL" if outcome.faults else "skipped" if outcome.skipped else "PASS"
    books = outcome.books
    figures = ["-"] * 4
    if books is not None:
        figures = [f"{books.difference:g}", str(books.sent), str(books.stored), str(books.interrupted)]
    ends = [str(outcome.ends.get(status, "-")) for status in ("completed", "failed", "cancelled")]
    case = [outcome.fault, outcome.database, str(outcome.workers), str(outcome.accepted)]
    return [*case, *ends, f"{outcome.seconds:.1f}", *figures, result]
