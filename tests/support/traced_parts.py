"""A plugin of pytest that has coverage trace the parts of a test, and not what pytest does around them."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

Trace = Any  # of coverage, or what a debugger sets


class TracedParts:
    """With a trace function, have it called in a test's setup, call and teardown alone, and while files are imported.

    What pytest and its plugins do between those takes a millisecond a test, and three where each line is traced.
    """

    def __init__(self) -> None:
        self.trace: Trace = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Trace nothing until a part of the test begins."""
        self.trace = sys.gettrace()
        sys.settrace(None)
        try:
            return (yield)
        finally:
            sys.settrace(self.trace)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        """Trace the fixtures, and not what other plugins do before and after."""
        return (yield from self._traced())

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Trace the test."""
        return (yield from self._traced())

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """Trace the ends of the fixtures."""
        return (yield from self._traced())

    def _traced(self) -> Generator[None, object, object]:
        sys.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
