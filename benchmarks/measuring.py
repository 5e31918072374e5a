"""How it is measured: alternately, many times, and told as medians with ranges."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median
from time import process_time
from typing import Literal


@dataclass(frozen=True)
class Claim:
    """A figure with its bar. ``runs`` holds what was measured, by whom it was measured on."""

    what: str
    bar: float
    better: Literal["higher", "lower"]
    measured: float
    unit: str
    runs: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    def misses(self, slack: float = 0.0) -> bool:
        """Tell whether the bar is missed by more than a share of it."""
        if self.better == "higher":
            return self.measured < self.bar * (1 - slack)
        return self.measured > self.bar * (1 + slack)


def alternately(
    ways: dict[str, Callable[[], object]], rounds: int, before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Time each way in turn, so that what else the machine does hits all of them.

    A run is the best of three, in CPU seconds of this process; ``before`` is done before each, untimed.
    """
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()  # the garbage of the one is not the other's
            best = inf
            for _ in range(3):
                before()
                began = process_time()
                way()
                best = min(best, process_time() - began)
            runs[name].append(best)
    return runs


def times_faster(runs: dict[str, list[float]], ours: str, theirs: str) -> float:
    """Give the median of the ratios of runs that were made one after the other."""
    return median(their / our for our, their in zip(runs[ours], runs[theirs], strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that so large a share of all does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
