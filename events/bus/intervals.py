"""The time that several kinds of work took, where each moment belongs to one kind."""

from __future__ import annotations

from math import fsum
from operator import itemgetter

Interval = tuple[float, float]
"""Start and end, in seconds of one clock."""

_BATCH = 256  # intervals that are collected before they are merged


class Timeline:
    """The intervals of several kinds of work since a start, and how much of the time each kind had.

    A moment belongs to the first of the ``kinds`` that has an interval there. So work that ran side by side counts
    once, the kinds' times and the rest add up to the whole, and the order in which intervals are added is of no
    consequence.

    >>> timeline = Timeline(("model", "tool"), start=0.0)
    >>> timeline.add("tool", 1.0, 6.0)
    >>> timeline.add("tool", 2.0, 7.0)
    >>> timeline.add("model", 4.0, 5.0)
    >>> timeline.seconds(end=10.0)
    {'model': 1.0, 'tool': 5.0}

    Intervals that touch are merged. Past `MAX_INTERVALS` the older half is settled: it becomes a number of seconds a
    kind. Of an interval that ends after that, what reaches back is an estimate: it takes of each later kind's time and
    of the rest as large a share as it covers of what was settled.

    Args:
        kinds: Names of the kinds of work, the one with precedence first.
        start: When the first interval may begin; what is before is cut off.
    """

    MAX_INTERVALS = 1024
    """How many intervals are held at most, besides a batch that is yet to be merged."""

    def __init__(self, kinds: tuple[str, ...], start: float) -> None:
        self._kinds = kinds
        self._start = start
        self._added: list[tuple[str, float, float]] = []
        self._merging = False
        self._intervals: dict[str, list[Interval]] = {kind: [] for kind in kinds}
        self._settled_until = start
        self._settled = dict.fromkeys(kinds, 0.0)

    def add(self, kind: str, start: float, end: float) -> None:
        """Add an interval of a kind; an empty one is ignored."""
        if start < self._start:  # noqa: PLR1730  # `max` takes longer than all the rest
            start = self._start
        if start < end:
            added = self._added
            added.append((kind, start, end))
            # While intervals are merged, the garbage collector may end work whose interval is added here.
            if len(added) >= _BATCH and not self._merging:
                self._merge()

    def seconds(self, end: float) -> dict[str, float]:
        """Return the seconds of each kind up to ``end``."""
        self._merge()
        parts = divide({kind: before(intervals, end) for kind, intervals in self._intervals.items()})
        return {kind: self._settled[kind] + parts[kind] for kind in self._kinds}

    def _merge(self) -> None:
        self._merging = True
        while self._added:
            added, self._added = self._added, []
            for kind, start, end in added:
                if start < self._settled_until:
                    self._add_settled(kind, start, min(end, self._settled_until))
                if end > self._settled_until:
                    self._intervals[kind].append((max(start, self._settled_until), end))
            self._intervals = {kind: union(intervals) for kind, intervals in self._intervals.items()}
            starts = [start for intervals in self._intervals.values() for start, _ in intervals]
            if len(starts) > self.MAX_INTERVALS:
                self._settle(sorted(starts)[len(starts) // 2])
        self._merging = False

    def _settle(self, until: float) -> None:
        """Replace the intervals before a moment by their seconds."""
        parts = divide({kind: before(intervals, until) for kind, intervals in self._intervals.items()})
        self._settled = {kind: seconds + parts[kind] for kind, seconds in self._settled.items()}
        self._intervals = {kind: after(intervals, until) for kind, intervals in self._intervals.items()}
        self._settled_until = until

    def _add_settled(self, kind: str, start: float, end: float) -> None:
        """Add an interval of what is settled, by its share of it."""
        whole, settled = self._settled_until - self._start, self._settled
        share, taken = (end - start) / whole, [whole - fsum(settled.values())]
        for later in self._kinds[self._kinds.index(kind) + 1 :]:
            taken.append(settled[later])
            settled[later] *= 1 - share
        settled[kind] += share * max(0.0, fsum(taken))


def union(intervals: list[Interval]) -> list[Interval]:
    """Return the same moments as disjoint intervals in ascending order.

    >>> union([(4.0, 5.0), (1.0, 2.0), (2.0, 3.0)])
    [(1.0, 3.0), (4.0, 5.0)]
    """
    disjoint: list[Interval] = []
    for start, end in sorted(intervals, key=itemgetter(0)):
        if disjoint and start <= disjoint[-1][1]:
            if end > disjoint[-1][1]:
                disjoint[-1] = disjoint[-1][0], end
        else:
            disjoint.append((start, end))
    return disjoint


def divide(intervals: dict[str, list[Interval]]) -> dict[str, float]:
    """Return the seconds of each kind of intervals, where a moment belongs to the first kind that has it."""
    seconds: dict[str, float] = {}
    covered: list[Interval] = []
    length = 0.0
    for kind, of_kind in intervals.items():
        covered = union([*covered, *of_kind])
        longer = fsum(end - start for start, end in covered)
        seconds[kind] = max(0.0, longer - length)
        length = longer
    return seconds


def before(intervals: list[Interval], moment: float) -> list[Interval]:
    """Return the part of some intervals that is before a moment."""
    return [(start, min(end, moment)) for start, end in intervals if start < moment]


def after(intervals: list[Interval], moment: float) -> list[Interval]:
    """Return the part of some intervals that is after a moment."""
    return [(max(start, moment), end) for start, end in intervals if end > moment]
