"""Whose the labels are: those of the library's events, or those of an application's own.

A label of an application's event has a table of its own, whatever it is called: orders by ``model`` take none of the
room that the catalogue has for models.
"""

from __future__ import annotations

import events

from ..catalogue import every_signal
from ..event_fields import AnySignal
from ..rows import Metric


def is_of_library(signal: AnySignal) -> bool:
    """Return whether the library declares the event of a signal."""
    return signal is every_signal or signal.event.__module__.startswith(f"{events.__name__}.")


def own_signals(rows: tuple[Metric, ...]) -> frozenset[AnySignal]:
    """Return the signals whose labels are an application's own.

    One that feeds a family which the library's events feed too shares its labels: they are one family's.
    """
    library_families = {row.name for row in rows if any(map(is_of_library, row.signals))}
    sharing = {signal for row in rows if row.name in library_families for signal in row.signals}
    return frozenset(signal for row in rows for signal in row.signals if signal not in sharing)
