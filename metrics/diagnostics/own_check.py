"""The check of an application: its own rows and signals, and the groups of ours that it chose.

A group is chosen as a whole, so a row of it that one application feeds and another does not is no fault; a group of
which nothing at all is fed is one, as where its bridge was forgotten. The rows of an application's own are its own
words: each has to be fed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..catalogue import CATALOGUE, GROUPS, LABEL_LIMITS, OPTIONAL
from ..event_fields import AnySignal
from ..rows import Metric
from .bridge_paths import bridge_names
from .check import UNFED, check_budget, signals_emitted_nowhere, totals_of_nothing, unfed_rows
from .source_scan import EVENTS, METRICS, bridge_files, scan_sources

NAMED = 3
"""Signals, or bridges, that a line names of many; of two and more after them it says how many there are."""


@dataclass(frozen=True, slots=True)
class Findings:
    """A line for each fault, a note for each group of ours that is fed in part, and how many families are not fed."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]
    unfed: int


def check_application(
    catalogue: Sequence[Metric], sources: Iterable[str], *, label_limits: Mapping[str, int] = LABEL_LIMITS
) -> Findings:
    """Return what is wrong with an application's rows and signals, and which of our families stay empty in it.

    The sources are read as `check.check` reads them. Of several groups that together are the whole catalogue none has
    to be fed, since nobody chose one.

    Args:
        catalogue: The rows that it subscribes.
        sources: Packages, modules, folders or files whose code emits.
        label_limits: How many values each open label may take.

    Raises:
        SourceNotFound: a source is not there.
    """
    scan = scan_sources(sources)
    ours = {id(row) for row in CATALOGUE + OPTIONAL}
    faults, notes = [*signals_emitted_nowhere(scan)], []
    unfed = [*unfed_rows(catalogue, scan.emitted.keys())]
    faults += [
        f"{row.name} listens to {signal.name}, which nothing emits: {UNFED}"
        for row, signal in unfed
        if id(row) not in ours
    ]
    faults += totals_of_nothing(scan)
    taken = {name: families_of(rows, catalogue) for name, rows in GROUPS.items()}
    at_rest = []
    is_chosen = not all(taken[name] for name, rows in GROUPS.items() if rows is not OPTIONAL)
    for name, families in taken.items():
        group = {id(row) for row in GROUPS[name]}
        waiting = {row.name: signal for row, signal in reversed(unfed) if id(row) in group}
        if not waiting:
            continue
        signals = list({signal.name: signal for row, signal in unfed if id(row) in group}.values())
        if is_chosen and waiting.keys() == families:
            faults.append(
                f"{METRICS}:{name.upper()}: nothing feeds any of its {len(families)} families: {ways_out(signals)},"
                " or leave the group out"
            )
        elif waiting.keys() == families:
            at_rest.append(name)
        else:
            number = f"{len(waiting)} of {len(families)}"
            notes.append(
                f"{METRICS}:{name.upper()}: {number} families stay empty here, as nothing emits"
                f" {in_words([signal.name for signal in signals], 'signals')}"
            )
    if at_rest:
        notes.append(f"Groups that stay empty here, as nothing emits for them: {', '.join(at_rest)}")
    faults += check_budget(catalogue, label_limits=label_limits)
    return Findings(tuple(dict.fromkeys(faults)), tuple(notes), len({row.name for row, _ in unfed}))


def families_of(group: Collection[Metric], catalogue: Iterable[Metric]) -> set[str]:
    """Return the families of a group that a catalogue has."""
    ids = {id(row) for row in group}
    return {row.name for row in catalogue if id(row) in ids}


def ways_out(signals: Sequence[AnySignal]) -> str:
    """Return how signals come to be emitted: by which bridges, else by the application itself."""
    names = {signal.name for signal in signals}
    bridges = [f"{EVENTS}.bridges.{bridge}" for bridge, emitted in emitted_by_bridges().items() if names & emitted]
    emit = f"emit {in_words([signal.name for signal in signals], 'signals')}"
    if not bridges:
        return emit
    return f"import {in_words(bridges, 'bridges', 'or')}" + ("" if len(bridges) == 1 else f", {emit}")


@cache  # of each of several groups that nothing feeds it is asked which bridge would
def emitted_by_bridges() -> Mapping[str, set[str]]:
    """Return the signals that the files of each bridge emit, those that it shares with others included."""
    bridges = [*bridge_names()]
    emitted_in: dict[Path, set[str]] = {}
    for signal, places in scan_sources((), bridges=bridges).emitted.items():
        for path, _ in places:
            emitted_in.setdefault(path, set()).add(signal)
    return {
        bridge: {signal for file in bridge_files([bridge]) for signal in emitted_in.get(file.path, ())}
        for bridge in bridges
    }


def in_words(names: Sequence[str], what: str, conjunction: str = "and") -> str:
    """Return names as a list in words, cut after `NAMED`."""
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} {conjunction} {len(names) - NAMED} more {what}"
    return f" {conjunction} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
