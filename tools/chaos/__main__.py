"""``python -m tools.chaos``: let every part of the studio fail while runs are under way, and see that nothing is lost.

Each fault is tried on SQLite with one process, and on PostgreSQL with one and with four. After each, every accepted run
has to end, and the runs' rows, ``/metrics`` and the model server have to agree. Then the studio is killed with -9 in
every phase of a run, fifty times on each database. It takes about half an hour.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from random import randrange
from time import monotonic

from tests.support.postgresql import running_postgresql
from tools.interrupt import end_on_signals

from .cases import Outcome, try_fault, try_kills
from .faults import FAULTS, Fault
from .report import print_table
from .scene import Scene, open_scene
from .small_disk import small_disk

PLACES = (("sqlite", 1), ("postgresql", 1), ("postgresql", 4))
"""SQLite lets one process write: the launcher refuses several."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the cases that are asked for, print a table of them, and return 1 where one failed."""
    options = parse(arguments)
    end_on_signals()
    print(f"seed {options.seed}", flush=True)
    began = monotonic()
    outcomes: list[Outcome] = []
    for database, workers in PLACES:
        if database in options.database and workers in options.workers:
            chosen = [
                FAULTS[name]
                for name in options.fault
                if database in FAULTS[name].databases and workers in FAULTS[name].workers
            ]
            outcomes += try_place(database, workers, chosen, options)
    print_table(outcomes)
    failed = sum(bool(outcome.faults) for outcome in outcomes)
    print(f"\n{len(outcomes)} cases, {failed} failed, seed {options.seed}, {(monotonic() - began) / 60:.0f} min")
    return int(failed > 0)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    lines = "\n".join(f"  {fault.name:26}{fault.about}" for fault in FAULTS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tools.chaos",
        description=__doc__,
        epilog=f"faults:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--fault", nargs="*", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help="these alone (default: all)")
    add("--database", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"], help="(both)")
    add("--workers", nargs="+", type=int, choices=(1, 4), default=[1, 4], help="processes (default: 1 4)")
    add("--kills", type=int, default=50, help="kills with -9 on each database, 0 for none (default: 50)")
    add("--seed", type=int, default=randrange(10**6), help="of all that is random (default: a new one)")
    return parser.parse_args(arguments)


def try_place(database: str, workers: int, faults: Sequence[Fault], options: argparse.Namespace) -> list[Outcome]:
    """Try faults one after the other on one studio, on a new one after each that failed; then the kills on another."""
    outcomes: list[Outcome] = []
    with ExitStack() as resources:
        disk = resources.enter_context(small_disk())
        server = None
        if database == "postgresql":
            server = resources.enter_context(running_postgresql(disk))
        remaining = list(faults)
        while remaining:
            with open_scene(workers, options.seed, server=server, disk=disk) as scene:
                scene.start()
                while remaining:
                    fault = remaining.pop(0)
                    print(f"{database}, {workers} workers: {fault.name} ({fault.about})", flush=True)
                    outcomes.append(attempt(scene, fault))
                    if outcomes[-1].faults:
                        break
        if options.kills and workers == 1:
            print(f"{database}, {workers} workers: killed with -9, {options.kills} times", flush=True)
            with open_scene(workers, options.seed, server=server, disk=disk) as scene:
                scene.start()
                outcomes.append(attempt(scene, options.kills))
    return outcomes


def attempt(scene: Scene, what: Fault | int) -> Outcome:
    """Try a fault or a number of kills; what stops it is its fault too, and the studio's log is printed."""
    try:
        outcome = try_kills(scene, what) if isinstance(what, int) else try_fault(scene, what)
    except Exception as error:
        traceback.print_exc()
        name = f"{what} kills" if isinstance(what, int) else what.name
        database = "sqlite" if scene.server is None else "postgresql"
        outcome = Outcome(name, database, scene.workers, faults=[f"{type(error).__name__}: {error}"])
    if outcome.faults:
        print("".join(scene.studio.lines[-200:]))
    verdict = "FAIL: " + "; ".join(outcome.faults) if outcome.faults else outcome.skipped or "pass"
    print(f"  {verdict} ({outcome.seconds:.1f} s)", flush=True)
    return outcome


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
