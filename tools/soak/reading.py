"""The readings of a studio, every few seconds: of its processes, and of how many series its metrics have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from tests.support.processes import ProcessUsage, tree_usage
from tests.support.studio import StudioProcess

from .load import NOTHING, Request
from .verdict import MB, Comparison, compare, percentiles


@dataclass(frozen=True)
class Reading:
    """One reading."""

    at: float
    processes: Sequence[ProcessUsage]
    series: int

    @property
    def memory(self) -> float:
        """The sum of the resident memory, in bytes; what processes share is in it several times."""
        return sum(process.memory for process in self.processes)


def read(studio: StudioProcess) -> Reading:
    """Return what there is to read of a studio now."""
    lines = studio.client.get("/metrics").text.splitlines()
    series = sum(not line.startswith("#") for line in lines)
    return Reading(monotonic(), tree_usage(studio.process.pid), series)


@dataclass(frozen=True)
class Window:
    """A part of the time: its readings, and the requests that ended in it."""

    readings: Sequence[Reading]
    requests: Sequence[Request]

    @classmethod
    def between(cls, begin: float, end: float, readings: Sequence[Reading], requests: Sequence[Request]) -> Window:
        """Return the window between two times.

        It has two readings at least: where a scrape took longer than the window, they are those nearest to it.
        """
        within = [reading for reading in readings if begin <= reading.at <= end]
        if len(within) < 2:
            nearest = sorted(readings, key=lambda reading: abs(reading.at - (begin + end) / 2))[:2]
            within = sorted(nearest, key=lambda reading: reading.at)
        return cls(
            within,
            [request for request in requests if begin <= request.ended <= end],
        )


def comparisons(start: Window, end: Window) -> list[Comparison]:
    """Return every figure at the start and at the end: of each process, of all, of the metrics, and of requests.

    Raises:
        ValueError: Processes have ended, or have been started, in between.
    """
    names = _names(start, end)
    found = []
    for what, scale in (("memory", MB), ("descriptors", 1), ("threads", 1)):
        figures = [
            {
                process.pid: [
                    getattr(of, what) / scale
                    for one in window.readings
                    for of in one.processes
                    if of.pid == process.pid
                ]
                for process in window.readings[0].processes
            }
            for window in (start, end)
        ]
        found += [compare(f"{what} of {names[pid]}", values, figures[1][pid]) for pid, values in figures[0].items()]
        if what == "memory":
            sums = [[reading.memory / MB for reading in window.readings] for window in (start, end)]
            found.append(compare("memory of all", *sums))
    series = [[float(reading.series) for reading in window.readings] for window in (start, end)]
    found.append(compare("series", *series))
    costs = [_processor_time(window) for window in (start, end)]
    found.append(Comparison("processor time of an answer", *costs))
    return found + _latencies(start, end)


def _processor_time(window: Window) -> float:
    """Return the milliseconds of processor time that one answer has taken, with all that was done meanwhile."""
    first, *_, last = window.readings
    used = [sum(process.cpu for process in reading.processes) for reading in (first, last)]
    answers = sum(first.at <= request.ended <= last.at for request in window.requests)
    return 1000 * (used[1] - used[0]) / max(1, answers)


def _latencies(start: Window, end: Window) -> list[Comparison]:
    """Return the latency of each kind of request, beside that of doing nothing, which is the machine's."""
    found: list[Comparison] = []
    machine = {"p50": 1.0, "p95": 1.0}
    for kind in (NOTHING, "start", "see", "list", "scrape"):
        timed = [[1000 * each.seconds for each in window.requests if each.kind == kind] for window in (start, end)]
        if not all(timed):
            continue
        for name, before, after in zip(machine, *map(percentiles, timed), strict=True):
            if kind == NOTHING:
                machine[name] = after / before
            found.append(Comparison(f"latency of {kind}, {name}", before, after, machine[name]))
    return found


def _names(start: Window, end: Window) -> dict[int, str]:
    """Return a short name for each process."""
    pids = [{process.pid for reading in window.readings for process in reading.processes} for window in (start, end)]
    if pids[0] != pids[1]:
        raise ValueError(f"processes were replaced: {sorted(pids[0] ^ pids[1])}")
    names = {}
    workers = 0
    for process in start.readings[0].processes:
        if "app.server.worker" in process.command:
            workers += 1
            names[process.pid] = f"worker {workers}"
        else:
            names[process.pid] = "the launcher" if not names else f"process {process.pid}"
    return names
