"""A folder for the files of workers, and a worker in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.counter_worker import LocalWorker


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as parent:
        yield Path(parent) / "workers"


@pytest.fixture
def here(folder: Path) -> Iterator[LocalWorker]:
    """This process, one of the workers."""
    with LocalWorker(folder) as worker:
        yield worker
