"""``python -m tools.chaos_hosts``: let hosts that share a database fail at random, and judge all that has happened.

Hosts are launchers with a host name, folders and a network to PostgreSQL of their own. Clients submit runs to any of
them and cancel some through any other, while hosts are killed, cut off, suspended, restarted and upgraded. When all is
whole again and every run has ended, a checker goes through the history of the database, of the model server and of all
hosts: each run began once and ended once, no two hosts had it at a time, no finished step was done again, and every
token is stored and counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import randrange
from time import monotonic

from tools.interrupt import end_on_signals

from .chaos import Chaos
from .faults import FAULTS
from .lab import Lab, open_lab
from .report import describe
from .scaling import measure_scaling

NAMES = tuple(f"host{letter}" for letter in "abcdefghij")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print a report, and return 1 where a rule was broken."""
    options = parse(arguments)
    end_on_signals()
    if options.scaling:
        measure_scaling(options.hosts, options.runs, options.seed, print)
        return 0
    print(f"seed {options.seed}", flush=True)
    names = NAMES[: options.hosts]
    total = options.total or None
    with open_lab(names, options.seed, lease=options.lease, step_time=options.step_time, total=total) as lab:
        lab.start()
        return run_chaos(lab, options)


def run_chaos(lab: Lab, options: argparse.Namespace) -> int:
    """Run the chaos on a lab that is started, wait, judge and report; return the exit code."""
    began = monotonic()
    chaos = Chaos(
        lab,
        [FAULTS[name] for name in options.fault],
        runs=options.runs,
        seconds=60 * options.minutes,
        seed=options.seed,
        report=lambda line: print(line, flush=True),
    )
    chaos.run()
    print(f"{monotonic() - began:6.0f} s: all is whole again; {lab.status()}", flush=True)
    violations = lab.settle()
    history = lab.history()
    print(f"\n{describe(history, violations)}\n")
    if options.history is not None:
        options.history.write_text(json.dumps(asdict(history), indent=1))
    if violations and options.logs is not None:
        options.logs.mkdir(parents=True, exist_ok=True)
        for host in lab.hosts.values():
            (options.logs / f"{host.name}.log").write_text(host.output)
    print(f"{'FAIL' if violations else 'PASS'}, seed {options.seed}, {(monotonic() - began) / 60:.1f} min")
    return int(bool(violations))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    lines = "\n".join(f"  {kind.name:12}{kind.about}" for kind in FAULTS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tools.chaos_hosts",
        description=__doc__,
        epilog=f"faults:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--runs", type=int, default=500, help="runs that are submitted (default: %(default)s)")
    add("--minutes", type=float, default=10.0, help="in which they are, and faults happen (default: %(default)g)")
    add("--hosts", type=int, choices=range(2, len(NAMES) + 1), default=3, metavar="N", help="(default: %(default)s)")
    add(
        "--total",
        type=int,
        default=8,
        metavar="N",
        help="runs at once on all hosts, 0 for no limit (default: %(default)s)",
    )
    add("--fault", nargs="*", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help="these alone (default: all)")
    add("--lease", type=float, default=6.0, help="seconds of a lease (default: %(default)g)")
    add("--step-time", type=float, default=1.0, help="seconds of a model call, about (default: %(default)g)")
    add("--seed", type=int, default=randrange(10**6), help="of all that is random (default: a new one)")
    add("--history", type=Path, metavar="FILE", help="write the history there, as JSON")
    add("--logs", type=Path, metavar="FOLDER", help="write the hosts' logs there where a rule was broken")
    add("--scaling", action="store_true", help="measure runs/s with one host and more, without faults")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
