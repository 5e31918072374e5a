"""Scaling: the runs in a second, and the statements of a run, with one host and with more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import getloadavg
from time import monotonic, sleep

from tests.support.processes import tree_usage

from .lab import Lab, open_lab

STEP_TIME = 0.5  # seconds that the model sleeps
REST = 10.0  # seconds in which the statements of hosts at rest are counted


@dataclass(frozen=True)
class Figures:
    """The figures of a number of hosts.

    Attributes:
        hosts: How many hosts there were.
        rate: Runs that ended in a second, between the first tenth of them and the last.
        statements: Statements of a run.
        boundaries: How many of them begin or end a transaction.
        at_rest: Statements in a second of each host while nothing happens.
        database: Milliseconds of processor time that PostgreSQL takes for a run: what says how many a core of it has.
    """

    hosts: int
    rate: float
    statements: float
    boundaries: float
    at_rest: float
    database: float


def measure_scaling(most: int, runs: int, seed: int, report: Callable[[str], None]) -> list[Figures]:
    """Measure one host, two and so on; each has as many runs to do.

    Args:
        most: The most hosts.
        runs: How many runs each host has to do.
        seed: Where all choices come from.
        report: Called with each line of a table in Markdown.
    """
    figures = []
    report(
        "| hosts | runs/s | statements a run | of them transactions' | statements/s of a host at rest"
        " | PostgreSQL's ms a run | load |"
    )
    report("|---|---|---|---|---|---|---|")
    for number in range(1, most + 1):
        names = [f"host{place}" for place in range(number)]
        with open_lab(names, seed, lease=15.0, step_time=STEP_TIME, sweep_interval=5) as lab:
            lab.start()
            found = _measure(lab, runs * number)
        figures.append(found)
        report(
            f"| {found.hosts} | {found.rate:.2f} | {found.statements:.0f} | {found.boundaries:.0f} |"
            f" {found.at_rest:.1f} | {found.database:.1f} | {getloadavg()[0]:.1f} |"
        )
    return figures


def _measure(lab: Lab, runs: int) -> Figures:
    sleep(REST)  # what follows a start
    before = _statements(lab)
    began = monotonic()
    sleep(REST)
    after = _statements(lab)
    resting = (after[0] - before[0]) / (monotonic() - began) / len(lab.hosts)
    began, computed = monotonic(), _database_seconds(lab)
    for _ in range(runs):
        lab.submit()
    while lab.recorder.unfinished():
        sleep(0.5)
    took, last, computed = monotonic() - began, _statements(lab), _database_seconds(lab) - computed
    ends = [change.at for change in lab.recorder.changes() if change.status == "completed"]
    tenth = len(ends) // 10
    return Figures(
        hosts=len(lab.hosts),
        rate=(len(ends) - 2 * tenth - 1) / (ends[-tenth - 1] - ends[tenth]),
        statements=(last[0] - after[0] - resting * took * len(lab.hosts)) / runs,
        boundaries=(last[1] - after[1]) / runs,
        at_rest=resting,
        database=1000 * computed / runs,
    )


def _statements(lab: Lab) -> tuple[int, int]:
    """Return how many statements all hosts have sent, and how many of them begin or end a transaction."""
    counts = [host.link.statements for host in lab.hosts.values()]
    return sum(count.all for count in counts), sum(count.boundaries for count in counts)


def _database_seconds(lab: Lab) -> float:
    """Return the processor time of the database server, with its backends that live and those that have ended."""
    server = lab.cluster.server.get_pid()
    assert server is not None, "it runs"
    return sum(process.cpu + process.cpu_of_ended for process in tree_usage(server))
