"""The programs of docs/other-processes.md and docs/task-queues.md, in a folder of the test's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.page_processes import OTHER_PROCESSES, TASK_QUEUES, PageFolder, write_programs


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


@pytest.fixture
def programs(tmp_path: Path, sparklio_path: Path, port: int) -> PageFolder:
    return write_programs(tmp_path, [OTHER_PROCESSES, TASK_QUEUES], sparklio_path, port)
