"""One mutant, run against the tests that can notice it."""

from __future__ import annotations

import difflib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from .coverage_map import CoverageMap
from .places import Mutation, Place, mutate
from .working_copy import WorkingCopy

BUDGET = 120.0
"""Seconds of tests that a mutant is run against at most, as they take without it: the first that reach it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a mutant.

    ``by`` is the test that noticed it, empty where none did; ``tests`` how many were run against it at most.
    """

    place: Place
    mutation: Mutation
    diff: str
    by: str
    tests: int
    seconds: float


def try_mutant(copy: WorkingCopy, coverage: CoverageMap, place: Place, mutation: Mutation) -> Outcome:
    """Make the mutant in the copy, run the tests until one fails, and restore the file.

    The tests that mirror the file come first, in a run of their own: they import little.
    """
    file = copy.root / place.path
    source = file.read_text()
    mutant = mutate(source, mutation)
    began = monotonic()
    by, tried = "", 0
    try:
        file.write_text(mutant)
        budget = BUDGET
        for tests in coverage.tests(place):
            chosen = within(budget, tests, coverage.seconds)
            tried += len(chosen)
            budget -= sum(coverage.seconds[name] for name in chosen)
            if by := first_failure(copy, chosen, coverage):
                break
    finally:
        file.write_text(source)
    lines = difflib.unified_diff(source.splitlines(), mutant.splitlines(), place.path, place.path, lineterm="", n=2)
    return Outcome(place, mutation, "\n".join(lines), by, tried, monotonic() - began)


def within(budget: float, tests: Sequence[str], seconds: dict[str, float]) -> list[str]:
    """Return the first of the tests that take no longer than the budget together."""
    chosen = []
    for name in tests:
        budget -= seconds[name]
        if budget < 0:
            break
        chosen.append(name)
    return chosen


def first_failure(copy: WorkingCopy, tests: Sequence[str], coverage: CoverageMap) -> str:
    """Run the tests, one environment after the other, and return the first that fails, or an empty string.

    It is ``timeout`` where they do not end, and ``import`` where they cannot even be collected.

    Raises:
        RuntimeError: pytest could not run them for a reason of its own.
    """
    by_environment: dict[str, list[str]] = {}
    for name in tests:
        by_environment.setdefault(coverage.environments[name], []).append(name)
    failures = (
        failure_in(copy, environment, names, sum(coverage.seconds[name] for name in names))
        for environment, names in sorted(by_environment.items())
    )
    return next(filter(None, failures), "")


def failure_in(copy: WorkingCopy, environment: str, tests: list[str], seconds: float) -> str:
    """Do so with tests of one environment, which take so many seconds without a mutant."""
    listed = copy.root / ".tests.json"
    listed.write_text(json.dumps(tests))
    files = sorted({name.split("::")[0] for name in tests})
    command = copy.pytest(*files, f"--mutants-tests={listed}", "-x", "--tb=no")
    with subprocess.Popen(
        command,
        cwd=copy.root,
        env=copy.variables(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that whatever the tests started ends with them
    ) as process:
        try:
            output, _ = process.communicate(timeout=60 + 3 * seconds)
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            kill_group(process.pid)
    if process.returncode == 0:
        return ""
    failed = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if failed:
        return failed[0].split(" ", 1)[1].split(" - ")[0]
    if "Traceback" in output or "ImportError" in output:
        return "import"
    raise RuntimeError(f"pytest ended with {process.returncode}:\n{output[-2000:]}")


def kill_group(group: int) -> None:
    """End every process that is left of a group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
