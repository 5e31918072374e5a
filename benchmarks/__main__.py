"""``python -m benchmarks``: run every benchmark in a process of its own, and print or write the results."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from time import monotonic

from . import BENCHMARKS, OF_THIS_MACHINE
from .measurement import Claim
from .report import as_markdown, write

SLACK = 0.25
"""Share of its bar by which a figure may miss it in the short form: machines differ, and may be busy."""


def main() -> int:
    """Run the benchmarks; with ``--short`` write nothing, and fail where a bar is missed by more than a quarter."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("benchmarks", nargs="*", metavar="benchmark", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument(
        "--short", action="store_true", help="few rounds, nothing written, fail where a bar is missed by far"
    )
    parser.add_argument(
        "--bare", action="store_true", help=argparse.SUPPRESS
    )  # one benchmark, in this process, as JSON
    options = parser.parse_args()
    if unknown := set(options.benchmarks) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    names = options.benchmarks or [name for name in BENCHMARKS if not (options.short and name in OF_THIS_MACHINE)]
    if options.bare:
        claims = import_module(f"{__package__}.{names[0]}").measure(options.short)
        print(json.dumps([asdict(claim) for claim in claims]))
        return 0
    claims = [claim for name in names for claim in run_benchmark(name, options.short)]
    print(as_markdown(claims))
    if options.short:
        missed = [claim for claim in claims if claim.is_far_off(SLACK)]
        for claim in missed:
            print(f"far off: {claim.what}", file=sys.stderr)
        return int(bool(missed))
    if not options.benchmarks:  # the results of some would replace those of all
        write(claims)
    return 0


def run_benchmark(name: str, short: bool) -> list[Claim]:
    """Run a benchmark in a process of its own, since it leaves heaps and registries behind.

    Raises:
        CalledProcessError: it failed; its standard error says why.
    """
    began = monotonic()
    command = [sys.executable, "-m", "benchmarks", "--bare", *(["--short"] if short else []), name]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    print(f"{name}: {monotonic() - began:.0f} s", file=sys.stderr)
    return [Claim(**claim) for claim in json.loads(done.stdout.splitlines()[-1])]


if __name__ == "__main__":
    sys.exit(main())
