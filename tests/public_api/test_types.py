"""Type checkers see what is wrong at a call: a misspelt field, a missing one, one of another type.

The calls are in the modules beside this one, each wrong one marked with an ignore.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CALLS = sorted(Path(__file__).parent.glob("*_calls.py"))
IGNORE = re.compile(r"  # type: ignore\[(?P<code>[\w-]+)\].*$", re.MULTILINE)


class Mistake(NamedTuple):
    """An error that a type checker has to find, or has found."""

    file: str
    line: int
    code: str


class Checked(NamedTuple):
    """What the checkers have to find in the modules without their ignores, and what one found with and without."""

    expected: list[Mistake]
    with_ignores: list[Mistake]
    without_ignores: list[Mistake]


def run_checker(*arguments: object) -> str:
    """Return what a checker prints; its standard error has to be empty."""
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


def run_mypy(paths: list[Path]) -> list[Mistake]:
    """Check files with mypy, strict as in the whole repository; an ignore without an error is a mistake too."""
    options = ("--config-file", ROOT / "pyproject.toml", "--no-error-summary", "--output", "json")
    found: list[dict[str, Any]] = [json.loads(line) for line in run_checker("mypy", *options, *paths).splitlines()]
    errors = [one for one in found if one["severity"] == "error"]
    return [Mistake(Path(one["file"]).name, one["line"], one["code"]) for one in errors]


def run_pyright(paths: list[Path]) -> list[Mistake]:
    """Check files with pyright, strict as they ask for themselves; an ignore without an error is a mistake too."""
    output = run_checker("pyright", "--pythonpath", sys.executable, "--outputjson", *paths)
    found: list[dict[str, Any]] = json.loads(output)["generalDiagnostics"]
    return [Mistake(Path(one["file"]).name, one["range"]["start"]["line"] + 1, one.get("rule", "")) for one in found]


@pytest.fixture(scope="module", params=[run_mypy, run_pyright])
def checked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """Check the modules, and copies of them without the ignores, in one run: to start a checker takes seconds."""
    check: Callable[[list[Path]], list[Mistake]] = request.param
    folder = tmp_path_factory.mktemp("calls")
    expected: list[Mistake] = []
    copies: list[Path] = []
    for path in CALLS:
        source = path.read_text(encoding="utf-8")
        copies.append(folder / f"wrong_{path.name}")
        copies[-1].write_text(IGNORE.sub("", source), encoding="utf-8")
        for number, line in enumerate(source.splitlines(), start=1):
            if found := IGNORE.search(line):
                expected.append(Mistake(copies[-1].name, number, found["code"]))
    mistakes = check([*CALLS, *copies])
    originals = {path.name for path in CALLS}
    return Checked(
        expected,
        [mistake for mistake in mistakes if mistake.file in originals],
        [mistake for mistake in mistakes if mistake.file not in originals],
    )


@pytest.mark.slow
def test_right_calls_pass_and_each_wrong_one_is_seen(checked: Checked) -> None:
    """An ignore that ignores nothing is an error, so an error that is no longer seen shows."""
    assert checked.with_ignores == []


@pytest.mark.slow
def test_without_the_ignores_every_marked_line_is_an_error(checked: Checked) -> None:
    assert {mistake[:2] for mistake in checked.without_ignores} == {mistake[:2] for mistake in checked.expected}


@pytest.mark.parametrize("checked", [run_mypy], indirect=True)
def test_each_error_is_the_one_that_the_ignore_names(checked: Checked) -> None:
    """The ignores name errors by mypy's codes; a wrong call of an overload may be two errors of one code."""
    assert sorted({*checked.without_ignores}) == sorted(checked.expected)
