"""Coverage traces the parts of a test, and not what pytest does around them."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from tests.support.traced_parts import TracedParts


def trace(frame: FrameType, event: str, argument: object) -> None:
    """Trace nothing, as a function that can be told from others."""


@contextmanager
def tracing() -> Iterator[None]:
    """Trace by another function than coverage's for a while: no fixture, as what it sets ends with the setup."""
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def inside(hook: Generator[None, object, object]) -> Iterator[None]:
    """Run a block where a wrapper of pytest has the wrapped hooks run."""
    next(hook)
    yield
    with pytest.raises(StopIteration, match="result"):
        hook.send("result")


@pytest.mark.parametrize("part", ["setup", "call", "teardown"])
def test_the_parts_of_a_test_are_traced_and_nothing_between_them(part: str) -> None:
    plugin = TracedParts()
    with tracing(), inside(plugin.pytest_runtest_protocol()):
        assert sys.gettrace() is None
        with inside(getattr(plugin, f"pytest_runtest_{part}")()):
            assert sys.gettrace() is trace
        assert sys.gettrace() is None


def test_what_comes_after_a_test_is_traced_as_before() -> None:
    with tracing():
        with inside(TracedParts().pytest_runtest_protocol()):
            pass
        assert sys.gettrace() is trace


def test_a_part_that_fails_ends_the_tracing_too() -> None:
    plugin = TracedParts()
    with tracing(), inside(plugin.pytest_runtest_protocol()):
        part = plugin.pytest_runtest_call()
        next(part)
        with pytest.raises(ValueError, match="of the test"):
            part.throw(ValueError("of the test"))
        assert sys.gettrace() is None
