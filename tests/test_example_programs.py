"""The examples beside their runs: what they import, that they are short, well typed and checked, and their README."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.page_snippets import code_blocks
from tests.support.typed_programs import check_types

EXAMPLES = Path(__file__).parents[1] / "examples"
SHOP = EXAMPLES / "shop"
PROGRAMS = sorted(SHOP.glob("*.py"))


def run_in_copy(folder: Path, sparklio_path: Path, *words: str) -> str:
    """Return what Python prints in a copy of the shop, where the package is as the wheel installs it."""
    shutil.copytree(SHOP, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(sparklio_path)}
    ran = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_the_shop_s_own_test_passes(tmp_path: Path, sparklio_path: Path) -> None:
    options = ("-q", "-p", "sparklio.pytest_plugin", "-p", "no:asyncio", "-p", "no:randomly")
    assert "1 passed" in run_in_copy(tmp_path, sparklio_path, "-W", "error", "-m", "pytest", *options)


@pytest.mark.slow
def test_the_programs_pass_the_check(tmp_path: Path, sparklio_path: Path) -> None:
    assert run_in_copy(tmp_path, sparklio_path, "-m", "sparklio.metrics", "check").startswith("ok: ")
    assert not (tmp_path / "shop.db").exists()  # nothing is run for it


@pytest.mark.slow
def test_the_programs_are_well_typed(tmp_path: Path, sparklio_path: Path) -> None:
    """But for the notebook, which is read, not imported."""
    typed = [path.name for path in PROGRAMS if path.name not in ("forecast.py", "test_shop.py")]
    assert check_types(SHOP, typed, sparklio_path, tmp_path / "mypy.ini") == (0, "")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_imports_what_an_application_has_and_fits_on_two_pages(program: Path) -> None:
    tree = ast.parse(program.read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not {name.partition(".")[0] for name in imported} & {"app", "events", "metrics", "traces", "backend"}
    assert len(program.read_text().splitlines()) <= 100


def test_the_readme_has_each_program_and_how_to_run_it() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    assert {*re.findall(r"\]\((shop/\w+\.py)\)", readme)} == {f"shop/{path.name}" for path in PROGRAMS}
    commands = "\n".join(code_blocks("sh", EXAMPLES / "README.md"))
    for start in ("uvicorn shop:app", "python worker.py", "python nightly.py", "python -i forecast.py", "pytest"):
        assert re.search(rf"^(\w+=\S+ )?{re.escape(start)}", commands, re.MULTILINE), start


@pytest.mark.slow
@pytest.mark.needs("promtool")
def test_the_configuration_of_prometheus_is_valid() -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", str(SHOP / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
