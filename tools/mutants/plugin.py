"""A pytest plugin: run listed tests in their listed order, and write how long each test took.

``--mutants-tests FILE`` names a JSON list of test ids; ``--mutants-durations FILE`` is written: the seconds of each
test that passed, by its id.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest


class Durations:
    """Add up what each test takes; with several workers in the process that controls them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.bad: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase of a test."""
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.bad.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write what was noted."""
        self.path.write_text(json.dumps({name: took for name, took in self.seconds.items() if name not in self.bad}))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add both options."""
    parser.addoption("--mutants-tests", type=Path)
    parser.addoption("--mutants-durations", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Note durations where they are asked for, once."""
    path = config.getoption("--mutants-durations")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations(path))


@pytest.hookimpl(wrapper=True)  # so that it is the last to order them
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Select the listed tests, in their order."""
    yield
    path = config.getoption("--mutants-tests")
    if path is not None:
        place = {name: number for number, name in enumerate(json.loads(path.read_text()))}
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])
