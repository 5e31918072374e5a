"""``python -m metrics check``."""

from __future__ import annotations

from ..catalogue import SERIES_BUDGET, UNCOUNTED_SIGNALS, every_signal
from ..diagnostics.check import UNFED, check, most_series
from ..diagnostics.source_scan import SourceNotFound
from ..subscription.subscribe import declared_signals
from .command_context import Context, UsageError


def run(context: Context) -> int:
    """Print what is wrong, or what was checked; return the exit code.

    The catalogue of `metrics` has to count every signal of `events`; one of the project's own counts what it likes, so
    only its rows are checked, and that the signals that its sources declare are emitted.

    Raises:
        UsageError: no source is named, or one is not there.
    """
    catalogue, project, own = context.catalogue, context.project, context.is_own_catalogue
    if not context.sources:
        raise UsageError(f"name the code that emits: --source PACKAGE, or {project.describe('source')}")
    try:
        wrong = check(
            catalogue,
            context.sources,
            signals=() if own else declared_signals(),
            uncounted={} if own else UNCOUNTED_SIGNALS,
            label_limits=context.label_limits,
        )
    except SourceNotFound as error:
        raise context.source_error(error) from error
    for fault in wrong:
        print(f"- {fault}")
    if own and any(fault.endswith(UNFED) for fault in wrong):
        print("  Rows are left out by their names, as in", project.describe("without = ['NAME']"))
    names = {row.name for row in catalogue}
    signals = {signal.name for row in catalogue for signal in row.signals} - {every_signal.name}
    print(
        f"{'FAILED' if wrong else 'ok'}: {len(names)} families fed by {len(signals)} signals,"
        f" at most {most_series(catalogue, context.label_limits):,} series of {SERIES_BUDGET:,};"
        f" sources: {', '.join(context.sources)}"
    )
    return 1 if wrong else 0
