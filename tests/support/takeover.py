"""A simulation of hosts that die: when their runs are taken over by the sweeps of the others, and how often in vain."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from random import Random

BEAT = 2.0
"""Seconds between two renewals of a lease."""

JITTER = 0.1
"""By which part of it a wait between two sweeps is longer or shorter."""


@dataclass(frozen=True, kw_only=True)
class Sweepers:
    """The processes that are left, and what they find; times are in seconds.

    Attributes:
        processes: How many there are.
        runs: The runs of those that died, all at once.
        lease: How long these still count as alive after their last beat.
        interval: The wait between two sweeps of a process.
        statement: How long a process takes for one run: a conditional UPDATE, which the first of several does.
        in_order: Whether all of them begin with the same run.
    """

    processes: int
    runs: int
    lease: float = 15.0
    interval: float = 5.0
    statement: float = 0.002
    in_order: bool = False


@dataclass(frozen=True)
class Takeover:
    """The result.

    Attributes:
        seconds: From the death until the last run was queued again.
        statements: How many UPDATEs were sent for each run.
    """

    seconds: float
    statements: float


def simulate(sweepers: Sweepers, seed: int) -> Takeover:
    """Return what becomes of the runs, by an order of events that the seed decides."""
    random = Random(seed)
    lapse = sweepers.lease - random.uniform(0, BEAT)
    taken: dict[int, float] = {}
    statements = 0
    left: dict[int, list[int]] = {}
    events: list[tuple[float, int]] = []
    for process in range(sweepers.processes):
        moment = random.uniform(0, sweepers.interval)
        while moment < lapse:
            moment += sweepers.interval * random.uniform(1 - JITTER, 1 + JITTER)
        heapq.heappush(events, (moment, process))
    while events:
        now, process = heapq.heappop(events)
        if process not in left:  # its sweep begins: it reads what is there
            left[process] = [run for run in range(sweepers.runs) if run not in taken]
            if not sweepers.in_order:
                random.shuffle(left[process])
            left[process].reverse()
        if left[process]:
            statements += 1
            done = now + sweepers.statement
            taken.setdefault(left[process].pop(), done)
            heapq.heappush(events, (done, process))
    return Takeover(max(taken.values()), statements / sweepers.runs)
