"""The pytest plugin: fixtures for what a test emits and counts, and tests fail whose receivers fail.

pytest loads it by an entry point in every environment that has the package, whether a test uses it or not. So it
imports nothing of the package until a fixture is asked for, and the wheel has it at the top, where no other module of
the package is imported with it. docs/testing.md is its manual.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import pytest
from blinker import signal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from metrics.testing import CapturedEvents, SampleValue

MARKER = "receivers_may_fail"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that checks the catalogue."""
    parser.getgroup("sparklio").addoption(
        "--metrics-check",
        action="store_true",
        help="add a test that does what `python -m metrics check` does: it fails where nothing feeds a row of yours",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch for failures of receivers from now on."""
    config.addinivalue_line("markers", f"{MARKER}: a receiver that fails while the test runs does not fail the test")
    config.pluginmanager.register(FailureWatch(), "sparklio_receivers")


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the check of the catalogue where it is asked for."""
    if config.getoption("--metrics-check"):
        items.append(CatalogueCheck.from_parent(session, name="metrics-check", nodeid="metrics-check"))


@pytest.fixture
def events_captured() -> Iterator[CapturedEvents]:
    """Return what the test emits, in order; ``events_captured[order_placed]`` has the events of one signal."""
    from metrics.testing import capture_events  # only where it is asked for

    with capture_events() as captured:
        yield captured


@pytest.fixture
def metrics_registry(pytestconfig: pytest.Config) -> Iterator[CollectorRegistry]:
    """Return a fresh registry with the rows that [tool.sparklio.metrics] in pyproject.toml names."""
    from metrics.testing import project_registry  # the same

    with project_registry(pytestconfig.rootpath) as registry:
        yield registry


@pytest.fixture
def sample_value(metrics_registry: CollectorRegistry, pytestconfig: pytest.Config) -> SampleValue:
    """Return a function for the value of a sample, by name and labels: ``("orders_total", {"country": "KR"})``."""
    from metrics.testing import SampleValue  # the same
    from metrics.testing.project_registry import project_namespace

    return SampleValue(metrics_registry, project_namespace(pytestconfig.rootpath))


class ReceiversFailed(AssertionError):
    """Receivers failed while a test ran, which did not notice since no failure reaches the code that emits."""


@dataclass(frozen=True, slots=True)
class FailedReceiver:
    """A receiver that failed, its first error of a type, and how often it failed so."""

    name: str
    signal: str
    error: BaseException
    times: int = 1

    def __str__(self) -> str:
        often = f", {self.times} times" if self.times > 1 else ""
        text = str(self.error)
        return f"{self.name}, which receives {self.signal}, failed{often}: {type(self.error).__name__}" + (
            f": {text}" if text else ""
        )


class FailureWatch:
    """Fails the tests whose receivers fail, unless they have the marker.

    It is connected to the signal by its name, which blinker knows before anything of the package is imported.
    """

    def __init__(self) -> None:
        self._failed: dict[tuple[str, str, str], FailedReceiver] = {}
        self._lock = RLock()  # the garbage collector may end a span, which emits, while this thread holds it

    def pytest_sessionstart(self) -> None:
        """Connect it."""
        signal("receiver_failed").connect(self._note, weak=False)

    def pytest_unconfigure(self) -> None:
        """Disconnect it."""
        signal("receiver_failed").disconnect(self._note)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        """Forget what failed before: it is of no test."""
        self._take()

    # Last of each phase, so where pytest's own part of it has passed. Older releases of pytest have no other wrappers
    # than such as warn of an exception.

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail where a fixture has receivers fail."""
        __tracebackhide__ = True
        self._fail(item)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Fail where the test has receivers fail."""
        __tracebackhide__ = True
        self._fail(item)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Fail where the end of a fixture has receivers fail."""
        __tracebackhide__ = True
        self._fail(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Show what failed in a phase that failed by itself, which it may explain.

        What fails between two phases, in another thread, is of the later one.
        """
        for failed in self._take() if call.excinfo else ():
            item.add_report_section(call.when, "failed receiver", "".join(format_exception(failed.error)))

    def _fail(self, item: pytest.Item) -> None:
        """Raise what has failed, unless the test has the marker."""
        __tracebackhide__ = True
        if (found := self._take()) and item.get_closest_marker(MARKER) is None:
            raise failure_of(found)

    def _take(self) -> list[FailedReceiver]:
        """Return what failed since it was asked last."""
        with self._lock:
            found = [*self._failed.values()]
            self._failed.clear()
        return found

    def _note(self, event: Any) -> None:
        """Note a failure; it is emitted where the receiver's error is handled."""
        error = sys.exception() or RuntimeError(event.error)
        key = (event.signal, event.receiver, type(error).__name__)
        with self._lock:
            if key in self._failed:
                self._failed[key] = replace(self._failed[key], times=self._failed[key].times + 1)
            else:
                self._failed[key] = FailedReceiver(event.receiver, event.signal, error)


def failure_of(found: list[FailedReceiver]) -> ReceiversFailed:
    """Return the failure of a test, whose cause is the error of the receiver, or a group of those of several."""
    failure = ReceiversFailed("\n".join(map(str, found)))
    errors = [failed.error for failed in found]
    failure.__cause__ = errors[0] if len(errors) == 1 else BaseExceptionGroup("receivers failed", errors)
    return failure


class CatalogueCheckFailed(Exception):
    """The check of the catalogue found something, or could not run."""


class CatalogueCheck(pytest.Item):
    """The test that the option --metrics-check adds."""

    def runtest(self) -> None:
        """Run the check."""
        from metrics.testing import check_project  # only where it is asked for

        passed, text = check_project(self.config.rootpath)
        if not passed:
            raise CatalogueCheckFailed(text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what was found, without a traceback."""
        return (
            str(excinfo.value) if excinfo.errisinstance(CatalogueCheckFailed) else super().repr_failure(excinfo, style)
        )

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return what the report calls it."""
        return self.config.rootpath, None, self.name
