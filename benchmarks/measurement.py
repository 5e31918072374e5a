"""Measure variants in turns, many times, and compare their medians with a bar."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median
from time import process_time
from typing import Literal

Runs = dict[str, list[float]]
"""The figures of every round, by the name of what was measured."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A measured figure and the bar that it is compared with.

    ``ours`` and each of the ``peers`` hold one figure a round; their medians are compared with the bar. ``runs`` holds
    the measurements that they are computed from, with their unit in the key.
    """

    what: str
    bar: float
    better: Literal["higher", "lower"]
    unit: str
    ours: list[float]
    peers: Runs = field(default_factory=dict)
    runs: Runs = field(default_factory=dict)
    note: str = ""

    @property
    def measured(self) -> float:
        """The median of ``ours``, which is compared with the bar."""
        return median(self.ours)

    def misses(self) -> bool:
        """Return whether the bar is missed."""
        return self.measured < self.bar if self.better == "higher" else self.measured > self.bar

    def is_far_off(self, slack: float) -> bool:
        """Return whether the figure misses the bar by more than this share of it."""
        if self.better == "higher":
            return self.measured < self.bar * (1 - slack)
        return self.measured > self.bar * (1 + slack)


def alternately(
    variants: Mapping[str, Callable[[], object]],
    rounds: int,
    before: Callable[[], object] = lambda: None,
    tries: int = 3,
    clock: Callable[[], float] = process_time,
) -> Runs:
    """Time each variant in turn, so that other load on the machine affects all of them alike.

    A run is the best of ``tries``, in CPU seconds of this process; ``before`` is called before each try and not timed.
    """
    runs: Runs = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            gc.collect()  # one's garbage is not collected in the other's time
            best = inf
            for _ in range(tries):
                before()
                began = clock()
                variant()
                best = min(best, clock() - began)
            runs[name].append(best)
    return runs


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the quotients of what was measured in the same round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
