"""Exemplars of histograms: which trace an observation is of, as a function of the running code says.

They are stored beside the update of the values, so that where nobody asks for exemplars an update is what it was.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from time import time
from typing import Any

from prometheus_client.samples import Exemplar

from events.bus.amount_limits import drop_reason, exact_number

from ..fastpath.children import bounds_of, children_are_readable, values_of
from ..fastpath.plan import AmountUpdate, UpdatePlan
from ..fastpath.public_update import UpdateFn

FindExemplar = Callable[[], Mapping[str, str] | None]
"""Returns the labels of the exemplar of what the running code does, as `traces.current_exemplar`; None for none."""

RENEWED_AFTER = 1.0
"""Seconds for which a bucket keeps its exemplar: a scrape takes the newest one alone, and comes more seldom."""

MAX_LENGTH = 128
"""Characters that the names and values of an exemplar's labels may have together, as OpenMetrics has it."""

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def with_exemplars(
    update: UpdateFn, plan: UpdatePlan, find: FindExemplar, field_names: Sequence[str] | None = None
) -> UpdateFn:
    """Return an update function that also stores an exemplar in the bucket of each of the plan's histograms.

    Args:
        update: Updates the values of the plan, by an event or by the values of the fields that are named.
        plan: What is updated.
        find: Returns the labels of the exemplar; what it raises is reported by the plan.
        field_names: None where the update takes an event.
    """
    histograms = [each for each in plan.amounts if bounds_of(each.child)]
    if not histograms or not children_are_readable():
        return update
    exemplars = [HistogramExemplars(each, field_names) for each in histograms]

    def update_with_exemplars(event: Any) -> None:
        update(event)
        try:
            store_exemplars(exemplars, event, find)
        except Exception as error:
            plan.on_failure("exemplars", error)

    return update_with_exemplars


def store_exemplars(exemplars: Sequence[HistogramExemplars], event: Any, find: FindExemplar) -> None:
    """Store the exemplar of an event in the buckets that it was observed in, as far as theirs are old."""
    labels = find()
    if not labels:  # asked first: most spans are not sampled
        return
    now = time()
    due = [(each, place) for each in exemplars if (place := each.bucket_due(event, now)) is not None]
    if due:
        check_labels(labels)
    for each, place in due:
        each.store(place, event, labels, now)


class HistogramExemplars:
    """The exemplars of one child of a histogram: how old each bucket's is."""

    __slots__ = ("_amount_of", "_bounds", "_buckets", "_limits", "_stored_at")

    def __init__(self, observed: AmountUpdate, field_names: Sequence[str] | None) -> None:
        self._amount_of: Callable[[Any], Any] = (
            attrgetter(observed.field) if field_names is None else itemgetter(list(field_names).index(observed.field))
        )
        self._limits = observed.minimum, observed.limit
        self._bounds = bounds_of(observed.child)
        self._buckets = values_of(observed.child)[1:]
        self._stored_at = [0.0] * len(self._buckets)

    def bucket_due(self, event: Any, now: float) -> int | None:
        """Return the place of the bucket that an event is in; None if its exemplar is new, or the event in none."""
        amount = exact_number(self._amount_of(event))
        if amount is None or drop_reason(amount, *self._limits) is not None:
            return None
        place = bisect_left(self._bounds, amount)
        return None if 0 <= now - self._stored_at[place] < RENEWED_AFTER else place

    def store(self, place: int, event: Any, labels: Mapping[str, str], now: float) -> None:
        """Store the exemplar of an event in its bucket."""
        self._stored_at[place] = now
        self._buckets[place].set_exemplar(Exemplar(dict(labels), float(exact_number(self._amount_of(event))), now))


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise `ValueError` for labels that OpenMetrics does not allow: Prometheus would refuse the whole response."""
    if wrong := [name for name in labels if not _LABEL_NAME.fullmatch(name)]:
        raise ValueError(f"an exemplar has a label {wrong[0]!r}; a name has letters, digits and underscores")
    length = sum(len(name) + len(value) for name, value in labels.items())
    if length > MAX_LENGTH:
        raise ValueError(f"an exemplar's labels have {length} characters; OpenMetrics allows {MAX_LENGTH}")
