"""``python -m benchmarks``: measure every claim, each row in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from time import monotonic

from .measuring import Claim
from .report import as_markdown, write
from .table import ROWS

SLACK = 0.25
"""How far off a ratio fails the short form: other machines, and busy ones, measure otherwise."""


def main() -> int:
    """Run the rows; with ``--short`` nothing is written, and a figure off by more than a quarter is a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"which ones, of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--short", action="store_true", help="few rounds, nothing written, a failure far off")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)  # one row, in this process, as JSON
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    rows = options.rows or ROWS
    if options.bare:
        claims = import_module(f"{__package__}.{rows[0]}").measure(options.short)
        print(json.dumps([asdict(claim) for claim in claims]))
        return 0
    claims = [claim for row in rows for claim in measured(row, options.short)]
    print(as_markdown(claims))
    if options.short:
        missed = [claim for claim in claims if claim.is_far_off(SLACK)]
        for claim in missed:
            print(f"far off: {claim.what}", file=sys.stderr)
        return int(bool(missed))
    if not options.rows:  # a part would leave the rest out of what is written
        write(claims)
    return 0


def measured(row: str, short: bool) -> list[Claim]:
    """Measure a row in a process of its own, since rows leave heaps and registries behind.

    Raises:
        CalledProcessError: it failed; it said why.
    """
    began = monotonic()
    command = [sys.executable, "-m", "benchmarks", "--bare", *(["--short"] if short else []), row]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    print(f"{row}: {monotonic() - began:.0f} s", file=sys.stderr)
    return [Claim(**claim) for claim in json.loads(done.stdout.splitlines()[-1])]


if __name__ == "__main__":
    sys.exit(main())
