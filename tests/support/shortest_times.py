"""A plugin of pytest that keeps each test's shortest time, and leaves out what has always taken longer than a limit."""

from __future__ import annotations

from collections import defaultdict

import pytest

KEY = "studio/shortest_times"


class ShortestTimes:
    """With ``--shorter-than SECONDS``, run what took less at least once, and what was never run: a loop of seconds.

    A test's time is that of its setup, call and teardown, the shortest since the cache of pytest was cleared: a test
    that happened to pay for an import, or ran while the machine was busy, comes back with the next run of everything.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.limit: float | None = config.getoption("--shorter-than")
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what took longer each time."""
        cache = getattr(config, "cache", None)  # there is none with -p no:cacheprovider
        if self.limit is None or cache is None:
            return
        known = cache.get(KEY, {})
        longer = [item for item in items if known.get(item.nodeid, 0.0) >= self.limit]
        if longer:
            config.hook.pytest_deselected(items=longer)
            left_out = set(longer)
            items[:] = [item for item in items if item not in left_out]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up the parts of a test."""
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Store what is shorter than before."""
        cache = getattr(self.config, "cache", None)
        if cache is None or hasattr(self.config, "workerinput"):  # a worker of pytest-xdist: its controller keeps them
            return
        known = cache.get(KEY, {})
        shorter = {test: round(time, 3) for test, time in self.seconds.items() if time < known.get(test, float("inf"))}
        if shorter:
            cache.set(KEY, known | shorter)
