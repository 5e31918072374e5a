"""What every test stands on: nothing hides, nothing is left connected."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator

import pytest
from blinker import default_namespace

import events

PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "chromedriver": "chromium-driver"}

# A shell that runs the tests in the background has them ignore SIGINT, and so would every studio that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a program that is not here, saying how to get it; in CI nothing is left out."""
    for item in items:
        for mark in item.iter_markers("needs"):
            missing = [program for program in mark.args if shutil.which(program) is None]
            if missing and "CI" not in os.environ:
                packages = " ".join(sorted({PACKAGES[program] for program in missing}))
                item.add_marker(pytest.mark.skip(reason=f"needs {' and '.join(missing)}: apt-get install {packages}"))


@pytest.fixture(autouse=True)
def nothing_hides(request: pytest.FixtureRequest) -> Iterator[None]:
    """Raise what a listener raises, except in tests that show how it is stopped (marked ``lenient``)."""
    if request.node.get_closest_marker("lenient"):
        yield
        return
    with events.strict():
        yield


@pytest.fixture(autouse=True)
def nothing_stays_connected() -> Iterator[None]:
    """Fail a test that leaves a receiver on one of the process's signals."""
    before = {name: set(signal.receivers) for name, signal in default_namespace.items()}
    yield
    left = {
        name: new
        for name, signal in default_namespace.items()
        if (new := set(signal.receivers) - before.get(name, set()))
    }
    assert not left, f"receivers were left connected: {left}"


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Give loopback ports that nobody listens on."""

    def port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            number: int = probe.getsockname()[1]
            return number

    return port
