"""`events` imports the standard library and blinker alone, so code that emits needs nothing else installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import events

PACKAGE = Path(events.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "bridges" not in path.relative_to(PACKAGE).parts)


def imported_packages(source: str) -> set[str]:
    """Return the top-level packages that a module imports, at its top or inside its functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("events" if node.level else str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_the_standard_library_blinker_and_its_siblings(module: Path) -> None:
    allowed = {*sys.stdlib_module_names, "blinker", "events"}
    assert imported_packages(module.read_text(encoding="utf-8")) <= allowed


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_outside_of_the_bridges_mentions_them(module: Path) -> None:
    assert "bridges" not in module.read_text(encoding="utf-8")


@pytest.mark.slow
def test_importing_events_loads_nothing_else() -> None:
    """Nor does an indirect import."""
    script = """
import sys
before = {*sys.modules}
import events
print(*sorted({name.partition(".")[0] for name in {*sys.modules} - before} - {*sys.stdlib_module_names}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["blinker", "events"]


def test_importing_events_loads_no_event_loop() -> None:
    """Whoever has no asynchronous listener needs none."""
    script = "import sys, events; print(*{'asyncio', 'concurrent.futures'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
