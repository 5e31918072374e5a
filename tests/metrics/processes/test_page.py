"""Each snippet of docs/other-processes.md is a program that a test here runs, or a module that one imports."""

from __future__ import annotations

from pathlib import Path

from tests.support.page_processes import OTHER_PROCESSES
from tests.support.page_snippets import code_blocks

IMPORTED = {"counting.py", "work.py"}


def test_each_snippet_is_run() -> None:
    names = [block.split()[1] for block in code_blocks("python", OTHER_PROCESSES)]
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    run = {name for name in names if f'"{name}"' in tests or f'"{name.removesuffix(".py")}:app"' in tests}
    assert sorted(run | IMPORTED) == sorted(names)
