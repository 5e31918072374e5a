"""The staged package says its own name everywhere, and is the code of the repository otherwise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.wheel.renaming import is_same_code
from tools.wheel.staging import FOLDERS, stage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OTHER_MEANINGS = {
    "commands/replay_command.py": 1,  # a word of a sentence
    "diagnostics/otel.py": 1,  # a key of a file
    "exposition/endpoint.py": 1,  # the name of the thread that renders
    "kit/pipeline_panels.py": 1,  # a unit
    "live/flow_map.py": 4,  # the kind of a listener
    "subscription/receiver.py": 1,  # the value of the label `receiver`
}
"""Files of `metrics` that have a string which is a package's name and means something else, and how many of them."""


def strings(path: Path) -> list[str]:
    """Return the constant strings of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_no_string_is_left_that_is_the_name_of_a_package(sparklio_path: Path) -> None:
    """One that is used as such is taken from ``__name__``; one that means something else is in the table above."""
    package = sparklio_path / "sparklio"
    beginnings = {
        path: re.findall(r"(?m)^(?:events|metrics|traces)\.(?:[a-z_]+\.)*$", "\n".join(strings(path)))
        for path in package.rglob("*.py")
    }
    assert not {path: found for path, found in beginnings.items() if found}
    metrics = package / "metrics"
    counted = {
        str(path.relative_to(metrics)): sum(text in ("events", "metrics") for text in strings(path))
        for path in metrics.rglob("*.py")
    }
    assert {path: number for path, number in counted.items() if number} == OTHER_MEANINGS


def test_code_and_line_numbers_are_those_of_the_repository(sparklio_path: Path) -> None:
    for path in (sparklio_path / "sparklio").rglob("*.py"):
        if path.parent.name != "sparklio":
            ours, staged = (ROOT / path.relative_to(sparklio_path / "sparklio")).read_text(), path.read_text()
            assert staged.count("\n") == ours.count("\n")
            assert is_same_code(ast.parse(staged), ast.parse(ours))


def test_examples_in_its_docstrings_run(sparklio_path: Path) -> None:
    program = """
import doctest, sys
from importlib import import_module
from pathlib import Path

folder = Path(sys.argv[1])
tried = 0
for path in sorted((folder / "sparklio").rglob("*.py")):
    if ">>> " in path.read_text():
        name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        result = doctest.testmod(import_module(name))
        assert not result.failed
        tried += result.attempted
assert not {"events", "metrics", "traces"} & sys.modules.keys()
print(tried)
"""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program, sparklio_path],
        env={"PYTHONPATH": str(sparklio_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(ran.stdout) > 50


def test_a_file_that_cannot_be_renamed_is_named(tmp_path: Path) -> None:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("import metrics.rows\n" if folder == "metrics" else "")
    with pytest.raises(ValueError, match=r"metrics/__init__\.py: line 1: import metrics\.rows by"):
        stage(tmp_path, tmp_path / "staged", "1.0")
