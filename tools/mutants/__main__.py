"""``python -m tools.mutants``: change the code at random places, one at a time, and see whether a test fails.

Each mutant runs in a copy of the repository, against the tests that reach it, until the first fails. What no test
noticed is printed as a diff.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from random import Random, randrange
from time import monotonic

from .coverage_map import PACKAGES, measure
from .places import Mutation, Place, sample
from .trial import Outcome, first_failure, try_mutant
from .working_copy import WorkingCopy


def main() -> int:
    """Try a sample of mutants; fail where fewer are noticed than the floor says."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=main.__doc__)
    parser.add_argument("--number", type=int, default=200, help="how many mutants (default: 200)")
    parser.add_argument("--seed", type=int, default=randrange(10**6), help="of the sample (default: a new one)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many at once (default: cores)")
    parser.add_argument("--floor", type=float, default=0.9, help="share that has to be noticed (default: 0.9)")
    parser.add_argument("paths", nargs="*", default=PACKAGES, help="folders to mutate (default: events metrics)")
    options = parser.parse_args()
    began = monotonic()
    copies = [WorkingCopy.make(number) for number in range(options.workers)]
    print(f"seed {options.seed}; running the tests once, to see which reach what", flush=True)
    coverage = measure(copies[0], options.workers)
    print(f"{len(coverage.seconds)} tests, {monotonic() - began:.0f} s", flush=True)
    for copy in copies:
        quickest = sorted(coverage.seconds, key=lambda name: coverage.seconds[name])[:20]
        if failure := first_failure(copy, quickest, coverage):
            raise SystemExit(f"{failure} fails without a mutant")
    free: SimpleQueue[WorkingCopy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def attempt(drawn: tuple[Place, Mutation]) -> Outcome:
        copy = free.get()
        try:
            return try_mutant(copy, coverage, *drawn)
        finally:
            free.put(copy)

    chosen = sample(copies[0].root, options.paths, options.number, Random(options.seed))  # no secret
    outcomes = []
    with ThreadPoolExecutor(options.workers) as pool:
        for outcome in pool.map(attempt, chosen):
            outcomes.append(outcome)
            word = f"noticed by {outcome.by}" if outcome.by else f"SURVIVED {outcome.tests} tests"
            where = f"{outcome.place.path}:{outcome.place.line}"
            print(f"[{len(outcomes)}/{len(chosen)}] {outcome.seconds:5.1f} s  {where}  {word}", flush=True)
    return report(outcomes, options.seed, options.floor, monotonic() - began)


def report(outcomes: list[Outcome], seed: int, floor: float, seconds: float) -> int:
    """Print the survivors and the share that was noticed; return the exit code."""
    survivors = sorted((each for each in outcomes if not each.by), key=lambda each: (each.place.path, each.place.line))
    for survivor in survivors:
        print(f"\n{survivor.place.path}:{survivor.place.line}, {survivor.tests} tests\n{survivor.diff}")
    noticed = len(outcomes) - len(survivors)
    share = noticed / len(outcomes)
    print(f"\n{noticed} of {len(outcomes)} noticed ({share:.0%}), seed {seed}, {seconds / 60:.0f} min")
    return int(share < floor)


if __name__ == "__main__":
    sys.exit(main())
