"""Labels in `instrument(label_limits=...)` that are mistyped: such a limit would hold for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from ..catalogue import LABEL_LIMITS
from ..rows import Metric
from ..subscription.subscribe import declared_signals

ALIKE = 0.8
"""How alike two names are, as difflib has it, of which one is taken for the other mistyped: ``skuu`` is ``sku``."""


def check_label_names(names: Iterable[str], rows: Sequence[Metric]) -> None:
    """Raise ValueError for a name that is like a label of these rows or of the catalogue, and is none.

    A name that is like none of them passes, and so does a field of any event that is declared: it may be a label of
    another subscription, which the same limits are for.
    """
    known = {*LABEL_LIMITS, *(label for row in rows for label in row.labels)}
    for name in names:
        if name in known or any(has_field(signal.event, name) for signal in declared_signals()):
            continue
        if alike := get_close_matches(name, sorted(known), n=3, cutoff=ALIKE):
            raise ValueError(
                f"label_limits: {name!r} is no label of the rows or of the catalogue:"
                f" did you mean {' or '.join(map(repr, alike))}?"
            )


def has_field(event: Any, name: str) -> bool:
    """Return whether an event's class has a field or a property of the name."""
    return hasattr(event, name) or name in getattr(event, "__dataclass_fields__", ())
