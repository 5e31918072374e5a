"""``python -m metrics check``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from ..catalogue import SERIES_BUDGET, UNCOUNTED_SIGNALS, every_signal
from ..diagnostics.check import UNFED, check, most_series
from ..diagnostics.own_check import Findings, check_application
from ..diagnostics.source_scan import SourceNotFound
from ..subscription.subscribe import declared_signals
from .command_context import Context, UsageError


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The text of a check, and whether it passed."""

    passed: bool
    text: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own options."""
    parser.add_argument(
        "--strict",
        action="store_true",
        default=argparse.SUPPRESS,
        help="judge each row of our groups too, and each of our signals where no catalogue is named",
    )


def run(context: Context) -> int:
    """Print what is wrong, or what was checked; return the exit code.

    Raises:
        UsageError: no source is named, or one is not there.
    """
    report = report_check(context)
    print(report.text)
    return 0 if report.passed else 1


def report_check(context: Context) -> CheckReport:
    """Return what is wrong with a catalogue, and a summary.

    An application's own rows and signals are judged one by one, and a group of ours as a whole; a strict check judges
    each row. The catalogue of `metrics` itself has to count every signal of `events` there.

    Raises:
        UsageError: no source is named, or one is not there.
    """
    catalogue, project = context.catalogue, context.project
    if not context.sources:
        raise UsageError(f"name the code that emits: --source PACKAGE, or {project.describe('source')}")
    try:
        found = find_faults(context)
    except SourceNotFound as error:
        raise context.source_error(error) from error
    lines = [f"- {fault}" for fault in found.faults]
    if context.is_own_catalogue and any(fault.endswith(UNFED) for fault in found.faults):
        place = project.describe("without = ['NAME']")
        lines.append(f"  Rows are left out by their names, as in {place}")
    lines += [f"  {note}" for note in found.notes]
    if not context.is_own_catalogue and not context.is_strict:
        lines.append(f"  Rows of your own are checked where they are named: {project.describe('catalogue')}")
    names = {row.name for row in catalogue}
    fed = f"{len(names) - found.unfed} of {len(names)}" if found.unfed else len(names)
    signals = {signal.name for row in catalogue for signal in row.signals} - {every_signal.name}
    lines.append(
        f"{'FAILED' if found.faults else 'ok'}: {fed} families fed by {len(signals)} signals,"
        f" at most {most_series(catalogue, context.label_limits):,} series of {SERIES_BUDGET:,};"
        f" sources: {', '.join(context.sources)}"
    )
    return CheckReport(not found.faults, "\n".join(lines))


def find_faults(context: Context) -> Findings:
    """Return what is wrong with a catalogue.

    Raises:
        SourceNotFound: a source is not there.
    """
    own = context.is_own_catalogue
    if not context.is_strict:
        return check_application(context.catalogue, context.sources, label_limits=context.label_limits)
    faults = check(
        context.catalogue,
        context.sources,
        signals=() if own else declared_signals(),
        uncounted={} if own else UNCOUNTED_SIGNALS,
        label_limits=context.label_limits,
    )
    return Findings(tuple(faults), (), 0)
