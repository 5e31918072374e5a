"""Each snippet of the two pages is a program that a test here runs, or a module that one imports."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.page_processes import OTHER_PROCESSES, TASK_QUEUES
from tests.support.page_snippets import code_blocks

IMPORTED = {"counting.py", "work.py"}


def test_each_snippet_is_run() -> None:
    pages = (OTHER_PROCESSES, TASK_QUEUES)
    names = [block.split()[1] for page in pages for block in code_blocks("python", page)]
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    run = {name for name in names if re.search(rf'"{name.removesuffix(".py")}(\.py|:app|\.WorkerSettings)?"', tests)}
    assert sorted(run | IMPORTED) == sorted(names)
