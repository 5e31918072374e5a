"""Which tests run which lines, and how long they take: measured once for a state of the code."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from .places import Place
from .working_copy import WorkingCopy

PACKAGES = ("events", "metrics")
"""What is mutated."""

BRIDGES = "tests/events/bridges"
SUITES: dict[str, tuple[str, ...]] = {
    "": ("tests/events", "tests/metrics", "--ignore-glob=*_versions.py"),
    "models": ("-m", "models", BRIDGES),
    "sdks": ("-m", "sdk", f"{BRIDGES}/pydantic_ai", f"{BRIDGES}/sdk_clients"),
    "servers": ("-m", "servers", f"{BRIDGES}/asgi"),
    "drivers": ("-m", "drivers", f"{BRIDGES}/sqlalchemy"),
    "queues": ("-m", "queues", "tests/metrics/processes"),
}
"""The tests that are to notice, without those that run others again on older libraries.

By the environment that they need, a folder in `.venv`, as the Makefile has them.
"""


@dataclass(frozen=True)
class CoverageMap:
    """The lines that each test runs, from coverage's contexts, the seconds that each takes, and its environment."""

    root: Path
    database: Path
    seconds: dict[str, float]
    environments: dict[str, str]

    @cached_property
    def _data(self) -> Any:
        data = import_module("coverage").CoverageData(str(self.database))
        data.read()
        return data

    def tests(self, place: Place) -> tuple[list[str], list[str]]:
        """Return the tests that run a place's statement: those that mirror its file, and all others, `in_order`.

        A statement that only runs on import, or in another process, belongs to every test that mirrors its file, to
        those of the packages around it, and to those that run any line of it; where there is none, as for tables, to
        every test.
        """
        lines = self._data.contexts_by_lineno(str(self.root / place.path))
        statement = {name for line in range(place.first_line, place.last_line + 1) for name in lines.get(line, ())}
        of_file = {name for names in lines.values() for name in names}
        mirrored = {name for name in self.seconds if mirrors(name, place.path)}
        found = [] if place.runs_on_import else self._known(statement)
        if not found:
            mirrored |= {name for name in self.seconds if is_of_package(name, place.path)}
            found = self._known(of_file) or [*self.seconds]
            found = self._known(f"{name}|run" for name in {*found, *mirrored})
        return [name for name in found if name in mirrored], [name for name in found if name not in mirrored]

    def _known(self, contexts: Iterable[str]) -> list[str]:
        names = {context.rpartition("|")[0] for context in contexts} & self.seconds.keys()
        return in_order({name: self.seconds[name] for name in names})


def in_order(seconds: dict[str, float]) -> list[str]:
    """Return tests, fastest first; the second case of a parametrized test comes as if it took twice as long, and so on.

    What the first cases do not notice, another test notices more likely than the twentieth case.
    """
    cases: Counter[str] = Counter()
    cost = {}
    for name in sorted(seconds, key=lambda name: (seconds[name], name)):
        function = name.partition("[")[0]
        cases[function] += 1
        cost[name] = seconds[name] * cases[function], name
    return sorted(cost, key=lambda name: cost[name])


def mirrors(test: str, path: str) -> bool:
    """Return whether a test is in the folder that mirrors a module's, or in the file of that module."""
    folder = PurePosixPath("tests") / PurePosixPath(path).parent
    file = PurePosixPath(test.split("::", maxsplit=1)[0])
    return file.parent == folder or file.stem == f"test_{PurePosixPath(path).stem}"


def is_of_package(test: str, path: str) -> bool:
    """Return whether a test is in a folder that mirrors a package around a module's: such tests are of all in it."""
    return PurePosixPath(test.split("::", maxsplit=1)[0]).parent in (PurePosixPath("tests") / path).parent.parents


def measure(copy: WorkingCopy, workers: int) -> CoverageMap:
    """Run all tests once in the copy, which takes minutes, or return what was measured of the same files before.

    Raises:
        SystemExit: no test of an environment passed.
    """
    database = copy.root / ".coverage-contexts"
    seconds: dict[str, float] = {}
    environments: dict[str, str] = {}
    for environment, tests in SUITES.items():
        measured = measure_suite(copy, workers, environment, tests, database)
        print(f"{len(measured)} tests{environment and f' with .venv/{environment}'}", flush=True)
        seconds |= measured
        environments |= dict.fromkeys(measured, environment)
    return CoverageMap(copy.root, database, seconds, environments)


def measure_suite(
    copy: WorkingCopy, workers: int, environment: str, tests: Sequence[str], database: Path
) -> dict[str, float]:
    """Return the seconds of each test of an environment that passes; add the lines that it runs to the database."""
    durations = copy.root / f".durations-{environment}.json"
    if not durations.exists():
        options = [f"--cov={package}" for package in PACKAGES] + [
            "--cov-context=test",
            "--cov-append",
            "--cov-report=",
            "--cov-fail-under=0",
        ]
        command = copy.pytest(*tests, *options, f"--mutants-durations={durations}", f"--numprocesses={workers}")
        ran = subprocess.run(
            [*command, "--dist=loadfile"],
            cwd=copy.root,
            env=copy.variables(environment) | {"COVERAGE_FILE": str(database)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not durations.exists():
            raise SystemExit(f"the tests did not run:\n{ran.stdout[-4000:]}")
        if ran.returncode:
            print(f"without the tests that fail as it is:\n{ran.stdout[-4000:]}", flush=True)
    measured: dict[str, float] = json.loads(durations.read_text())
    return measured
