"""How it is measured: in turns, many times, and told as medians with ranges."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median
from time import process_time
from typing import Literal

Runs = dict[str, list[float]]
"""What was measured in every round, by whom or what it was measured on."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A figure with its bar.

    ``ours`` and each of the ``peers`` hold one figure a round; their medians are compared with the bar. ``runs`` holds
    what they were reckoned from, its unit in the key.
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
        """The figure that is held against the bar."""
        return median(self.ours)

    def misses(self) -> bool:
        """Tell whether the bar is missed."""
        return self.measured < self.bar if self.better == "higher" else self.measured > self.bar

    def is_far_off(self, slack: float) -> bool:
        """Tell whether the figure misses the bar by more than a share of it."""
        if self.better == "higher":
            return self.measured < self.bar * (1 - slack)
        return self.measured > self.bar * (1 + slack)


def alternately(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    before: Callable[[], object] = lambda: None,
    tries: int = 3,
    clock: Callable[[], float] = process_time,
) -> Runs:
    """Time each way in turn, so that what else the machine does hits all of them.

    A run is the best of some tries, in CPU seconds of this process; ``before`` is done before each, untimed.
    """
    runs: Runs = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()  # the garbage of the one is not the other's
            best = inf
            for _ in range(tries):
                before()
                began = clock()
                way()
                best = min(best, clock() - began)
            runs[name].append(best)
    return runs


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Divide what was measured in the same round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that so large a share of all does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
