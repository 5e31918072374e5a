"""The catalogue check: compares rows with source code, so that a metric that nothing feeds does not pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..catalogue import LABEL_LIMITS, SERIES_BUDGET, UNCOUNTED_SIGNALS, every_signal
from ..event_fields import AnySignal
from ..rows import Metric
from ..subscription.subscribe import declared_signals
from .source_scan import SourceScan, scan_sources

UNFED = "emit it, import the bridge that does, or leave the row out"
"""What to do with a row whose signal nothing emits."""


def most_series(catalogue: Iterable[Metric], label_limits: Mapping[str, int] = LABEL_LIMITS) -> int:
    """Return how many series the catalogue can have, with every label at its limit."""
    # Rows of one family and the same constant labels update the same series.
    by_series = {series_of(row): row.most_series(label_limits) for row in catalogue}
    return sum(by_series.values())


def check(
    catalogue: Sequence[Metric],
    sources: Iterable[str] = (),
    *,
    signals: Iterable[AnySignal] | None = None,
    uncounted: Mapping[AnySignal, str] = UNCOUNTED_SIGNALS,
    label_limits: Mapping[str, int] = LABEL_LIMITS,
    budget: int = SERIES_BUDGET,
) -> list[str]:
    """Return everything that is wrong with a catalogue; an empty list is a pass.

    The sources are read, not run: an emission is a call such as ``llm_called.emit(...)``, or one of a span such as
    ``agent_run(...)`` or one that a source declares. What a bridge emits counts where a source imports the bridge.

    Args:
        catalogue: The rows.
        sources: Packages, modules, folders or files whose code emits, beside `events` and `metrics`.
        signals: Signals that have to be emitted and counted; by default every signal that has been declared in this
            process. Those that the sources declare have to be emitted alone: another listener may take them.
        uncounted: Which of these signals no row counts, with the reason.
        label_limits: How many values each open label may take.
        budget: How many series the catalogue may have.

    Raises:
        SourceNotFound: a source is not there.
    """
    scan = scan_sources(sources)
    emitted = scan.emitted.keys()
    expected = {signal.name for signal in (declared_signals() if signals is None else signals)}
    counted = {signal.name for row in catalogue for signal in row.signals} - {every_signal.name}
    explained = {signal.name for signal in uncounted}
    wrong = [
        *signals_emitted_nowhere(scan, expected),
        *(
            f"{row.name} listens to {signal.name}, which nothing emits: {UNFED}"
            for row, signal in unfed_rows(catalogue, emitted)
        ),
        *(
            f"signal {name} is counted by no row; add one, or list it in UNCOUNTED_SIGNALS with the reason"
            for name in sorted(expected - counted - explained)
        ),
        *(
            f"signal {name} is counted, so it does not belong in UNCOUNTED_SIGNALS"
            for name in sorted(explained & counted)
        ),
        *totals_of_nothing(scan),
        *check_budget(catalogue, budget, label_limits),
    ]
    return list(dict.fromkeys(wrong))  # a family of several rows is reported once


def unfed_rows(catalogue: Sequence[Metric], emitted: Collection[str]) -> Iterator[tuple[Metric, AnySignal]]:
    """Yield the rows that nothing feeds, each with every signal of it that is not emitted."""

    def is_fed(signal: AnySignal) -> bool:
        return signal is every_signal or signal.name in emitted

    # Of several rows of the same series one is enough: what is billed comes with the call, or apart from it.
    fed = {series_of(row) for row in catalogue if all(map(is_fed, row.signals))}
    for row in catalogue:
        if series_of(row) not in fed:
            yield from ((row, signal) for signal in row.signals if not is_fed(signal))


def signals_emitted_nowhere(scan: SourceScan, expected: Collection[str] = ()) -> Iterator[str]:
    """Yield a fault for each signal that the sources declare, or that is expected, and that nothing emits."""
    for name in sorted(({*expected} | (scan.declared - scan.scoped)) - scan.emitted.keys()):
        yield f"signal {name} is declared and emitted nowhere"


def totals_of_nothing(scan: SourceScan) -> Iterator[str]:
    """Yield a fault for each total of a signal that there is not."""
    known = {signal.name for signal in declared_signals()} | scan.declared
    for name in sorted(scan.summed - known):
        yield f"total({name!r}) sums a signal that nothing declares"


def series_of(row: Metric) -> tuple[str, ...]:
    """Return what the rows that update the same series have in common: the family, and the constant labels."""
    return row.name, *row.const_labels.values()


def check_budget(
    catalogue: Sequence[Metric], budget: int = SERIES_BUDGET, label_limits: Mapping[str, int] = LABEL_LIMITS
) -> list[str]:
    """Return what is wrong with the number of series alone: quick, since no source is read."""
    most = most_series(catalogue, label_limits)
    return [f"the catalogue can make {most:,} series, the budget is {budget:,}"] if most > budget else []
