"""Waiting for a condition, with a deadline, instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any


async def until(condition: Callable[[], object], within: float = 30.0) -> None:
    """Return as soon as ``condition()`` is true; the event loop goes on meanwhile.

    It is asked every two milliseconds at first and every ten later: many a condition reads a whole registry.

    Raises:
        AssertionError: It is not true within that many seconds.
    """
    started = monotonic()
    while not condition():
        waited = monotonic() - started
        assert waited < within, f"not within {within} s: {condition}"
        await asyncio.sleep(pause(waited, 0.002, 0.01))


def wait_until(condition: Callable[[], Any], within: float = 60.0, every: float = 0.02) -> Any:
    """Block until ``condition()`` is true, and return its value.

    It is asked less often the longer it takes, as each question is work for whoever answers.

    Raises:
        AssertionError: It is not true within that many seconds.
    """
    started = monotonic()
    while not (value := condition()):
        waited = monotonic() - started
        assert waited < within, f"not within {within} s: {condition}"
        sleep(pause(waited, every))
    return value


def pause(waited: float, least: float, most: float = 0.1) -> float:
    """Return for how many seconds to wait before a condition is asked again that was not true for so many."""
    return max(least, min(waited / 10, most))
