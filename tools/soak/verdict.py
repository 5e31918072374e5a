"""Whether what was read at the start of a soak and at its end is the same, within what each figure may differ by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MB = 1_000_000.0


@dataclass(frozen=True)
class Allowance:
    """By how much a figure may be more at the end than at the start: a share of it, and an amount."""

    unit: str
    share: float
    amount: float


ALLOWANCES: Mapping[str, Allowance] = {
    "memory": Allowance("MB", 0.05, 5.0),
    "descriptors": Allowance("", 0.0, 6.0),
    "threads": Allowance("", 0.0, 3.0),
    "series": Allowance("", 0.01, 0.0),
    "processor": Allowance("ms", 0.25, 1.0),
    "latency": Allowance("ms", 0.5, 10.0),
}
"""By the first word of a figure's name.

Descriptors and threads come and go with connections, and with the threads of pools. Latency is compared with that of
`/health/live`, which does nothing: others use the machine too. The processor time of all processes for an answer says
whether the work has grown.
"""


@dataclass(frozen=True)
class Comparison:
    """A figure at the start and at the end.

    Attributes:
        name: Its name, whose first word says which allowance it has.
        start: It at the start.
        end: It at the end.
        machine: How many times slower the machine was at the end.
    """

    name: str
    start: float
    end: float
    machine: float = 1.0

    @property
    def allowance(self) -> Allowance:
        """How much more it may be at the end."""
        return ALLOWANCES[self.name.split()[0]]

    @property
    def limit(self) -> float:
        """The most that it may be at the end."""
        return self.start * (1 + self.allowance.share) * max(1.0, self.machine) + self.allowance.amount

    @property
    def is_flat(self) -> bool:
        """Whether it is no more than that."""
        return self.end <= self.limit

    def __str__(self) -> str:
        """Return the figure as a line of a table."""
        unit = self.allowance.unit
        verdict = "flat" if self.is_flat else f"GREW by {self.end - self.start:.1f} {unit}".rstrip()
        return f"{self.name:<32} {self.start:>9.1f} {self.end:>9.1f} {unit:<3} at most {self.limit:>9.1f}  {verdict}"


def compare(name: str, start: Sequence[float], end: Sequence[float]) -> Comparison:
    """Return the comparison of the medians of what was read at the start and at the end."""
    return Comparison(name, median(start), median(end))


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the 50th and the 95th percentile."""
    ordered = sorted(values)
    return median(ordered), ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
