"""The counts of a studio since the demonstration began, added up over the ends of its processes."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

STATUSES = ("completed", "failed", "cancelled")


class Counting(Protocol):
    """A studio whose counters begin at 0 with each of its processes."""

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name whose labels include these."""


class Totals:
    """The sums of a studio's counters over all of its processes."""

    def __init__(self, studio: Counting) -> None:
        self._studio = studio
        self._before: Counter[str] = Counter()

    def carry_over(self) -> None:
        """Remember what the running process has counted, as it is about to end."""
        self._before = self._now()

    def summary(self) -> str:
        """Return one line: runs by how they ended, model calls and their cost."""
        now = self._now()
        runs = ", ".join(f"{now[status]:.0f} {status}" for status in STATUSES)
        return f"runs: {runs}; {now['calls']:.0f} model calls, {now['cost']:.2f} USD that nobody pays"

    def _now(self) -> Counter[str]:
        total = self._studio.total
        counted = {status: total("workflows_total", status=status) for status in STATUSES}
        counted |= {"calls": total("llm_requests_total"), "cost": total("llm_cost_usd_total")}
        return Counter({name: self._before[name] + number for name, number in counted.items()})
